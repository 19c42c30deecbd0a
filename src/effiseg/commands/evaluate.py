"""Score a model on a folder of pictures with masks, such as another hospital's.

Reads   IMAGES and MASKS: a picture and its mask have the same path below these but for the suffix;
        a mask has the size of its picture, and is black and white
Writes  OUT/images.csv       a row for each picture: scores, kind of error, attributes, confidence
        OUT/metrics.json     means, pooled scores, the mean Dice's 95 % interval over pictures
        OUT/kinds.csv        kinds of error, and their share of the wrong pixels
        OUT/strata.csv       Dice by stratum, against all other pictures
        OUT/warnings.csv     how many poor answers each warning found
        OUT/{worst,kinds,strata}.png

A pair that can't be read is reported, is not scored, and makes the exit code 1.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from effiseg.commands import on_screen
from effiseg.commands.options import add_model_options, open_chosen, refuse_existing
from effiseg.comparison import Compare, bootstrap_mean
from effiseg.error_kinds import budget_pixels
from effiseg.figures import Cell, draw_gallery, draw_kinds, draw_strata, shrink_cell
from effiseg.files import write_json, write_table
from effiseg.findings import assign_strata, find_limits, score_strata
from effiseg.labelled import Judged, judge_pairs, list_pairs, summarize_pairs
from effiseg.shipping import tabulate_warnings

METRICS = "metrics.json"
OUTPUTS = (
    METRICS, "images.csv", "kinds.csv", "strata.csv", "warnings.csv",
    "worst.png", "kinds.png", "strata.png",
)  # fmt: skip
WORST = 12  # pictures in the gallery
BOOTSTRAP = Compare(resamples=2000, seed=42)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", required=True, type=Path, help="folder of pictures")
    parser.add_argument("--masks", required=True, type=Path, help="folder of their masks")
    parser.add_argument("--out", required=True, type=Path, help="folder that is written")
    parser.add_argument("--force", action="store_true", help="replace outputs that are there")
    add_model_options(parser)


def run(options: argparse.Namespace) -> int:
    pairs = list_pairs(options.images, options.masks)
    refuse_existing([options.out / name for name in OUTPUTS], options.force)
    predictor = open_chosen(options)
    rows, cells, failed = [], [], 0
    for judged in judge_pairs(pairs, predictor, lambda items: tqdm(items, desc="evaluate")):
        if not isinstance(judged, Judged):
            failed += 1
            tqdm.write(on_screen(judged[1]), file=sys.stderr)
            continue
        rows.append(judged.row)
        title = {f"{judged.row['kind']}, Dice {judged.row['dice']:.3f}": judged.prediction}
        cell = shrink_cell(Cell(judged.name, judged.picture, judged.mask, title))
        cells = sorted([*cells, (judged.row["dice"], cell)], key=lambda pair: pair[0])[:WORST]
    if not rows:
        raise ValueError(f"none of the {len(pairs)} pairs of {options.images} could be read")
    images = pd.DataFrame(rows)
    write_tables(options.out, images, failed)
    draw_gallery(options.out / "worst.png", [cell for _, cell in cells], "Worst pictures", 2)
    return 1 if failed else 0


def write_tables(out: Path, images: pd.DataFrame, failed: int) -> None:
    """All tables and charts but the gallery, and the summary on the screen."""
    dice = bootstrap_mean(images["dice"].to_numpy(), BOOTSTRAP)
    interval = {"dice_low": dice.low, "dice_high": dice.high, "failed": failed}
    summary = summarize_pairs(images) | interval
    kinds = budget_pixels(images)
    strata = score_strata(images["dice"], assign_strata(images, find_limits(images)), BOOTSTRAP)
    write_table(out / "images.csv", images)
    write_table(out / "kinds.csv", kinds)
    write_table(out / "strata.csv", strata)
    write_table(out / "warnings.csv", tabulate_warnings(images))
    draw_kinds(out / "kinds.png", kinds, "Pictures and wrong pixels by kind of error")
    if len(strata):
        draw_strata(out / "strata.png", strata, "Dice by stratum")
    write_json(out / METRICS, summary)
    span = "" if dice.low is None else f" (95 % interval {dice.low:.4f} to {dice.high:.4f})"
    print(f"{len(images)} pictures: Dice {dice.mean:.4f}{span}, IoU {summary['miou']:.4f}: {out}")
