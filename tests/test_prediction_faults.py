"""Prediction under faults: large pictures, odd folders, kills, full disks, damaged caches.

Models compute at 64 px, as it is not their answers that are looked at.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_predict import MODEL, draw, files_below, files_in, read_mask, read_table, write_png
from test_predict import write_video as write_clip
from test_training import build

from effiseg import annotate
from effiseg.annotate import annotate_pictures
from effiseg.commands import main
from effiseg.hub import read_config
from effiseg.pictures import list_sources
from effiseg.predictors import Predictor, compute_with

ROOT = Path(__file__).resolve().parents[1]
COMMAND = """
import os, sys
from effiseg.commands import main
from faults import count_writes
stop, largest, *arguments = sys.argv[1:]
if int(stop):
    import signal
    from pathlib import Path
    count_writes(Path(arguments[arguments.index("--out") + 1]), 1, signal.SIGKILL, int(stop))
if int(largest):
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest),) * 2)
main(arguments)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The shipped baseline at 64 px."""
    folder = tmp_path_factory.mktemp("models") / "small"
    shutil.copytree(MODEL, folder)
    config = json.loads((MODEL / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"size": 64}))
    return folder


def options(model, source, out):
    return ["predict", source, "--out", out, "--model", model, "--backend", "torch"]


def call(*arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code


def start(*arguments, stop=0, largest=0):
    """The command in a process of its own; killed before its write of number `stop`, or unable to
    write more than `largest` bytes into a file."""
    paths = os.pathsep.join(map(str, (ROOT / "src", ROOT / "tests")))
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, (stop, largest, *arguments))],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def write_photos(folder, number=8):
    for n in range(number):
        write_png(folder / f"{n:02}.png", cv2.resize(draw(n), (160, 120)))
    return folder


# Memory


def measure(sources, out):
    """Bytes of NumPy and Python at most, with a network that takes its time."""

    def run(images):
        time.sleep(0.05)
        return (images[..., 0] > 99).astype(np.float32)

    predictor = Predictor("slow", read_config(MODEL), "torch", run)
    tracemalloc.start()
    try:
        rows = list(annotate_pictures(sources, predictor, out))
        return rows, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_large_pictures_are_in_memory_alone_and_have_the_same_outputs(tmp_path, monkeypatch):
    for n in range(16):
        size = (100, 80) if n % 5 == 0 else (1000, 900)
        write_png(tmp_path / "in" / f"{n:02}.png", cv2.resize(draw(n % 3), size))
    (tmp_path / "in" / "07.png").write_bytes(b"broken")
    sources, picture = list_sources([str(tmp_path / "in")]), 1000 * 900 * 3
    together, most = measure(sources, tmp_path / "together")
    monkeypatch.setattr(annotate, "LARGE", 100_000)
    alone, least = measure(sources, tmp_path / "alone")
    assert alone == together and [row["name"] for row in alone] == [s.name for s in sources]
    assert files_below(tmp_path / "alone") == files_below(tmp_path / "together")
    assert least < 9 * picture < most


# Folders


@pytest.mark.skipif(sys.platform == "win32", reason="names and kinds of files of Unix")
def test_a_folder_of_odd_files_and_names_is_predicted(model, tmp_path, monkeypatch, capsys):
    photos, content = tmp_path / "in", cv2.imencode(".png", draw(2)[:90, :120])[1].tobytes()
    names = [
        "a.png", "A.png", "A.PNG", "...png", "....png", ". .png", "line\nfeed\t.png",
        "\x1b[31mred.png", "x" * 251 + ".png", "x" * 250 + "y.png", "\u00e9" * 125 + ".png",
    ]  # fmt: skip
    photos.mkdir()
    for name in names:
        (photos / name).write_bytes(content)
    (photos / "\x1b[31mbroken.png").write_bytes(content[:99])
    os.mkfifo(photos / "pipe.png")
    monkeypatch.chdir(photos)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as own:
        own.bind("socket.png")
    (photos / "null.png").symlink_to("/dev/null")
    (photos / "itself.png").symlink_to("itself.png")
    (photos / "nowhere.png").symlink_to("nowhere")
    (photos / "loop").symlink_to(photos)
    (photos / "out of it").symlink_to(tmp_path / "elsewhere")
    write_png(tmp_path / "elsewhere" / "b.png", draw(3))
    before = files_below(tmp_path / "elsewhere")
    assert call(*options(model, photos, tmp_path / "out")) == 1
    table = read_table(tmp_path / "out")
    assert len(table) == len(names) + 1 and (table["error"] != "").sum() == 1
    masks = [read_mask(path) for path in (tmp_path / "out" / "masks").iterdir()]
    assert len(masks) == len(names) and {mask.shape for mask in masks} == {(90, 120)}
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == len(names)
    assert files_below(tmp_path / "elsewhere") == before
    said = capsys.readouterr().err
    assert "\\x1b[31mbroken.png can't be decoded whole" in said and "\x1b[31m" not in said


@pytest.mark.skipif(sys.platform == "win32", reason="kinds of files of Unix")
def test_a_pipe_that_is_given_is_refused_and_not_waited_for(model, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.png")
    assert call(*options(model, tmp_path / "pipe.png", tmp_path / "out")) == 1
    assert "pipe.png: no such file" in capsys.readouterr().err


def test_a_folder_of_ten_thousand_names_is_listed_in_seconds(tmp_path):
    for n in range(10_000):
        (tmp_path / f"{n % 5000}{'.png' if n < 5000 else '.jpg'}").touch()
    begin = time.process_time()
    sources = list_sources([str(tmp_path)])
    assert time.process_time() - begin < 20
    assert len({source.name for source in sources}) == 10_000


# Kills, other runs, full disks


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize("write", [5, 6, 34])
def test_a_killed_run_leaves_whole_files_and_the_next_one_does_the_work(
    model, tmp_path, capsys, write
):
    """34 writes: two of each mask and overlay, and of the table."""
    arguments = options(model, write_photos(tmp_path / "in"), tmp_path / "out")
    run = start(*arguments, stop=write)
    run.communicate()
    assert run.returncode == -signal.SIGKILL
    done = {name: content for name, content in files_below(tmp_path / "out").items()
            if not name.endswith(".part")}  # fmt: skip
    assert len(done) == 16 if write == 34 else 0 < len(done) < 3
    assert "predictions.csv" not in done
    assert call(*arguments) == 1
    assert "is there already; choose another --out" in capsys.readouterr().err
    assert call(*arguments, "--force") == 0
    assert len(read_table(tmp_path / "out")) == 8
    finished = files_below(tmp_path / "out")
    assert {name: finished[name] for name in done} == done


def test_two_runs_at_once_into_one_folder_leave_whole_files(model, tmp_path):
    photos = write_photos(tmp_path / "in")
    write_clip(photos / "clip.avi", [cv2.resize(draw(2), (160, 120))] * 12)
    arguments = [*options(model, photos, tmp_path / "out"), "--force"]
    runs = [start(*arguments) for _ in range(2)]
    assert [(run.communicate(), run.returncode)[1] for run in runs] == [0, 0]
    written = files_below(tmp_path / "out")
    call(*options(model, photos, tmp_path / "alone"))
    assert written == files_below(tmp_path / "alone")


@pytest.mark.skipif(sys.platform == "win32", reason="limits of Unix")
@pytest.mark.parametrize(("source", "largest"), [("in", 2500), ("clip.avi", 6000)])
def test_on_a_full_disk_a_run_stops_with_what_to_do_and_whole_files(
    model, tmp_path, source, largest
):
    write_photos(tmp_path / "in")
    generator = np.random.default_rng(0)
    write_clip(tmp_path / "clip.avi", list(generator.integers(0, 256, (12, 120, 160, 3), np.uint8)))
    run = start(*options(model, tmp_path / source, tmp_path / "out"), largest=largest)
    _, said = run.communicate()
    assert run.returncode == 1, said
    (told,) = [line for line in said.splitlines() if line.startswith("effiseg predict: ")]
    assert "make room" in told and str(tmp_path / "out" / "overlays") in told
    assert "Traceback" not in said
    assert not (tmp_path / "out" / "predictions.csv").exists()
    for path in files_in(tmp_path / "out"):
        assert path.suffix == ".png" and read_mask(path).shape == (120, 160)


# The cache


def cut_off(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def change_weights(path):
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4096] = bytes(4096)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut_off, empty, change_weights])
@pytest.mark.parametrize(("backend", "suffix"), [
    ("onnxruntime", ".onnx"), ("openvino", ".onnx"), ("openvino", ".blob"),
])  # fmt: skip
def test_a_damaged_file_of_the_cache_is_made_anew(tmp_path, backend, suffix, damage):
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    expected = compute_with(backend, build(), tmp_path)(images)
    whole = files_below(tmp_path)
    (path,) = tmp_path.glob(f"*{suffix}")
    path.chmod(0o600)
    damage(path)
    assert np.array_equal(compute_with(backend, build(), tmp_path)(images), expected)
    for kept in tmp_path.iterdir():
        assert kept.name not in whole or kept.read_bytes() == whole[kept.name]
    assert len(list(tmp_path.iterdir())) == len(whole)
