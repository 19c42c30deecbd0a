"""What is written: models, figures, reports, and the committed results."""

import dataclasses
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from effiseg.figures import BLUE, GREEN, STRENGTH, YELLOW, Cell, draw_gallery, overlay_errors
from effiseg.files import sha256_of
from effiseg.model import build_model
from effiseg.params import load_section
from effiseg.recipe import Recipe
from effiseg.remedies import read_findings
from effiseg.weights import read_model, write_model
from stages.modules import list_modules

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import demo  # noqa: E402
import mend_lock  # noqa: E402
import setup_environment  # noqa: E402
import update_readme  # noqa: E402
import verify_cache  # noqa: E402

RECIPE = dataclasses.replace(
    load_section("improved", Recipe, ROOT / "params.yaml"),
    decoder_channels=8,
    upsampling="bilinear",
    size=64,
)


def save_model(folder):
    torch.manual_seed(0)
    network = build_model(RECIPE.encoder, False, 8, "bilinear").eval()
    write_model(folder, network.state_dict(), RECIPE, "cpu")
    return network


def test_a_model_comes_back_as_it_was_written(tmp_path):
    network, images = save_model(tmp_path), torch.rand(1, 3, 64, 64)
    loaded = read_model(tmp_path)
    assert (loaded.size, loaded.network.upsampling) == (64, "bilinear")
    with torch.inference_mode():
        assert torch.equal(loaded.network(images), network(images))


def test_damaged_weights_are_refused(tmp_path):
    save_model(tmp_path)
    path = tmp_path / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"weights\.safetensors has sha256 .*damaged or exchanged"):
        read_model(tmp_path)


def test_overlays_tint_each_pixel_by_what_the_prediction_does():
    image = np.full((40, 40, 3), 100, np.uint8)
    mask, prediction = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    mask[5:35, 5:20], prediction[5:35, 10:30] = True, True
    overlay = overlay_errors(image, prediction, mask)
    for colour, pixel in ((GREEN, (20, 15)), (YELLOW, (20, 25)), (BLUE, (20, 7))):
        tinted = (1 - STRENGTH[colour]) * 100 + STRENGTH[colour] * np.array(colour)
        assert np.abs(overlay[pixel] - tinted).max() <= 1
    assert overlay[38, 38].tolist() == [100, 100, 100]
    assert overlay[20, 5].tolist() == [255, 255, 255]  # the annotation's outline


def test_the_same_gallery_is_the_same_bytes(tmp_path):
    mask = np.zeros((40, 50), bool)
    mask[5:20, 5:20] = True
    cell = Cell("name", np.zeros((40, 50, 3), np.uint8), mask, {"a": ~mask})
    for name in ("first.png", "second.png"):
        draw_gallery(tmp_path / name, [cell] * 4, "title", 2)
    first = (tmp_path / "first.png").read_bytes()
    assert first == (tmp_path / "second.png").read_bytes()
    assert cv2.imread(str(tmp_path / "first.png")).shape[2] == 3
    assert b"Matplotlib" not in first


def read_json(name):
    return json.loads((ROOT / "metrics" / f"{name}.json").read_text(encoding="utf-8"))


def test_committed_results_come_from_the_committed_code():
    """The lock's checksums are those of the code, data lists and small results in the tree."""
    for file in ("dvc.lock", "experiments/dvc.lock"):
        lock = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))["stages"]
        for stage, content in lock.items():
            for entry in [*content["deps"], *content["outs"]]:
                path = ROOT / entry["path"]
                if path.is_file():
                    md5 = hashlib.md5(path.read_bytes()).hexdigest()
                    assert md5 == entry["md5"], f"{stage}: {entry['path']} changed: run `dvc repro`"


@pytest.mark.parametrize("name", ["screen", "seeds"])
def test_committed_runs_of_the_experiments_come_from_the_committed_code(name):
    modules = list_modules(ROOT / "experiments" / f"{name}.py")
    expected = [f"{sha256_of(path)}  {path.relative_to(ROOT).as_posix()}" for path in modules]
    listed = (ROOT / "experiments" / f"{name}.sha256").read_text(encoding="utf-8").splitlines()
    assert listed == expected, "run the experiments again, or `python -m experiments.record`"


def test_committed_scores_fit_together():
    baseline, improved, comparison = map(read_json, ("baseline", "improved", "comparison"))
    assert comparison["dice_gain"] == pytest.approx(improved["dice"] - baseline["dice"], abs=2e-6)
    assert comparison["wins"] + comparison["losses"] + comparison["ties"] == baseline["images"]


def test_the_committed_analysis_adds_up():
    images, kinds, strata = (
        pd.read_csv(ROOT / "analysis" / f"{name}.csv") for name in ("images", "kinds", "strata")
    )
    split = pd.read_csv(ROOT / "data" / "split.csv").set_index("name")["split"]
    assert sorted(images["name"]) == sorted(split[split != "test"].index)
    assert kinds.set_index("kind")["images"].to_dict() == images["kind"].value_counts().to_dict()
    for share in ("share_of_images", "share_of_fn_pixels", "share_of_fp_pixels"):
        assert kinds[share].sum() == pytest.approx(1.0, abs=1e-4)
    findings = read_findings(ROOT / "analysis" / "findings.yaml")
    for finding in findings:
        if finding["switched_on"] and finding["prediction"]["stratum"] != "all images":
            row = strata.set_index("stratum").loc[finding["prediction"]["stratum"]]
            assert finding["evidence"]["difference"] == pytest.approx(row["difference"], rel=1e-3)
            assert finding["evidence"]["images"] == row["images"]
    checked = pd.read_csv(ROOT / "metrics" / "predictions.csv")
    assert list(checked["finding"]) == [f["id"] for f in findings if f["switched_on"]]


