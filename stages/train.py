"""Stages train_baseline and train_improved: the same code with another section of parameters.

Reads   params.yaml [train, NAME], data/split.csv, data/arrays/NAME/; where NAME.follow_findings
        is true also analysis/{findings.yaml, sampling.csv}
Writes  models/NAME/{weights.safetensors, weights.sha256, model.json, history.csv}

An interrupted training goes on after its last complete epoch (see stages.fit).
"""

from functools import partial
from pathlib import Path

from effiseg.arrays import read_arrays, select_rows
from effiseg.distribution import Group
from effiseg.params import load_section
from effiseg.recipe import Recipe, Train
from effiseg.remedies import Remedies, read_remedies
from effiseg.split import read_split
from stages.alone import run_alone
from stages.fit import fit, start
from stages.modules import list_modules
from stages.paths import FINDINGS, SAMPLING, SPLIT, arrays_of


def main(name: str) -> None:
    params = load_section("train", Train)
    start("stages.train", name, params, partial(train_model, name, params, Path("models") / name))


def train_model(name: str, params: Train, folder: Path, group: Group) -> None:
    recipe = load_section(name, Recipe)
    if name == "baseline" and recipe.follow_findings:
        raise ValueError(
            "params.yaml: baseline.follow_findings is true; expected false: the findings are made "
            "from the trained baseline"
        )
    split, arrays = read_split(SPLIT), read_arrays(arrays_of(name))
    training, validation = (
        select_rows(arrays, split["split"] == part) for part in ("train", "validation")
    )
    remedies, inputs = Remedies(), [SPLIT, *sorted(arrays_of(name).iterdir())]
    inputs += list_modules(Path(__file__))
    if recipe.follow_findings:
        names = list(split["name"][split["split"] == "train"])
        remedies = read_remedies(FINDINGS, SAMPLING, names)
    fit(folder, (training, validation), params, recipe, remedies, inputs, group)


if __name__ == "__main__":
    run_alone(main)
