"""The ablation: its plan, who is judged by whom, which runs are the same, and a tiny one."""

import collections
import json
import shutil
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from test_pipeline import make_copy

import stages.fetch
import stages.split
from effiseg.arrays import read_resized
from effiseg.augment import Augmentation
from effiseg.findings import write_findings
from effiseg.images import read_mask
from effiseg.model import build_model
from effiseg.params import as_plain
from effiseg.predict import predict_probabilities
from effiseg.split import read_split
from effiseg.weights import read_model
from experiments import screen
from experiments.plan import (
    PLAN,
    REFERENCE,
    SCREENING,
    divide_images,
    path_of,
    read_checked,
    read_folds,
    read_variants,
)
from experiments.screen import TRAINED, fingerprint, is_done, run
from stages.fit import OF_PREDICTION

ROOT = Path(__file__).resolve().parents[1]
COMMITTED = yaml.safe_load((ROOT / PLAN).read_text(encoding="utf-8"))
SCHEDULES, VARIANTS = list(COMMITTED["schedules"]), list(COMMITTED["variants"])
FOLDS = range(5)


@pytest.fixture
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def change_plan(**sections):
    """The committed plan with keys of its sections changed; None takes a key out."""
    plan = yaml.safe_load((ROOT / PLAN).read_text(encoding="utf-8"))
    for name, changes in sections.items():
        if not isinstance(changes, dict):
            plan[name] = changes
            continue
        plan[name] = {k: v for k, v in (plan[name] | changes).items() if v is not None}
    return plan


def write_plan(path, plan):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")


@pytest.fixture
def use_plan(at_root, tmp_path, monkeypatch):
    """A function that puts a changed plan in the place of the committed one."""

    def use(**sections):
        write_plan(tmp_path / "variants.yaml", change_plan(**sections))
        monkeypatch.setattr("experiments.plan.PLAN", tmp_path / "variants.yaml")

    return use


# The plan


def settings_of(variant):
    return as_plain(variant.train) | as_plain(variant.recipe) | {"threshold": variant.threshold}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_the_published_recipe_with_its_changes_and_no_other(name, schedule, at_root):
    variants = read_variants(schedule)
    ours, published = settings_of(variants[name]), settings_of(variants[REFERENCE])
    changes = {key: value for key, value in ours.items() if value != published[key]}
    written = {k: tuple(v) if isinstance(v, list) else v for k, v in variants[name].changes.items()}
    assert changes == written
    asked = COMMITTED["schedules"][schedule]
    assert {key: published[key] for key in asked} == asked


@pytest.mark.parametrize("name", VARIANTS)
def test_what_a_variant_names_can_be_built(name, at_root):
    recipe = read_variants(SCREENING)[name].recipe
    Augmentation(recipe.augmentation, recipe.additions)
    with torch.device("meta"):
        build_model(recipe.encoder, False, recipe.decoder_channels, recipe.upsampling)


def test_the_plan_names_variants_and_folds_that_there_are(at_root):
    assert set(read_checked()) <= set(VARIANTS)
    assert len(set(read_folds())) == len(read_folds())
    assert set(read_folds()) <= set(FOLDS)
    assert VARIANTS[0] == REFERENCE
    assert REFERENCE in read_checked()
    assert COMMITTED["variants"][REFERENCE] == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.1}, r"variants\.odd sets \['learning_rate'\]; known are \['add"),
        ({"epochs": "many"}, r"variants\.odd\.epochs is 'many'; expected a whole number"),
        ({"lr": "1"}, r"variants\.odd\.lr is '1'; expected a number"),
        ({"test_flips": 1}, r"variants\.odd\.test_flips is 1; expected true or false"),
        ({"additions": "blur"}, r"variants\.odd\.additions is 'blur'; expected a list, each a te"),
        ({"augmentation": "wild"}, r"variants\.odd\.augmentation is 'wild'; expected one of 'non"),
        ({"copy_paste": 2}, r"variants\.odd\.copy_paste is 2\.0; expected 0 to 1"),
        ({"threshold": 1.5}, r"variants\.odd\.threshold is 1\.5; expected between 0 and 1"),
    ],
)
def test_a_change_that_nothing_understands_is_refused(use_plan, changes, message):
    use_plan(variants={"odd": changes})
    with pytest.raises(ValueError, match=rf"variants\.yaml: {message}"):
        read_variants(SCREENING)


