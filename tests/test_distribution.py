"""Two processes on the CPU train what one process trains; and what the group does alone."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_interruption import environment
from test_pipeline import change_param, make_copy
from test_training import CPU, PARAMS, build, draw_arrays, recipe

from effiseg import precision
from effiseg.distribution import Group, convert_sync_batchnorm, has_to_launch, launch
from effiseg.precision import make_scaler, pick_format
from effiseg.remedies import Remedies
from effiseg.training import train

SCRIPT = Path(__file__).with_name("train_shared.py")
SOURCE = Path(__file__).resolve().parents[1] / "src"


def train_in(processes, output, stop_after=None):
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(processes)]
    state = output.with_name(f"{output.stem}.pt")
    command += [str(SCRIPT), str(output), str(state), *([str(stop_after)] if stop_after else [])]
    paths = os.pathsep.join([str(SOURCE), str(SCRIPT.parent)])
    variables = environment(output.parent) | {"PYTHONPATH": paths}
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(np.load(output))


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    return train_in(2, tmp_path_factory.mktemp("together") / "whole.npz")


def test_two_processes_train_what_one_process_trains(together, tmp_path):
    alone = train_in(1, tmp_path / "alone.npz")
    assert alone.keys() == together.keys()
    for name, values in alone.items():
        difference = np.linalg.norm(values - together[name])
        bound = 1e-10 if name.startswith("gradient") else 1e-6
        assert difference <= bound * np.linalg.norm(values) + 1e-9, name  # some are 0


def test_two_processes_go_on_where_they_were_interrupted(together, tmp_path):
    train_in(2, tmp_path / "cut.npz", stop_after=1)
    resumed = train_in(2, tmp_path / "cut.npz")
    for name, values in together.items():
        assert np.array_equal(values, resumed[name]), name


def test_a_stage_starts_as_many_processes_as_devices(tmp_path):
    make_copy(tmp_path)
    change_param(tmp_path, "train", "devices", 2)
    for stage in ("fetch", "split", "prepare baseline", "train baseline"):
        command = [sys.executable, "-m", *f"stages.{stage}".split()]
        variables = environment(tmp_path)
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "models" / "baseline" / "weights.sha256").is_file()
    assert done.stderr.count("train baseline:   0%") == 1  # one of them shows its progress


def test_a_batch_that_processes_cannot_share_is_refused(tmp_path):
    group = Group(rank=0, size=3, device=CPU)
    parts = draw_arrays(10), draw_arrays(2)
    epochs = train(build(), *parts, PARAMS, recipe(), Remedies(), tmp_path / "state.pt", group)
    with pytest.raises(ValueError, match=r"batch_size is 4; expected a multiple of 3"):
        next(epochs)


def test_a_process_that_fails_makes_the_training_fail(tmp_path):
    call = "from effiseg.distribution import launch; launch('effiseg.no_such_module', [], 2)"
    variables = environment(tmp_path) | {"PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", call], env=variables, capture_output=True)
    assert done.returncode != 0
    assert b"No module named effiseg.no_such_module" in done.stderr


def test_only_a_run_on_several_devices_starts_processes(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 0)
    assert [has_to_launch(devices) for devices in (0, 1, 2)] == [False, False, True]
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 4)
    assert has_to_launch(0)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "started")
    assert not has_to_launch(2)


def test_several_processes_are_refused_on_windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(OSError, match="asks for 2 processes; expected 1 on Windows"):
        launch("stages.train", ["baseline"], 2)


def test_batch_norm_for_gpus_is_the_same_function():
    """timm's conversion keeps the activations that torch's own would drop."""
    network, images = build().eval(), torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        before = network(images)
        assert torch.equal(convert_sync_batchnorm(network)(images), before)


@pytest.mark.parametrize(
    ("bfloat16", "capability", "expected"),
    [
        (True, (9, 0), torch.bfloat16),  # Hopper
        (False, (7, 5), torch.float16),  # Turing
        (False, (6, 1), torch.float32),  # Pascal multiplies float16 slowly
    ],
)
def test_older_gpus_fall_back_by_themselves(monkeypatch, bfloat16, capability, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bfloat16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert pick_format(torch.device("cuda")) == expected


def test_gradients_are_scaled_for_float16_alone(monkeypatch):
    assert not make_scaler(CPU).is_enabled()
    monkeypatch.setattr(precision, "pick_format", lambda device: torch.float16)
    assert make_scaler(CPU).is_enabled()
