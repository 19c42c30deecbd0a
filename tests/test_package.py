"""The package as it is installed: its wheel holds all it needs, and predicts without a network."""

import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from effiseg.synthetic import draw_frame

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
from demo import copy_tree  # noqa: E402

OFFLINE = """
import socket, sys
def refuse(*_):
    raise AssertionError("a connection was tried")
socket.socket.connect = refuse
import effiseg
assert sys.argv.pop(1) in effiseg.__file__, effiseg.__file__
from effiseg.commands import main
main()
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel of a clean copy, unpacked."""
    copy, wheels, folder = map(tmp_path_factory.mktemp, ("copy", "wheels", "unpacked"))
    copy_tree(ROOT, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--no-index", "--wheel-dir", str(wheels), str(copy)], check=True)
    (wheel,) = wheels.glob("effiseg-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_holds_the_models_the_page_and_the_commands(installed):
    package = installed / "effiseg"
    for name in ("improved", "baseline"):
        assert (package / "shipped" / name / "config.json").is_file()
        assert (package / "shipped" / name / "model.safetensors").stat().st_size < 8_000_000
    assert (package / "page" / "page.js").is_file()
    assert (package / "commands" / "predict.py").is_file()
    entries = next(installed.glob("*.dist-info")) / "entry_points.txt"
    assert "effiseg = effiseg.commands:main" in entries.read_text(encoding="utf-8")


def test_the_installed_package_predicts_without_a_network(installed, tmp_path):
    image = draw_frame(np.random.default_rng(0)).image
    cv2.imwrite(str(tmp_path / "frame.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    arguments = ["predict", "frame.png", "--out", "out", "--backend", "torch"]
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(installed), *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1", "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    mask = cv2.imread(str(tmp_path / "out" / "masks" / "frame.png"), cv2.IMREAD_GRAYSCALE)
    assert mask.shape == image.shape[:2]
    assert set(np.unique(mask)) <= {0, 255}
    row = pd.read_csv(tmp_path / "out" / "predictions.csv").iloc[0]
    assert (row["height"], row["width"]) == image.shape[:2]
    assert row["area_fraction"] == pytest.approx((mask > 0).mean(), rel=1e-4)
