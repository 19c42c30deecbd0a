"""The ablation's runs: train a variant without one fold, and judge that fold.

    python -m experiments.screen SCHEDULE                 every run that is not there yet
    python -m experiments.screen SCHEDULE --minutes 60    those that can begin within an hour,
                                          --jobs 2        two at a time
    python -m experiments.screen SCHEDULE VARIANT FOLD    one, as experiments/dvc.yaml calls it

Reads   experiments/variants.yaml, data/raw/, data/split.csv, experiments/{findings.yaml,
        sampling.csv}: every remedy of the error analysis but flips, as it asked for them when the
        ablation was planned, switched on
Writes  experiments/runs/SCHEDULE/VARIANT/fold-K/images.csv, a row for each image of the fold:
        name, dice, iou, nsd, at original size
        experiments/runs/SCHEDULE/VARIANT/fold-K/run.json: fingerprints of the run and of its
        training, device, torch, threads, and the last epoch of its history

An interrupted run goes on after its last epoch. Variants that differ in how answers are read alone
share their trainings, which are kept in .effiseg/experiments/.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from effiseg.arrays import Arrays, read_resized
from effiseg.distribution import Group
from effiseg.files import write_json, write_table
from effiseg.params import as_plain
from effiseg.precision import choose_algorithms, pick_device
from effiseg.predict import predict_probabilities
from effiseg.remedies import Remedies, read_remedies
from effiseg.scoring import score_probabilities
from effiseg.weights import read_model
from experiments.engine import fingerprint_run
from experiments.plan import (
    SCREENING,
    Parts,
    Variant,
    divide_images,
    path_of,
    read_checked,
    read_fold_seed,
    read_folds,
    read_variants,
)
from stages.fit import OF_PREDICTION, fit
from stages.modules import list_modules
from stages.paths import RAW, SPLIT

REMEDIES = [Path("experiments/findings.yaml"), Path("experiments/sampling.csv")]
TRAINED = Path(".effiseg/experiments")
SCORES = ["dice", "iou", "nsd"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("schedule", help="of experiments/variants.yaml")
    parser.add_argument("variant", nargs="?", help="else all")
    parser.add_argument("fold", nargs="?", type=int, help="else all")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no run later")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    options = parser.parse_args()
    variants = read_variants(options.schedule)
    if options.variant not in (None, *variants):
        parser.error(f"unknown variant {options.variant}; known are {', '.join(variants)}")
    if options.fold is not None:
        run(variants[options.variant], options.fold)
        return
    everything = variants if options.schedule == SCREENING else read_checked()
    asked = [options.variant] if options.variant else everything
    end = time.monotonic() + 60 * options.minutes
    run_all([variants[name] for name in asked], options.jobs, end)


def run_all(variants: list[Variant], jobs: int, end: float) -> None:
    """Every run that is missing and can begin before `end`, each in its own process.

    Those that share a training follow one another. Raises CalledProcessError where one failed.
    """
    groups: dict[str, list[tuple[Variant, int]]] = {}
    for variant in variants:
        for fold in read_folds():
            if not is_done(variant, fold):
                key = fingerprint(variant, fold, OF_PREDICTION)
                groups.setdefault(key, []).append((variant, fold))
    threads = str(max(1, (os.cpu_count() or 1) // jobs))

    def run_group(group: list[tuple[Variant, int]]) -> None:
        for variant, fold in group:
            if time.monotonic() < end:
                command = [sys.executable, "-m", "experiments.screen"]
                command += [variant.schedule, variant.name, str(fold)]
                subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": threads})

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run_group, groups.values()))


def is_done(variant: Variant, fold: int) -> bool:
    """Whether the result of exactly this run is there."""
    record = path_of(variant, fold) / "run.json"
    return record.is_file() and json.loads(record.read_text())["run"] == fingerprint(variant, fold)


def run(variant: Variant, fold: int) -> None:
    """One variant without one fold; nothing where its result is there."""
    if is_done(variant, fold):
        return
    folder = path_of(variant, fold)
    parts = divide_images(fold, variant.recipe.weights)
    trained = train_once(variant, fold, parts)
    arrays = load_arrays(tuple(parts.judged), variant.recipe.size)
    recipe, network = variant.recipe, read_model(trained).network
    probability = predict_probabilities(
        network, arrays.images, recipe.test_flips, recipe.test_scales
    )
    scored = score_probabilities(probability, arrays.masks, parts.judged, RAW, variant.threshold)
    rows = [{"name": image.name} | image.scores for image in scored]
    table = pd.DataFrame(rows)[["name", *SCORES]]
    model = json.loads((trained / "model.json").read_text(encoding="utf-8"))
    last = pd.read_csv(trained / "history.csv").iloc[-1]
    write_table(folder / "images.csv", table)
    record = {"run": fingerprint(variant, fold), "training": trained.name}
    record |= {"threads": torch.get_num_threads()}
    record |= {key: model[key] for key in ("device", "torch")} | last.to_dict()
    write_json(folder / "run.json", record)
    print(f"{variant.name}, fold {fold}: Dice {table['dice'].mean():.4f}", flush=True)


def train_once(variant: Variant, fold: int, parts: Parts) -> Path:
    """The folder of the trained model; it is trained unless it is there."""
    folder = TRAINED / fingerprint(variant, fold, OF_PREDICTION)
    if (folder / "weights.sha256").is_file():
        return folder
    train = dataclasses.replace(variant.train, seed=fold)
    choose_algorithms(train.deterministic)
    arrays = [load_arrays(tuple(p), variant.recipe.size) for p in (parts.learnt, parts.chosen_by)]
    remedies = Remedies()
    if variant.recipe.follow_findings:
        remedies = read_remedies(*REMEDIES, parts.learnt)
    group = Group(0, 1, pick_device())
    names = parts.learnt
    inputs = list_inputs(variant) + list_modules(Path(__file__))
    fit(folder, arrays, train, variant.recipe, remedies, inputs, group, names=names)
    return folder


def fingerprint(variant: Variant, fold: int, without: tuple[str, ...] = ()) -> str:
    """Of one variant without one fold: see `fingerprint_run`."""
    settings = {"fold": fold, "fold_seed": read_fold_seed(), "train": as_plain(variant.train)}
    inputs, entry = list_inputs(variant), Path(__file__)
    return fingerprint_run(settings, variant.recipe, variant.threshold, inputs, entry, without)


def list_inputs(variant: Variant) -> list[Path]:
    """The files that decide a training, beside the images and the code."""
    return [SPLIT, *(REMEDIES if variant.recipe.follow_findings else [])]


@cache
def load_arrays(names: tuple[str, ...], size: int) -> Arrays:
    """The images `names` at `size`, as the stage `prepare` makes them."""
    images, masks = zip(*read_resized(RAW, names, size), strict=True)
    return Arrays(np.stack(images), np.stack(masks))


if __name__ == "__main__":
    main()
