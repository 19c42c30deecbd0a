"""The ablation's table, chart and report, from the runs that are there.

Reads   params.yaml [compare, baseline, improved], experiments/{variants.yaml, findings.yaml,
        sampling.csv}, experiments/runs/, analysis/findings.yaml, data/split.csv
Writes  experiments/ablation.csv, the columns of effiseg.ablation and schedule
        plots/ablation.png, docs/ablation.md
"""

import json
from pathlib import Path

import pandas as pd

from effiseg.ablation import compare_variants
from effiseg.ablation_report import Ablation, write_ablation
from effiseg.comparison import Compare
from effiseg.figures import draw_ablation
from effiseg.files import write_table, write_text
from effiseg.params import load_section
from effiseg.recipe import Recipe
from effiseg.remedies import compare_recipes, read_findings
from experiments.plan import REFERENCE, RUNS, Variant, path_of, read_folds, read_variants
from experiments.screen import is_done
from stages.paths import FINDINGS


def main() -> None:
    screening, full = tabulate("screening"), tabulate("full")
    if screening is None:
        raise FileNotFoundError(f"{RUNS} has no run: start python -m experiments.screen screening")
    variants = read_variants("screening")
    recipes = [load_section(name, Recipe) for name in ("baseline", "improved")]
    ablation = Ablation(
        screening=screening,
        full=full,
        recipes={name: read_variants(name)[REFERENCE].recipe for name in ("screening", "full")},
        waiting=[name for name in variants if name not in set(screening["variant"])],
        devices=list_devices(),
        chosen=compare_recipes(*recipes, read_findings(FINDINGS)),
        changes={name: variant.changes for name, variant in variants.items()},
    )
    tables = {"screening": screening, "full": full}
    rows = [table.assign(schedule=name) for name, table in tables.items() if table is not None]
    write_table(Path("experiments/ablation.csv"), pd.concat(rows))
    draw_ablation(Path("plots/ablation.png"), screening, "Ablation: gain over the published recipe")
    write_text(Path("docs/ablation.md"), write_ablation(ablation))


def tabulate(schedule: str) -> pd.DataFrame | None:
    """The table of `compare_variants`, of the variants that have runs; None without any."""
    variants = read_variants(schedule)
    runs = {name: read_runs(variant) for name, variant in variants.items()}
    runs = {name: table for name, table in runs.items() if not table.empty}
    if not runs:
        return None
    changes = {name: variants[name].changes for name in runs}
    reference = measure_work(variants[REFERENCE])
    works = {name: measure_work(variants[name]) / reference for name in runs}
    return compare_variants(runs, changes, works, load_section("compare", Compare), REFERENCE)


def read_runs(variant: Variant) -> pd.DataFrame:
    """fold, name, dice, iou, nsd of every image that the variant, as planned now, has judged."""
    tables = [
        pd.read_csv(path_of(variant, fold) / "images.csv").assign(fold=fold)
        for fold in read_folds()
        if is_done(variant, fold)
    ]
    return pd.concat(tables) if tables else pd.DataFrame()


def measure_work(variant: Variant) -> float:
    """Pixels that a training sees of each image."""
    return variant.recipe.epochs * variant.recipe.size**2


def list_devices() -> list[str]:
    """What the runs were made with, each once."""
    records = (json.loads(path.read_text()) for path in sorted(RUNS.glob("*/*/*/run.json")))
    return sorted({f"{record['device']}, torch {record['torch']}" for record in records})


if __name__ == "__main__":
    main()
