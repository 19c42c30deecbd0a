"""Stages evaluate_baseline and evaluate_improved: score one model on the test images.

Reads   params.yaml [evaluate, NAME.test_flips], data/raw/, data/split.csv, data/arrays/,
        models/NAME/
Writes  evaluation/NAME/images.csv, a row for each test image: name, the scores at original size,
        the pixel counts tp, fp, fn, tn, dice_input and iou_input (the paper's protocol),
        area_fraction, near_duplicate (a training image has the same scene)
        evaluation/NAME/{metrics.json, precision_recall.csv, confusion.csv}
        evaluation/NAME/predictions/IMAGE.png, 0 and 255, at original size
"""

import sys
from pathlib import Path

import pandas as pd

from effiseg.arrays import read_arrays, select_rows
from effiseg.files import write_json, write_table
from effiseg.metrics import confusion_table, count_probabilities, precision_recall, summarize
from effiseg.params import load_section
from effiseg.recipe import Recipe
from effiseg.scoring import Evaluate, find_twins, score_images, write_prediction
from effiseg.split import read_split
from effiseg.weights import read_model
from stages.progress import progress


def main(name: str) -> None:
    threshold = load_section("evaluate", Evaluate).threshold
    flips = load_section(name, Recipe).test_flips
    split = read_split(Path("data/split.csv"))
    split["near_duplicate"] = find_twins(split)
    test = split[split["split"] == "test"]
    arrays = select_rows(read_arrays(Path("data/arrays")), split["split"] == "test")
    out = Path("evaluation") / name

    rows, histogram = [], 0
    for scored in score_images(
        read_model(Path("models") / name),
        arrays,
        list(test["name"]),
        Path("data/raw"),
        threshold,
        flips,
        progress(f"evaluate {name}"),
    ):
        rows.append({"name": scored.name} | scored.scores)
        histogram += count_probabilities(scored.probability, scored.mask)
        write_prediction(out / "predictions", scored.name, scored.probability > threshold)

    images = pd.DataFrame(rows).merge(test[["name", "area_fraction", "near_duplicate"]], on="name")
    write_table(out / "images.csv", images)
    write_json(out / "metrics.json", summarize(images))
    write_table(out / "precision_recall.csv", precision_recall(histogram))
    write_table(out / "confusion.csv", confusion_table(images))


if __name__ == "__main__":
    main(sys.argv[1])
