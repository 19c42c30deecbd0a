"""Stages crossfit@0 to crossfit@4: a baseline that is trained without one fold, and judges it.

Reads   params.yaml [error_analysis.{folds, fold_epochs, seed}, train, baseline], data/split.csv,
        data/arrays/baseline/
Writes  crossfit/fold-K/names.csv (name: the images of the fold), and beside it, where there are any
        {weights.safetensors, weights.sha256, model.json, history.csv} as in models/,
        probability.npy, (N, S, S) float16: probability of polyp for the rows of names.csv,
        flipped.npy, the same, as the mean over four mirror images

Test images are in no fold. With fewer folds than stages, those left over write an empty list. The
history's validation scores are those of the fold: a baseline may not choose its weights by them.
"""

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np

from effiseg.arrays import read_arrays, select_rows
from effiseg.distribution import Group
from effiseg.files import write_array, write_table
from effiseg.folds import ErrorAnalysis, assign_folds
from effiseg.params import load_section
from effiseg.predict import predict_probabilities
from effiseg.recipe import Recipe, Train
from effiseg.remedies import Remedies
from effiseg.split import read_split
from effiseg.weights import read_model
from stages.alone import run_alone
from stages.fit import fit, start
from stages.modules import list_modules
from stages.paths import SPLIT, arrays_of
from stages.progress import progress


def main(fold: str) -> None:
    params, choice = load_section("train", Train), load_section("error_analysis", ErrorAnalysis)
    folder = Path(f"crossfit/fold-{fold}")
    split = read_split(SPLIT)
    if int(fold) >= choice.folds:
        write_table(folder / "names.csv", split[["name"]].head(0))
        return
    folds = assign_folds(split, choice.folds, choice.seed)
    held_out = split["name"].isin(folds["name"][folds["fold"] == int(fold)])
    learnt = split["name"].isin(folds["name"]) & ~held_out
    work = partial(judge_fold, folder, params, choice.fold_epochs, learnt, held_out)
    start("stages.crossfit", fold, params, work)


def judge_fold(folder: Path, params: Train, epochs: int, learnt, held_out, group: Group) -> None:
    recipe = dataclasses.replace(load_section("baseline", Recipe), epochs=epochs)
    if recipe.weights == "best":
        raise ValueError(
            "params.yaml: baseline.weights is best; expected last or average: with cross-fitting, "
            "the best epoch would be chosen on the images that are to be judged"
        )
    split, arrays = read_split(SPLIT), read_arrays(arrays_of("baseline"))
    parts = select_rows(arrays, learnt), select_rows(arrays, held_out)
    names = list(split["name"][learnt])
    inputs = [SPLIT, *sorted(arrays_of("baseline").iterdir()), *list_modules(Path(__file__))]

    def predict() -> None:
        network, images = read_model(folder).network, parts[1].images
        for file, flips in (("probability.npy", recipe.test_flips), ("flipped.npy", True)):
            bar = progress(f"predict {file}")
            probability = predict_probabilities(network, images, flips, recipe.test_scales, bar)
            write_array(folder / file, probability.astype(np.float16))
        write_table(folder / "names.csv", split.loc[held_out, ["name"]])

    fit(folder, parts, params, recipe, Remedies(), inputs, group, predict, names=names)


if __name__ == "__main__":
    run_alone(main)