def test_the_readme_tells_the_committed_numbers():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert update_readme.fill(readme, ROOT) == readme, "run: python tools/update_readme.py"


def test_the_plot_page_needs_no_network():
    page = (ROOT / ".dvc" / "vega.html").read_text(encoding="utf-8")
    assert "{plot_divs}" in page
    assert re.findall(r"<(?:script|link)[^>]+(?:src|href)=", page) == []


def git(*arguments, folder):
    return subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    if not (ROOT / ".git").exists():
        pytest.skip("revisions are named in a git clone; this is a copy without history")
    folder = tmp_path_factory.mktemp("clone") / "effiseg"
    git("clone", "--quiet", str(ROOT), str(folder), folder=ROOT)
    return folder


def test_revisions_compare_the_two_models_in_a_bare_clone(clone):
    tool = [sys.executable, str(ROOT / "tools" / "revisions.py")]
    for _ in range(2):  # it can be repeated
        subprocess.run(tool, cwd=clone, check=True, capture_output=True)
    assert git("status", "--porcelain", folder=clone) == ""
    diff = subprocess.run(
        [sys.executable, "-m", "dvc", "metrics", "diff", "baseline", "improved", "--json"],
        cwd=clone,
        check=True,
        capture_output=True,
        text=True,
    )
    scores = json.loads(diff.stdout)["metrics/metrics.json"]
    committed = {
        name: json.loads(git("show", f"HEAD:metrics/{name}.json", folder=clone))
        for name in ("baseline", "improved")
    }
    for key in ("dice", "miou"):
        assert scores[key]["old"] == committed["baseline"][key]
        assert scores[key]["new"] == committed["improved"][key]


def test_the_demo_changes_only_known_parameters(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes((ROOT / "params.yaml").read_bytes())
    demo.set_params(path, demo.SETTINGS)
    changed = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert changed["data"]["source"] == "demo"
    with pytest.raises(KeyError, match=r"has no key train\.epoch"):
        demo.set_params(path, {"train.epoch": 1})


def test_a_damaged_object_of_the_cache_is_found(tmp_path):
    for name, content in (("", b"a file"), (".dir", b"[]")):
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        path = tmp_path / "files" / "md5" / digest[:2] / f"{digest[2:]}{name}"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        assert list(verify_cache.find_damaged(tmp_path)) == []
    path.write_bytes(b"[0]")
    assert list(verify_cache.find_damaged(tmp_path)) == [path]


def test_a_lock_of_running_commands_that_was_cut_off_is_removed_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(mend_lock, "MOMENT", 0)
    lock = tmp_path / ".dvc" / "tmp" / "rwlock"
    assert mend_lock.main(tmp_path) == []  # there is none
    lock.parent.mkdir(parents=True)
    for content, stays in (("{}", True), ('{"write": {"a": {"pid"', False), ("", False)):
        lock.write_text(content)
        mend_lock.main(tmp_path)
        assert lock.exists() == stays


@pytest.mark.parametrize("name", mend_lock.LOCKS)
def test_a_lock_of_stages_that_was_cut_off_keeps_those_that_are_whole(name, tmp_path, monkeypatch):
    monkeypatch.setattr(mend_lock, "MOMENT", 0)
    text = (ROOT / name).read_text(encoding="utf-8")
    stages = yaml.safe_load(text)["stages"]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    assert mend_lock.main(tmp_path) == []
    for length in np.random.default_rng(0).integers(0, len(text), 12):
        path.write_text(text[:length], encoding="utf-8")
        mend_lock.main(tmp_path)
        kept = yaml.safe_load(path.read_text(encoding="utf-8"))["stages"] if path.exists() else {}
        *whole, last = kept or [None]
        assert all(kept[stage] == stages[stage] for stage in whole)
        # Cut between two of its files, the last one is whole as far as DVC can tell: it runs again.
        assert last is None or mend_lock.is_whole_stage(kept[last])
        assert len(kept) >= list(stages).index(last) if last else length < 3000


def test_an_interrupted_set_up_begins_anew_and_no_other_folder_is_emptied(tmp_path):
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "setup_environment.py", tmp_path / "tools")
    (tmp_path / "requirements.lock").write_text("")
    (tmp_path / "pyproject.toml").write_text("no project: pip ends here")
    (tmp_path / ".venv").mkdir()
    left = tmp_path / ".venv" / "left.txt"
    left.write_text("of somebody else, or half a package")
    for is_there in (True, False):
        command = [sys.executable, str(tmp_path / "tools" / "setup_environment.py")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode != 0
        assert "Run this again" in done.stderr
        assert left.exists() == is_there


def test_the_environment_follows_its_inputs(tmp_path):
    for name in setup_environment.INPUTS:
        (tmp_path / name).write_text("a", encoding="utf-8")
    before = setup_environment.fingerprint(tmp_path)
    (tmp_path / "requirements.lock").write_text("b", encoding="utf-8")
    assert setup_environment.fingerprint(tmp_path) != before