def test_a_schedule_that_is_not_planned_is_refused(at_root):
    with pytest.raises(ValueError, match=r"has no schedule 'short'; known are \['screening', "):
        read_variants("short")


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"schedules": {SCREENING: {"sise": 128, "epochs": 12}}}, "sise"),
        ({"recipe": {"multiscale": True}}, "multiscale"),
        ({"train": {"learning_rate": 0.1}}, "learning_rate"),
        ({"recipe": {"multi_scale": None}}, r"'[\w.]*multi_scale' is missing"),
    ],
    ids=["in a schedule", "in the recipe", "in train", "missing"],
)
def test_a_key_of_the_plan_that_is_unknown_or_missing_is_refused(use_plan, sections, message):
    use_plan(**sections)
    with pytest.raises(ValueError, match=message):
        read_variants(SCREENING)


# Who is judged by whom


@pytest.fixture(scope="module")
def split():
    return read_split(ROOT / "data" / "split.csv").set_index("name")


each_policy = pytest.mark.parametrize("weights", ["last", "best"])


@each_policy
def test_every_image_that_is_not_for_testing_is_judged_once(weights, split, at_root):
    judged = [name for fold in FOLDS for name in divide_images(fold, weights).judged]
    assert len(judged) == 900
    assert sorted(judged) == sorted(split.index[split["split"] != "test"])


@each_policy
@pytest.mark.parametrize("fold", FOLDS)
def test_no_image_is_judged_by_what_has_learnt_from_it(fold, weights, split, at_root):
    parts = divide_images(fold, weights)
    assert not set(parts.learnt) & set(parts.judged)
    assert all(len(names) == len(set(names)) for names in parts)
    assert all("test" not in set(split.loc[names, "split"]) for names in parts)
    together = [set(split.loc[names, "group"]) - {-1} for names in (parts.learnt, parts.judged)]
    assert not together[0] & together[1]  # no near duplicate either
    assert divide_images(fold, weights) == parts


@pytest.mark.parametrize("fold", FOLDS)
def test_the_best_epoch_is_chosen_by_images_that_are_not_judged(fold, split, at_root):
    learnt, chosen_by, judged = divide_images(fold, "best")
    assert not set(chosen_by) & (set(learnt) | set(judged))
    groups = [set(split.loc[names, "group"]) - {-1} for names in (learnt, chosen_by, judged)]
    assert not groups[1] & (groups[0] | groups[2])
    assert len(chosen_by) == pytest.approx((900 - len(judged)) / 10, abs=6)
    plain = divide_images(fold, "last")
    assert plain.judged == judged  # so that variants are compared on the same images
    assert sorted(learnt + chosen_by) == sorted(plain.learnt)
    assert plain.chosen_by == judged  # nothing is chosen by them


def test_images_come_in_the_order_of_the_split_table(split, at_root):
    for names in divide_images(0, "best"):
        rows = split.index.get_indexer(names)
        assert (np.diff(rows) > 0).all()


# Which runs are the same


def test_variants_that_differ_in_prediction_alone_share_a_training(at_root):
    groups = collections.defaultdict(set)
    for variant in read_variants(SCREENING).values():
        groups[fingerprint(variant, 0, OF_PREDICTION)].add(variant.name)
    shared = [names for names in groups.values() if len(names) > 1]
    assert shared == [{"published", "flips", "scales", "flips_scales", "earlier_6"}]


def test_variants_and_folds_that_share_a_training_are_runs_of_their_own(at_root):
    variants = read_variants(SCREENING).values()
    runs = [(variant, fold) for variant in variants for fold in (0, 1)]
    assert len({fingerprint(*each) for each in runs}) == len(runs)
    trainings = {fingerprint(*each, OF_PREDICTION) for each in runs}
    assert len(trainings) == len(runs) - 2 * 4  # four variants share the reference's


def test_a_training_follows_the_schedule(at_root):
    found = {fingerprint(read_variants(s)[REFERENCE], 0, OF_PREDICTION) for s in SCHEDULES}
    assert len(found) == len(SCHEDULES)


