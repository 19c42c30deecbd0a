"""Remedies: what the error analysis asks of a training, as findings.yaml and sampling.csv say it.

findings.yaml is a list of findings, each with
    id, statement, evidence   what was found, in words and numbers
    switched_on               whether its remedy is to be followed
    remedy                    one of
        {kind: sampling, stratum: NAME, weight: W}      draw images of the stratum W times as often
        {kind: augmentation, name: NAME}                one of effiseg.augment.ADDITIONS
        {kind: loss, false_negative_weight: W}          Tversky loss; false positives weigh 1 - W
        {kind: test_flips}                              predict the mean over four mirror images
        {kind: none}
    prediction                {stratum: NAME, gain: G} of Dice, or null where it is not switched on
sampling.csv holds the product of all sampling remedies: name, weight (mean 1) of training images.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from effiseg.augment import ADDITIONS
from effiseg.files import read_table, show
from effiseg.params import as_plain, parse_section, read_yaml, require
from effiseg.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class _Finding:
    """An entry of findings.yaml; below, what the keys `prediction` and `remedy` hold."""

    id: str
    statement: str
    evidence: dict
    switched_on: bool
    remedy: dict
    prediction: dict | None

    def __post_init__(self) -> None:
        known = self.prediction is not None or not self.switched_on
        require("prediction", self.prediction, known, "one, as the finding is switched on")


@dataclass(frozen=True, kw_only=True)
class _Prediction:
    stratum: str
    gain: float


@dataclass(frozen=True, kw_only=True)
class _Plain:
    kind: str


@dataclass(frozen=True, kw_only=True)
class _Sampling(_Plain):
    stratum: str
    weight: float

    def __post_init__(self) -> None:
        require("weight", self.weight, self.weight > 0, "above 0")


@dataclass(frozen=True, kw_only=True)
class _Augmentation(_Plain):
    name: str

    def __post_init__(self) -> None:
        require("name", self.name, self.name in ADDITIONS, f"one of {tuple(ADDITIONS)}")


@dataclass(frozen=True, kw_only=True)
class _Loss(_Plain):
    false_negative_weight: float

    def __post_init__(self) -> None:
        weight = self.false_negative_weight
        require("false_negative_weight", weight, 0 < weight < 1, "between 0 and 1")


_REMEDIES = {
    "sampling": _Sampling,
    "augmentation": _Augmentation,
    "loss": _Loss,
    "test_flips": _Plain,
    "none": _Plain,
}


class Remedies(NamedTuple):
    """As built, it asks nothing: the published training."""

    augmentations: tuple[str, ...] = ()
    false_negative_weight: float | None = None  # in the Tversky loss, in place of the recipe's
    sampling: NDArray[np.float64] | None = None  # a weight for each training image


def read_findings(path: Path) -> list[dict[str, Any]]:
    """All findings of the file. Raises ValueError, naming file and key, where one is damaged."""
    findings = _read_followed(path)
    for number, finding in enumerate(findings, start=1):
        where = f"finding {number}"
        parse_section(finding, where, _Finding, path)
        if finding["prediction"] is not None:
            parse_section(finding["prediction"], f"{where}.prediction", _Prediction, path)
    return findings


def _read_followed(path: Path) -> list[dict[str, Any]]:
    """The same, of which only what a training follows has to be there: switched_on and remedy."""
    findings = read_yaml(path)
    if not isinstance(findings, list):
        raise ValueError(f"{path} is {show(findings)}; expected a list: run error_analysis again")
    for number, finding in enumerate(findings, start=1):
        where = f"finding {number}"
        remedy = finding.get("remedy") if isinstance(finding, dict) else None
        kind = remedy.get("kind") if isinstance(remedy, dict) else None
        known = tuple(_REMEDIES)
        require(f"{path}: {where}.remedy.kind", kind, kind in known, f"one of {known}")
        parse_section(remedy, f"{where}.remedy", _REMEDIES[kind], path)
        is_on = finding.get("switched_on")
        require(f"{path}: {where}.switched_on", is_on, type(is_on) is bool, "true or false")
    return findings


def list_followed(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The remedies that are switched on."""
    return [finding["remedy"] for finding in findings if finding["switched_on"]]


def read_remedies(findings: Path, sampling: Path, names: list[str]) -> Remedies:
    """The remedies that are switched on, with the sampling weights of the images `names`.

    Raises:
        ValueError: a file is damaged, a remedy unknown, or an image has no weight.
    """
    remedies = list_followed(_read_followed(findings))
    augmentations = tuple(r["name"] for r in remedies if r["kind"] == "augmentation")
    losses = [r["false_negative_weight"] for r in remedies if r["kind"] == "loss"]
    table = read_table(sampling, texts=["name"], numbers=["weight"]).set_index("name")
    if table.index.has_duplicates or (table["weight"] <= 0).any():
        raise ValueError(
            f"{sampling} names an image twice, or has a weight that is not above 0: run the stage "
            "error_analysis again"
        )
    weights = table["weight"].reindex(names)
    if weights.isna().any():
        raise ValueError(
            f"{sampling} has no weight for {weights.isna().sum()} of {len(names)} training images "
            f"({weights.index[weights.isna()][0]}, ...): run the stage error_analysis again"
        )
    return Remedies(augmentations, losses[-1] if losses else None, weights.to_numpy(float))


def uses_flips(recipe: Recipe, findings: list[dict[str, Any]]) -> bool:
    """Whether answers are the mean over mirror images, by the recipe or a finding it follows."""
    kinds = {remedy["kind"] for remedy in list_followed(findings)}
    return recipe.test_flips or (recipe.follow_findings and "test_flips" in kinds)


def compare_recipes(
    baseline: Recipe, improved: Recipe, findings: list[dict[str, Any]]
) -> dict[str, tuple[Any, Any]]:
    """Where two recipes differ: key, the baseline's value, the improved one's.

    Flips that the findings ask for stand there as flips; `follow_findings` stands for the rest.
    """
    before, after = (_apply_findings(recipe, findings) for recipe in (baseline, improved))
    return {key: (value, after[key]) for key, value in before.items() if value != after[key]}


def _apply_findings(recipe: Recipe, findings: list[dict[str, Any]]) -> dict[str, Any]:
    kinds = {remedy["kind"] for remedy in list_followed(findings)}
    follows = recipe.follow_findings and bool(kinds - {"test_flips"})
    flips = uses_flips(recipe, findings)
    return as_plain(recipe) | {"test_flips": flips, "follow_findings": follows}
