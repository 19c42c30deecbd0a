"""Stages ship@baseline and ship@improved: the model as the package carries it, in half precision.

Reads   params.yaml [evaluate, split.scheme, NAME.{follow_findings, test_flips}], models/NAME/,
        data/raw/, data/split.csv, data/arrays/NAME/, analysis/{findings.yaml, strata.csv}
Writes  src/effiseg/shipped/NAME/{config.json, model.safetensors, scores.json}, see effiseg.hub
        metrics/shipped_NAME.json: megabytes, dice and miou of the test images, and how far they and
        the masks are from those in full precision
        metrics/warnings_NAME.csv: what the warnings were worth on the test images

Limits of the warnings are chosen on the validation images. Answers over several sizes
(NAME.test_scales) are not part of a shipped model.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from effiseg.answers import RULES, read_answer
from effiseg.arrays import read_arrays, select_rows
from effiseg.files import write_json, write_table
from effiseg.hub import WEIGHTS, Config, EffiSegNet, write_folder
from effiseg.model import EffiSegNet as Network
from effiseg.params import load_section
from effiseg.predict import predict_probabilities
from effiseg.predictors import open_model
from effiseg.recipe import Recipe
from effiseg.remedies import read_findings, uses_flips
from effiseg.scoring import Evaluate, score_probabilities
from effiseg.shipping import choose_limits, compare_precision, tabulate_warnings, write_scores
from effiseg.split import Split, read_split
from stages.alone import run_alone
from stages.paths import FINDINGS, RAW, SPLIT, arrays_of
from stages.progress import progress

SHIPPED, METRICS = Path("src/effiseg/shipped"), Path("metrics")
STRATA = Path("analysis/strata.csv")


def main(name: str) -> None:
    recipe, out = load_section(name, Recipe), SHIPPED / name
    flips = uses_flips(recipe, read_findings(FINDINGS))
    config, network = open_model(Path("models") / name)
    threshold = load_section("evaluate", Evaluate).threshold
    config = replace(config, threshold=threshold, test_flips=flips)

    write_folder(out, network.state_dict(), config, half=True)
    half = EffiSegNet.from_pretrained(out)
    unseen, _ = judge(name, half, config, "validation")
    config = replace(config, limits=choose_limits(pd.read_csv(STRATA), unseen))
    write_folder(out, network.state_dict(), config, half=True)

    (images, ours), (whole, theirs) = (judge(name, n, config, "test") for n in (half, network))
    difference = compare_precision(images, ours, whole, theirs, threshold)
    megabytes = round((out / WEIGHTS).stat().st_size / 1e6, 3)
    write_json(METRICS / f"shipped_{name}.json", {"megabytes": megabytes} | difference)
    warnings = tabulate_warnings(images)
    write_table(METRICS / f"warnings_{name}.csv", warnings)
    scores = difference | {"split": load_section("split", Split).scheme, "images": len(images)}
    write_scores(out, scores, warnings)
    print(f"shipped {name}: {megabytes} MB, Dice {difference['dice']:.4f}")


def judge(
    name: str, network: Network, config: Config, part: str
) -> tuple[pd.DataFrame, np.ndarray]:
    """name, dice, iou, and the answers' values of a part of the split; (N, S, S) probabilities."""
    split = read_split(SPLIT)
    chosen = split["split"] == part
    arrays, names = select_rows(read_arrays(arrays_of(name)), chosen), list(split["name"][chosen])
    bar = progress(f"judge {part}")
    small = predict_probabilities(network, arrays.images, config.test_flips, progress=bar)
    rows = []
    for image, probability in zip(
        score_probabilities(small, arrays.masks, names, RAW, config.threshold), small, strict=True
    ):
        answer = read_answer(probability, *image.mask.shape, config.threshold, config.limits)
        row = {"name": image.name, "dice": image.scores["dice"], "iou": image.scores["iou"]}
        row |= {value: getattr(answer, value) for value, _ in RULES.values()}
        row |= {"warnings": "; ".join(answer.warnings)}
        rows.append(row)
    return pd.DataFrame(rows), small


if __name__ == "__main__":
    run_alone(main)