def test_other_images_in_the_folds_make_another_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_plan(tmp_path / PLAN, COMMITTED)
    (tmp_path / "data").mkdir()
    table = pd.read_csv(ROOT / "data" / "split.csv")
    table.to_csv("data/split.csv", index=False)
    before = divide_images(0, "last"), fingerprint(read_variants(SCREENING)[REFERENCE], 0)
    table.loc[table.index[table["split"] == "train"][0], "split"] = "test"
    table.to_csv("data/split.csv", index=False)
    after = divide_images(0, "last"), fingerprint(read_variants(SCREENING)[REFERENCE], 0)
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_folds_of_another_seed_make_another_run_and_another_training(use_plan):
    def describe():
        variant = read_variants(SCREENING)[REFERENCE]
        return divide_images(0, "last"), *(fingerprint(variant, 0, w) for w in ((), OF_PREDICTION))

    before = describe()
    use_plan(fold_seed=COMMITTED["fold_seed"] + 1)
    after = describe()
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert before[2] != after[2]


# A tiny ablation


TINY = {
    "train": {"pretrained": False, "batch_size": 4},
    "recipe": {"size": 32, "epochs": 1, "decoder_channels": 8},
    "schedules": {SCREENING: {"size": 32, "epochs": 1}},
    "folds": [0],
    "checked": [REFERENCE],
}


def write_remedies(folder):
    """What an error analysis might have asked for: small polyps thrice, another loss, no blur."""
    split = pd.read_csv("data/split.csv")
    images = split[split["split"] != "test"]
    weights = np.where(images["area_fraction"] < 0.05, 3.0, 1.0)
    table = pd.DataFrame({"name": images["name"], "weight": weights})
    folder.mkdir(exist_ok=True)
    table.to_csv(folder / "sampling.csv", index=False)
    remedies = [
        {"kind": "sampling", "stratum": "small polyp", "weight": 3.0},
        {"kind": "augmentation", "name": "blur"},
        {"kind": "loss", "false_negative_weight": 0.6},
    ]
    write_findings(
        folder / "findings.yaml",
        [{"id": str(n), "switched_on": n != 1, "remedy": r} for n, r in enumerate(remedies)],
    )


def tiny(name=REFERENCE):
    return read_variants(SCREENING)[name]


