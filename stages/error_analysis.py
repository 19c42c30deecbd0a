"""Stage error_analysis: where the baseline is wrong on validation images, and what follows.

Reads   params.yaml [error_analysis, evaluate, baseline.test_flips], data/raw/, data/split.csv,
        data/arrays/, models/baseline/
Writes  analysis/{images,kinds,attributes,strata,sampling}.csv, analysis/findings.yaml,
        plots/{worst_validation,strata}.png

Test images are never looked at.
"""

from pathlib import Path

import pandas as pd

from effiseg.arrays import read_arrays, select_rows
from effiseg.attributes import describe_images
from effiseg.error_kinds import budget_pixels, classify_error, count_lesions
from effiseg.figures import Cell, draw_gallery, draw_strata
from effiseg.files import write_table
from effiseg.findings import (
    ErrorAnalysis,
    assign_strata,
    derive_findings,
    score_attributes,
    score_strata,
    weigh_samples,
    write_findings,
)
from effiseg.params import load_section
from effiseg.recipe import Recipe
from effiseg.scoring import Evaluate, score_images
from effiseg.split import read_split
from effiseg.weights import read_model
from stages.progress import progress

RAW, OUT = Path("data/raw"), Path("analysis")
WORST = 12  # images in the gallery


def main() -> None:
    params = load_section("error_analysis", ErrorAnalysis)
    threshold = load_section("evaluate", Evaluate).threshold
    flips = load_section("baseline", Recipe).test_flips
    split = read_split(Path("data/split.csv"))
    names = {part: list(split["name"][split["split"] == part]) for part in ("train", "validation")}
    arrays = select_rows(read_arrays(Path("data/arrays")), split["split"] == "validation")

    rows, cells = [], []
    model = read_model(Path("models/baseline"))
    for scored in score_images(
        model, arrays, names["validation"], RAW, threshold, flips, progress("predict")
    ):
        prediction = scored.probability > threshold
        kind = classify_error(prediction, scored.mask)
        lesions = count_lesions(prediction, scored.mask)._asdict()
        counts = {f"lesions_{name}": number for name, number in lesions.items()}
        rows.append({"name": scored.name, "kind": kind} | scored.scores | counts)
        title = f"{scored.name}\nDice {scored.scores['dice']:.3f}"
        cells.append(Cell(title, scored.image, scored.mask, {kind: prediction}))

    described = {part: describe_images(RAW, n, progress("describe")) for part, n in names.items()}
    images = pd.DataFrame(rows).merge(described["validation"], on="name")
    strata = {part: assign_strata(table, described["train"]) for part, table in described.items()}
    scores = score_strata(images["dice"], strata["validation"], params)
    findings = derive_findings(images, scores, params)

    write_table(OUT / "images.csv", images)
    write_table(OUT / "kinds.csv", budget_pixels(images))
    write_table(OUT / "attributes.csv", score_attributes(images))
    write_table(OUT / "strata.csv", scores)
    write_table(OUT / "sampling.csv", weigh_samples(strata["train"], findings))
    write_findings(OUT / "findings.yaml", findings)
    worst = [cells[row] for row in images["dice"].argsort()[:WORST]]
    draw_gallery(Path("plots/worst_validation.png"), worst, "Baseline: worst validation images", 3)
    draw_strata(Path("plots/strata.png"), scores, "Baseline on validation images, by stratum")
    for finding in findings:
        print("on " if finding["switched_on"] else "off", finding["statement"])


if __name__ == "__main__":
    main()
