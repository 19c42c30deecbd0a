"""Stages that are killed, stopped, started twice, or find the disk full, and then run again."""

import importlib
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from faults import run_stage
from test_pipeline import ROOT, STAGES, change_param, declared_outputs, make_copy

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

# One of each kind, in the order of the pipeline.
CHAIN = (
    "fetch", "split", "prepare@baseline", "train_baseline", "crossfit@0", "crossfit@1",
    "crossfit@2", "crossfit@3", "crossfit@4", "error_analysis", "prepare@improved",
    "train_improved", "evaluate_baseline", "evaluate_improved", "compare", "ship@baseline",
    "error_page", "report",
)  # fmt: skip
DISTURBED = (
    "fetch", "split", "prepare@baseline", "train_baseline", "crossfit@0", "error_analysis",
    "evaluate_baseline", "compare", "ship@baseline", "error_page", "report",
)  # fmt: skip
EPOCHS = 4


def command_of(stage):
    """The module of `stages/` and its arguments."""
    _, _, target, *arguments = STAGES[stage]["cmd"].split()
    return target.removeprefix("stages."), *arguments


def environment(folder):
    """Of a stage's own process in a copy of the project."""
    return os.environ | {
        "PYTHONPATH": str(ROOT), "KVASIR_SEG_ARCHIVE": str(folder / "archive"),
        "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",  # several processes share no GPU
    }  # fmt: skip


def read_outputs(stage, folder):
    """The bytes of every file that the stage declares as its output."""
    files = []
    for name in declared_outputs(stage):
        path = folder / name
        files += [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    assert files
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def remove_outputs(stage, folder):
    """As DVC does before it runs a stage."""
    for name in declared_outputs(stage):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A copy of the project in which every stage of the chain has run undisturbed: the folder, and
    how many writes each stage began."""
    folder = tmp_path_factory.mktemp("interruption").resolve()
    make_copy(folder)
    change_param(folder, "baseline", "epochs", EPOCHS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("KVASIR_SEG_ARCHIVE", str(folder / "archive"))
        writes = {}
        for stage in CHAIN:
            log = folder / "log.txt"
            status, writes[stage] = run_stage(*command_of(stage), log=log)
            assert status == 0, log.read_text()
        yield folder, writes


@pytest.mark.parametrize("stage", DISTURBED)
def test_a_stage_that_is_killed_at_any_write_ends_as_if_it_never_was(chain, stage):
    folder, writes = chain
    undisturbed = read_outputs(stage, folder)
    for share in (1, 1 / 2):  # the late one first: a training that goes on has fewer writes
        remove_outputs(stage, folder)
        stop = signal.SIGKILL, max(1, int(share * writes[stage]))
        status, _ = run_stage(*command_of(stage), stop=stop, log=folder / "log.txt")
        assert status == -signal.SIGKILL, (folder / "log.txt").read_text()
    remove_outputs(stage, folder)
    assert run_stage(*command_of(stage))[0] == 0
    assert read_outputs(stage, folder) == undisturbed


@pytest.mark.parametrize("stage", DISTURBED)
def test_a_stage_that_finds_the_disk_full_says_so_and_later_ends_as_if_it_never_was(chain, stage):
    folder, _ = chain
    undisturbed, log = read_outputs(stage, folder), folder / "log.txt"
    largest = max(map(len, undisturbed.values()))
    remove_outputs(stage, folder)
    status, _ = run_stage(*command_of(stage), largest_file=largest - 1, log=log)
    assert status == 1
    assert "The disk is full. Make room, then run `dvc repro` again" in log.read_text()
    for path, content in undisturbed.items():
        assert not (folder / path).is_file() or (folder / path).read_bytes() == content
    remove_outputs(stage, folder)
    assert run_stage(*command_of(stage))[0] == 0
    assert read_outputs(stage, folder) == undisturbed


def test_a_training_goes_on_after_its_last_whole_epoch_and_leaves_no_state(chain):
    folder, writes = chain
    undisturbed = read_outputs("train_baseline", folder)
    remove_outputs("train_baseline", folder)
    # An epoch opens and renames its state, then the history so far.
    epoch, begun = 4, []
    for how, number in ((signal.SIGKILL, 2), (signal.SIGKILL, epoch + 2), (signal.SIGINT, 3)):
        status, _ = run_stage("train", "baseline", stop=(how, number))
        assert status == (130 if how == signal.SIGINT else -how)
        remove_outputs("train_baseline", folder)
        begun.append(len(list((folder / ".effiseg" / "checkpoints").glob("*.pt"))))
    assert begun == [0, 1, 1]
    status, rest = run_stage("train", "baseline")
    assert (status, read_outputs("train_baseline", folder)) == (0, undisturbed)
    assert rest < writes["train_baseline"]  # it did not begin anew
    assert list((folder / ".effiseg" / "checkpoints").glob("*.pt*")) == []


def test_a_training_begins_anew_where_its_code_has_changed(chain, monkeypatch):
    folder, writes = chain
    undisturbed = read_outputs("train_baseline", folder)
    remove_outputs("train_baseline", folder)
    assert run_stage("train", "baseline", stop=(signal.SIGKILL, 6))[0] == -signal.SIGKILL
    remove_outputs("train_baseline", folder)
    states = folder / ".effiseg" / "checkpoints"
    before = set(states.glob("*.pt"))
    edited = folder / "edited.py"
    edited.write_text("# another loss")
    stage = importlib.import_module("stages.train")
    monkeypatch.setattr(stage, "list_modules", lambda entry: [edited])
    try:
        assert len(before) == 1
        assert run_stage("train", "baseline") == (0, writes["train_baseline"])
        assert read_outputs("train_baseline", folder) == undisturbed
        assert set(states.glob("*.pt")) == before  # that of the other code is left
    finally:
        shutil.rmtree(states)


def test_a_kill_within_the_predictions_of_a_fold_costs_no_epoch(chain):
    folder, writes = chain
    undisturbed = read_outputs("crossfit@0", folder)
    remove_outputs("crossfit@0", folder)
    stop = signal.SIGKILL, writes["crossfit@0"]
    assert run_stage("crossfit", "0", stop=stop)[0] == -signal.SIGKILL
    states = folder / ".effiseg" / "checkpoints"
    assert len(list(states.glob("*.pt"))) == 1
    remove_outputs("crossfit@0", folder)
    status, rest = run_stage("crossfit", "0")
    assert (status, read_outputs("crossfit@0", folder)) == (0, undisturbed)
    assert rest < writes["crossfit@0"]
    assert list(states.glob("*.pt*")) == []


def test_a_second_process_of_a_stage_is_refused_by_the_name_of_the_first(chain):
    folder, _ = chain
    command = [sys.executable, "-m", "stages.train", "baseline"]
    known = {"cwd": folder, "env": environment(folder)}
    first = subprocess.Popen(command, **known, stderr=subprocess.PIPE)
    owner, end = folder / ".effiseg" / "locks" / "train-baseline.owner", time.monotonic() + 300
    while not (owner.is_file() and owner.read_text() == str(first.pid)):
        assert first.poll() is None, first.stderr.read().decode()
        assert time.monotonic() < end
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)  # however slow the second one starts
    second = subprocess.run(command, **known, capture_output=True, text=True)
    first.kill()
    first.communicate()
    assert second.returncode != 0
    assert f"process {first.pid} is already running stage train baseline" in second.stderr
    again = subprocess.run(command, **known, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr  # the lock of a killed process is free
