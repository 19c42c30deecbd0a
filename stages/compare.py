"""Stage compare: baseline against improved, image by image, with plots and a report.

Reads   params.yaml [compare, baseline, improved], evaluation/*/, models/*/,
        analysis/{findings.yaml, limits.csv}, data/raw/, data/split.csv, data/published.csv
Writes  metrics/{baseline,improved,comparison}.json, metrics/{strata,predictions}.csv,
        docs/comparison.md,
        plots/{learning_curves,test_images,precision_recall,confusion}.csv,
        plots/{worst_baseline,worst_improved,changes,gains}.png

Everything written is small and tracked by git: the results can be read in a bare clone.
"""

import json
from pathlib import Path

import pandas as pd

from effiseg.attributes import describe_images
from effiseg.comparison import (
    Compare,
    check_predictions,
    compare_models,
    compare_strata,
    join_tables,
    pair_images,
)
from effiseg.figures import draw_gains, draw_gallery
from effiseg.files import read_table, write_json, write_table, write_text
from effiseg.findings import assign_strata, read_limits
from effiseg.galleries import collect_cells
from effiseg.params import load_section
from effiseg.predict import list_views
from effiseg.recipe import Recipe
from effiseg.remedies import compare_recipes, read_findings, uses_flips
from effiseg.report import Results, write_report
from effiseg.split import read_split
from stages.alone import run_alone
from stages.paths import FINDINGS, RAW, SPLIT
from stages.progress import progress

PLOTS, METRICS = Path("plots"), Path("metrics")
TRAINED = {model: Path("models") / model for model in ("baseline", "improved")}
SCORED = {model: Path("evaluation") / model for model in TRAINED}
SHOWN = 12  # images in a gallery


def main() -> None:
    params = load_section("compare", Compare)
    images = {m: read_table(folder / "images.csv", ["name"]) for m, folder in SCORED.items()}
    metrics = {m: json.loads((folder / "metrics.json").read_text()) for m, folder in SCORED.items()}
    models = {m: json.loads((folder / "model.json").read_text()) for m, folder in TRAINED.items()}
    split = read_split(SPLIT)
    names = list(split["name"][split["split"] == "test"])
    limits = read_limits(Path("analysis/limits.csv"))
    assigned = assign_strata(describe_images(RAW, names, progress("describe")), limits)
    pairs = pair_images(images["baseline"], images["improved"])
    comparison = compare_models(pairs, params)
    strata = compare_strata(pairs, assigned, params)
    findings = read_findings(FINDINGS)
    predictions = check_predictions(findings, pairs, assigned, params)
    paper = pd.read_csv("data/published.csv")
    recipes = {model: load_section(model, Recipe) for model in SCORED}
    views = {
        model: len(list_views(uses_flips(recipe, findings), recipe.test_scales))
        for model, recipe in recipes.items()
    }
    results = Results(
        metrics=metrics,
        comparison=comparison,
        pairs=pairs,
        strata=strata,
        findings=findings,
        predictions=predictions,
        published=paper,
        models=models,
        views=views,
        differences=compare_recipes(*recipes.values(), findings),
    )

    for model in SCORED:
        write_json(METRICS / f"{model}.json", metrics[model])
    write_json(METRICS / "comparison.json", comparison)
    write_table(METRICS / "strata.csv", strata)
    write_table(METRICS / "predictions.csv", predictions)
    write_text(Path("docs/comparison.md"), write_report(results))

    write_table(PLOTS / "learning_curves.csv", join_tables(TRAINED, "history.csv"))
    write_table(PLOTS / "precision_recall.csv", join_tables(SCORED, "precision_recall.csv"))
    write_table(PLOTS / "confusion.csv", join_tables(SCORED, "confusion.csv"))
    table = join_tables(SCORED, "images.csv")
    write_table(PLOTS / "test_images.csv", table.assign(area_percent=100 * table["area_fraction"]))
    draw_gains(PLOTS / "gains.png", strata, "Test images: gain by stratum of the error analysis")
    for model in SCORED:
        names = images[model].sort_values("dice", kind="stable")["name"].head(SHOWN)
        cells = collect_cells(names, {model: images[model]}, SCORED, RAW)
        draw_gallery(PLOTS / f"worst_{model}.png", cells, f"Worst test images, {model}", 3)
    changed = pairs.sort_values("dice_change", key=abs, ascending=False, kind="stable")
    cells = collect_cells(changed["name"].head(SHOWN), images, SCORED, RAW)
    draw_gallery(PLOTS / "changes.png", cells, "Test images that changed most", 2)
    print(f"Dice {metrics['baseline']['dice']:.4f} -> {metrics['improved']['dice']:.4f}")


if __name__ == "__main__":
    run_alone(main)
