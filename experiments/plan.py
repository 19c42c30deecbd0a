"""The plan of the ablation, experiments/variants.yaml: what is trained, and on which images.

A variant's changes are keys of the recipe, of `train`, or the threshold.
"""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from effiseg.folds import MOST_FOLDS, assign_folds
from effiseg.params import parse_section, parse_yaml
from effiseg.recipe import Recipe, Train
from effiseg.scoring import Evaluate
from effiseg.split import read_split
from stages.paths import SPLIT

PLAN, RUNS = Path("experiments/variants.yaml"), Path("experiments/runs")
REFERENCE = "published"  # the variant that changes nothing
SECTIONS = (Train, Recipe, Evaluate)  # whose keys the plan sets
SCREENING = "screening"  # the schedule at which every variant is run


class Variant(NamedTuple):
    """What is trained and how its answers are read."""

    name: str
    schedule: str
    changes: dict[str, Any]
    train: Train
    recipe: Recipe
    threshold: float


class Parts(NamedTuple):
    """Names of images, in the order of the split table. No test image is in any of them."""

    learnt: list[str]
    chosen_by: list[str]  # the best epoch is chosen by these, where a recipe asks for it
    judged: list[str]


def read_folds() -> list[int]:
    """The folds that are judged."""
    return list(_read_plan()["folds"])


def read_fold_seed() -> int:
    """What the division into folds is drawn from."""
    return int(_read_plan()["fold_seed"])


def read_checked() -> list[str]:
    """Names of the variants that the other schedules run, unless asked for one."""
    return list(_read_plan()["checked"])


def read_variants(schedule: str) -> dict[str, Variant]:
    """All variants at a schedule, the most important first.

    Raises:
        ValueError: there is no such schedule, or nothing knows a key that a variant changes.
    """
    plan = _read_plan()
    if schedule not in plan["schedules"]:
        known = list(plan["schedules"])
        raise ValueError(f"{PLAN} has no schedule {schedule!r}; known are {known}")
    base = {"threshold": plan["threshold"]}
    for where, values in (
        ("train", plan["train"]),
        ("recipe", plan["recipe"]),
        (f"schedules.{schedule}", plan["schedules"][schedule]),
    ):
        base |= _known(values, where)
    return {
        name: _build_variant(name, schedule, changes, base)
        for name, changes in plan["variants"].items()
    }


def _build_variant(
    name: str, schedule: str, changes: dict[str, Any], base: dict[str, Any]
) -> Variant:
    values = base | _known(changes, f"variants.{name}")
    train, recipe, evaluate = (
        parse_section(
            {key: values[key] for key in _keys(section) if key in values},
            f"variants.{name}",
            section,
            PLAN,
        )
        for section in SECTIONS
    )
    return Variant(name, schedule, changes, train, recipe, evaluate.threshold)


def divide_images(fold: int, weights: str) -> Parts:
    """Who is learnt from and who is judged, when `fold` is held out.

    A recipe that keeps the best epoch chooses it by a tenth of the other folds' images, which are
    then not learnt from: the judged ones have no part in it.
    """
    split, seed = read_split(SPLIT), read_fold_seed()
    folds = assign_folds(split, MOST_FOLDS, seed).set_index("name")["fold"]
    table = split[split["name"].isin(folds.index)]
    held_out = table["name"].map(folds) == fold
    others = table[~held_out]
    aside = pd.Series(False, index=others.index)
    if weights == "best":
        tenths = assign_folds(others, 10, seed).set_index("name")["fold"]
        aside = others["name"].map(tenths) == 0
    judged = list(table["name"][held_out])
    chosen_by = list(others["name"][aside]) if weights == "best" else judged
    return Parts(list(others["name"][~aside]), chosen_by, judged)


def path_of(variant: Variant, fold: int) -> Path:
    """The folder of one run."""
    return RUNS / variant.schedule / variant.name / f"fold-{fold}"


def _read_plan() -> dict[str, Any]:
    return parse_yaml(PLAN.read_text(encoding="utf-8"), PLAN)


def _keys(section: type) -> list[str]:
    return [field.name for field in dataclasses.fields(section)]


def _known(values: dict[str, Any], where: str) -> dict[str, Any]:
    known = sorted(key for section in SECTIONS for key in _keys(section))
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"{PLAN}: {where} sets {unknown}; known are {known}")
    return values
