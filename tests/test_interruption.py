"""Real training processes that are killed, stopped, or started twice."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_pipeline import ROOT, change_param, make_copy

STAGE = [sys.executable, "-m", "stages.train", "baseline"]
OUTPUTS = ("weights.safetensors", "weights.sha256", "history.csv", "model.json")


def environment(folder):
    archive = str(folder / "archive")
    return os.environ | {
        "PYTHONPATH": str(ROOT), "KVASIR_SEG_ARCHIVE": archive, "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",  # several processes share no GPU
    }


def start(folder):
    return subprocess.Popen(
        STAGE, cwd=folder, env=environment(folder), stderr=subprocess.PIPE, text=True
    )


def wait_for(is_there, process, seconds=60):
    end = time.monotonic() + seconds
    while not is_there():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, "the training did not get so far"
        time.sleep(0.01)


def stop_amid_training(folder, how, states, delay):
    """Stop a training by the signal `how`, some time after it wrote `states` states."""
    process, seen = start(folder), set()

    def wrote_enough():
        for path in (folder / ".effiseg" / "checkpoints").glob("*.pt"):
            seen.add(path.stat().st_mtime_ns)
        return len(seen) > states + (1 if began else 0)

    began = bool(list((folder / ".effiseg" / "checkpoints").glob("*.pt")))
    wait_for(wrote_enough, process)
    time.sleep(delay)
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode != 0  # it had not ended by itself


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A copy of the project with tiny arrays, ready to train."""
    folder = tmp_path_factory.mktemp("interruption").resolve()
    make_copy(folder)
    change_param(folder, "baseline", "epochs", 40)  # more than pass between the kills
    for stage in (["fetch"], ["split"], ["prepare", "baseline"]):
        command = [sys.executable, "-m", f"stages.{stage[0]}", *stage[1:]]
        subprocess.run(command, cwd=folder, env=environment(folder), check=True)
    return folder


def read_outputs(folder):
    return {name: (folder / "models" / "baseline" / name).read_bytes() for name in OUTPUTS}


def test_a_killed_training_ends_with_the_bytes_of_an_unharmed_one(prepared):
    subprocess.run(STAGE, cwd=prepared, env=environment(prepared), check=True)
    unharmed = read_outputs(prepared)
    for name in OUTPUTS:
        (prepared / "models" / "baseline" / name).unlink()
    moments = random.Random(0)
    for how in (signal.SIGKILL, signal.SIGINT, signal.SIGKILL):
        stop_amid_training(prepared, how, moments.randint(1, 2), moments.uniform(0, 0.2))
        assert not (prepared / "models" / "baseline" / "weights.safetensors").exists()
    subprocess.run(STAGE, cwd=prepared, env=environment(prepared), check=True)
    assert read_outputs(prepared) == unharmed
    assert list(Path(prepared / ".effiseg" / "checkpoints").glob("*.pt*")) == []


def test_a_second_training_is_refused_by_the_name_of_the_first(prepared):
    first = start(prepared)
    owner = prepared / ".effiseg" / "checkpoints" / "baseline.owner"
    wait_for(lambda: owner.is_file() and owner.read_text(), first)
    second = start(prepared)
    message = second.communicate(timeout=60)[1]
    first.kill()
    first.communicate()
    assert second.returncode != 0
    assert f"process {first.pid} is already training" in message
