"""Stages evaluate_baseline and evaluate_improved: score one model on the test images.

Reads   params.yaml [evaluate, NAME.{follow_findings, test_flips, test_scales}], data/raw/,
        data/split.csv, data/arrays/NAME/, models/NAME/; where NAME.follow_findings is true also
        analysis/findings.yaml
Writes  evaluation/NAME/images.csv, a row for each test image: name, the scores at original size,
        the pixel counts tp, fp, fn, tn, dice_input and iou_input (the paper's protocol),
        area_fraction, near_duplicate (a training image has the same scene)
        evaluation/NAME/{metrics.json, precision_recall.csv, confusion.csv}
        evaluation/NAME/predictions/IMAGE.png, 0 and 255, at original size
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from effiseg.arrays import read_arrays, select_rows
from effiseg.files import write_json, write_table
from effiseg.metrics import confusion_table, count_probabilities, precision_recall, summarize
from effiseg.params import load_section
from effiseg.recipe import Recipe
from effiseg.remedies import read_findings, uses_flips
from effiseg.scoring import Evaluate, Scored, find_twins, score_images, write_prediction
from effiseg.split import read_split
from effiseg.weights import read_model
from stages.alone import run_alone
from stages.paths import FINDINGS, RAW, SPLIT, arrays_of
from stages.progress import progress


def main(name: str) -> None:
    threshold = load_section("evaluate", Evaluate).threshold
    out = Path("evaluation") / name
    rows, histogram = [], 0
    for scored in score_test_images(name, Path("models") / name, threshold):
        rows.append({"name": scored.name} | scored.scores)
        histogram += count_probabilities(scored.probability, scored.mask)
        write_prediction(out / "predictions", scored.name, scored.probability > threshold)

    images = add_facts(pd.DataFrame(rows))
    write_table(out / "images.csv", images)
    write_json(out / "metrics.json", summarize(images))
    write_table(out / "precision_recall.csv", precision_recall(histogram))
    write_table(out / "confusion.csv", confusion_table(images))


def score_test_images(name: str, folder: Path, threshold: float) -> Iterator[Scored]:
    """Every test image, judged by the model in `folder` as the recipe NAME reads its answers."""
    recipe, split = load_section(name, Recipe), read_split(SPLIT)
    flips = uses_flips(recipe, read_findings(FINDINGS) if recipe.follow_findings else [])
    is_test = split["split"] == "test"
    yield from score_images(
        read_model(folder),
        select_rows(read_arrays(arrays_of(name)), is_test),
        list(split["name"][is_test]),
        RAW,
        threshold,
        flips,
        recipe.test_scales,
        progress(f"evaluate {name}"),
    )


def add_facts(images: pd.DataFrame) -> pd.DataFrame:
    """The table of scores with area_fraction and near_duplicate of each image."""
    split = read_split(SPLIT)
    split["near_duplicate"] = find_twins(split)
    return images.merge(split[["name", "area_fraction", "near_duplicate"]], on="name")


if __name__ == "__main__":
    run_alone(main)
