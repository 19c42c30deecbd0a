"""Stages train_baseline and train_improved: the same code with another section of parameters.

Reads   params.yaml [train, model, NAME], data/split.csv, data/arrays/; where NAME.follow_findings
        is true also analysis/{findings.yaml, sampling.csv}
Writes  models/NAME/{weights.safetensors, weights.sha256, model.json, history.csv}

An interrupted training goes on after its last complete epoch (see effiseg.checkpoints).
"""

import sys
from pathlib import Path

import pandas as pd
import torch

from effiseg.arrays import read_arrays, select_rows
from effiseg.checkpoints import FOLDER, fingerprint_of, only_writer
from effiseg.files import write_table
from effiseg.model import Model, build_model
from effiseg.params import as_plain, load_section
from effiseg.precision import pick_device
from effiseg.recipe import Recipe, Train
from effiseg.remedies import Remedies, read_remedies
from effiseg.split import read_split
from effiseg.training import Epoch, train
from effiseg.weights import write_model
from stages.progress import step_progress

FINDINGS, SAMPLING = Path("analysis/findings.yaml"), Path("analysis/sampling.csv")
INPUTS = [Path("data/split.csv"), Path("data/arrays/images.npy"), Path("data/arrays/masks.npy")]


def main(name: str) -> None:
    params, model = load_section("train", Train), load_section("model", Model)
    recipe = load_section(name, Recipe)
    if name == "baseline" and recipe.follow_findings:
        raise ValueError(
            "params.yaml: baseline.follow_findings is true; expected false: the findings are made "
            "from the trained baseline"
        )
    split, arrays = read_split(Path("data/split.csv")), read_arrays(Path("data/arrays"))
    parts = [select_rows(arrays, split["split"] == part) for part in ("train", "validation")]
    names = split["name"][split["split"] == "train"]
    remedies, inputs = Remedies(), INPUTS
    if recipe.follow_findings:
        remedies = read_remedies(FINDINGS, SAMPLING, list(names))
        inputs = [*INPUTS, FINDINGS, SAMPLING]

    choices = [recipe.augmentation, recipe.upsampling, recipe.weights, recipe.follow_findings]
    settings = {"train": as_plain(params), "model": as_plain(model), "recipe": choices}
    state_file = FOLDER / f"{fingerprint_of(settings, inputs)}.pt"

    torch.manual_seed(params.seed)  # the decoder's first weights
    network = build_model(model, recipe.upsampling)
    steps = params.epochs * (len(parts[0].images) // params.batch_size)
    folder, history = Path("models") / name, []
    with only_writer(folder), step_progress(f"train {name}", steps) as bar:
        for epoch, kept in train(
            network, *parts, params, recipe, remedies, state_file, bar.update
        ):
            history.append(epoch)
            write_table(folder / "history.csv", pd.DataFrame(history, columns=Epoch._fields))
            bar.set_postfix_str(f"validation Dice {epoch.validation_dice:.4f}")
        write_model(folder, kept, model, recipe.upsampling, params.size, pick_device().type)
        state_file.unlink()


if __name__ == "__main__":
    main(sys.argv[1])
