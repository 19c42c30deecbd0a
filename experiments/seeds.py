"""A model of the pipeline trained with another seed, and its scores on the test images.

    python -m experiments.seeds improved 43

Reads   params.yaml [train, MODEL, evaluate], data/raw/, data/split.csv, data/arrays/MODEL/; where
        MODEL.follow_findings is true also analysis/{findings.yaml, sampling.csv}
Writes  experiments/seeds/MODEL/seed-K/images.csv, as stages/evaluate.py describes it
        experiments/seeds/MODEL/seed-K/{history.csv, model.json}, as in models/
        experiments/seeds/MODEL/seed-K/run.json: fingerprint of what was trained and how it was read

An interrupted training goes on after its last epoch. The weights stay in .effiseg/experiments/, so
that other answers of the same training (flips, threshold) need no other one.
"""

import dataclasses
import json
import sys
from pathlib import Path

import pandas as pd

from effiseg.distribution import Group
from effiseg.files import write_bytes, write_json, write_table
from effiseg.params import as_plain, load_section
from effiseg.precision import choose_algorithms, pick_device
from effiseg.recipe import Recipe, Train
from effiseg.remedies import list_followed, read_findings
from effiseg.scoring import Evaluate
from experiments.engine import fingerprint_run
from stages.evaluate import add_facts, score_test_images
from stages.fit import OF_PREDICTION
from stages.paths import FINDINGS, SAMPLING, SPLIT
from stages.train import train_model

SEEDS, TRAINED = Path("experiments/seeds"), Path(".effiseg/experiments")


def main(name: str, seed: str) -> None:
    params = dataclasses.replace(load_section("train", Train), seed=int(seed))
    threshold, out = load_section("evaluate", Evaluate).threshold, SEEDS / name / f"seed-{seed}"
    folder = TRAINED / fingerprint(name, params, OF_PREDICTION)
    if not (folder / "weights.sha256").is_file():
        choose_algorithms(params.deterministic)
        train_model(name, params, folder, Group(0, 1, pick_device()))

    scored = score_test_images(name, folder, threshold)
    images = add_facts(pd.DataFrame([{"name": image.name} | image.scores for image in scored]))
    write_table(out / "images.csv", images)
    for file in ("history.csv", "model.json"):
        write_bytes(out / file, (folder / file).read_bytes())
    write_json(out / "run.json", {"run": fingerprint(name, params), "training": folder.name})
    print(f"{name}, seed {seed}: Dice {images['dice'].mean():.4f}")


def fingerprint(name: str, params: Train, without: tuple[str, ...] = ()) -> str:
    """Of one model with the seed of `params`: see `fingerprint_run`."""
    recipe, threshold = load_section(name, Recipe), load_section("evaluate", Evaluate).threshold
    settings, inputs, entry = {"train": as_plain(params)}, [SPLIT], Path(__file__)
    if recipe.follow_findings:  # what they ask for decides, not their wording or evidence
        followed = list_followed(read_findings(FINDINGS))
        of_training = [remedy for remedy in followed if remedy["kind"] != "test_flips"]
        settings["remedies"] = of_training if without else followed
        inputs.append(SAMPLING)
    return fingerprint_run(settings, recipe, threshold, inputs, entry, without)


def label_of(folder: Path) -> str:
    """K of MODEL/seed-K, or K-WHERE of MODEL/seed-K-WHERE: the same seed, trained elsewhere.

    Another kind of processor rounds differently, so that this is another training.
    """
    return folder.name.removeprefix("seed-")


def require_current(folder: Path) -> None:
    """Raises ValueError where a seed's folder is of another recipe than params.yaml has now."""
    name, seed = folder.parent.name, int(label_of(folder).split("-")[0])
    params = dataclasses.replace(load_section("train", Train), seed=seed)
    found = json.loads((folder / "run.json").read_text(encoding="utf-8"))["run"]
    if found != fingerprint(name, params):
        raise ValueError(
            f"{folder} was trained with another recipe, or other remedies of the findings, than "
            "params.yaml and analysis/findings.yaml have now: delete it, or run "
            f"`python -m experiments.seeds {name} {seed}`"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