@pytest.fixture(scope="module")
def screened(tmp_path_factory):
    """A folder with 40 synthetic images where two variants that share a training were run."""
    folder = tmp_path_factory.mktemp("ablation").resolve()
    make_copy(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("KVASIR_SEG_ARCHIVE", str(folder / "archive"))
        stages.fetch.main()
        stages.split.main()
        write_remedies(folder / "experiments")
        write_plan(folder / PLAN, change_plan(**TINY))
        for name in (REFERENCE, "flips"):
            assert not is_done(tiny(name), 0)
            run(tiny(name), 0)
    return folder


@pytest.fixture
def ablation(screened, tmp_path, monkeypatch):
    """A copy of that folder, to go on in."""
    shutil.copytree(screened, tmp_path / "ablation")
    monkeypatch.chdir(tmp_path / "ablation")
    return tmp_path / "ablation"


def stamp_files(*folders):
    """When each file was written."""
    files = (path for folder in folders for path in sorted(folder.rglob("*")))
    return {path: path.stat().st_mtime_ns for path in files if path.is_file()}


def list_trainings():
    return sorted(path.parent.name for path in TRAINED.glob("*/weights.safetensors"))


def test_a_run_scores_the_images_it_has_not_learnt_from(ablation):
    parts = divide_images(0, "last")
    images = pd.read_csv(path_of(tiny(), 0) / "images.csv")
    assert list(images.columns) == ["name", "dice", "iou", "nsd"]
    assert list(images["name"]) == parts.judged
    assert images[["dice", "iou", "nsd"]].stack().between(0, 1).all()
    dice = images["dice"].to_numpy()
    assert images["iou"].to_numpy() == pytest.approx(dice / (2 - dice), abs=1e-4)


def test_the_scores_are_those_of_the_kept_model_at_original_size(ablation):
    names = divide_images(0, "last").judged
    network = read_model(TRAINED / fingerprint(tiny(), 0, OF_PREDICTION)).network
    inputs = np.stack([image for image, _ in read_resized(Path("data/raw"), names, 32)])
    for name, with_flips in ((REFERENCE, False), ("flips", True)):
        dices, probability = [], predict_probabilities(network, inputs, with_flips)
        for image, small in zip(names, probability, strict=True):
            mask = read_mask(Path("data/raw/masks") / f"{image}.jpg")
            predicted = cv2.resize(small, mask.shape[::-1]) > 0.5
            dices.append(2 * (predicted & mask).sum() / (predicted.sum() + mask.sum()))
        written = pd.read_csv(path_of(tiny(name), 0) / "images.csv")["dice"]
        assert written.to_numpy() == pytest.approx(dices, abs=1e-5)


def test_what_is_read_in_another_way_is_trained_once(ablation):
    assert list_trainings() == [fingerprint(tiny(), 0, OF_PREDICTION)]
    records = [(path_of(tiny(name), 0) / "run.json").read_text() for name in (REFERENCE, "flips")]
    assert records[0] != records[1]


def test_a_run_that_is_there_is_not_made_again(ablation):
    before = stamp_files(Path("experiments/runs"), Path(".effiseg"))
    assert is_done(tiny(), 0)
    run(tiny(), 0)
    screen.run_all([tiny(REFERENCE), tiny("flips")], 1, float("inf"))
    assert stamp_files(Path("experiments/runs"), Path(".effiseg")) == before


def test_a_result_that_was_removed_is_made_again_from_the_kept_training(ablation):
    folder, trained = path_of(tiny(), 0), stamp_files(TRAINED)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    run(tiny(), 0)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert stamp_files(TRAINED) == trained


def test_a_run_from_nothing_gives_the_same_bytes(ablation):
    folder = path_of(tiny(), 0)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    shutil.rmtree(".effiseg")
    run(tiny(), 0)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_changed_recipe_is_run_again(ablation):
    written = (path_of(tiny(), 0) / "run.json").read_text()
    write_plan(ablation / PLAN, change_plan(**TINY | {"recipe": {"decoder_channels": 6}}))
    assert not is_done(tiny(), 0)
    run(tiny(), 0)
    assert is_done(tiny(), 0)
    assert (path_of(tiny(), 0) / "run.json").read_text() != written
    assert fingerprint(tiny(), 0, OF_PREDICTION) in list_trainings()
    assert len(list_trainings()) == 2


def test_a_changed_threshold_is_scored_again_and_not_trained_again(ablation):
    trained = stamp_files(TRAINED)
    write_plan(ablation / PLAN, change_plan(**TINY | {"threshold": 0.4}))
    assert not is_done(tiny(), 0)
    run(tiny(), 0)
    assert is_done(tiny(), 0)
    assert stamp_files(TRAINED) == trained


def test_a_variant_that_follows_the_findings_trains_otherwise(ablation):
    for name in (REFERENCE, "findings"):
        run(tiny(name), 0)
    plain, following = (
        json.loads((path_of(tiny(name), 0) / "run.json").read_text())
        for name in (REFERENCE, "findings")
    )
    assert plain["training"] != following["training"]
    assert plain["train_loss"] != following["train_loss"]


def test_only_a_recipe_that_follows_the_findings_depends_on_them(ablation):
    before = {name: fingerprint(tiny(name), 0) for name in (REFERENCE, "findings")}
    with Path("experiments/findings.yaml").open("a") as stream:
        stream.write("# changed\n")
    assert fingerprint(tiny(), 0) == before[REFERENCE]
    assert fingerprint(tiny("findings"), 0) != before["findings"]


def test_runs_that_are_missing_are_made_in_processes_of_their_own(ablation, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")
    write_plan(ablation / PLAN, change_plan(**TINY | {"folds": [1]}))
    variants = [tiny(REFERENCE), tiny("flips")]
    screen.run_all(variants, 2, time.monotonic() - 1)
    assert not any(is_done(variant, 1) for variant in variants)  # the time is over
    screen.run_all(variants, 2, float("inf"))
    assert all(is_done(variant, 1) for variant in variants)
    assert len(list_trainings()) == 2  # one a fold


def test_the_command_runs_the_one_that_it_names(ablation, monkeypatch):
    shutil.rmtree(path_of(tiny(), 0))
    shutil.rmtree(path_of(tiny("flips"), 0))
    monkeypatch.setattr(sys, "argv", ["screen", SCREENING, "flips", "0"])
    screen.main()
    assert is_done(tiny("flips"), 0)
    assert not is_done(tiny(), 0)
