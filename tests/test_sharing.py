"""Sweeps in copies of the project, and results that travel through a shared folder."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import demo  # noqa: E402

DVC = [sys.executable, "-m", "dvc"]
TINY = {
    "data": {"source": "demo"},
    "baseline": {"size": 32, "epochs": 1, "decoder_channels": 8},
}


def start(*command, folder):
    environment = demo.make_environment() | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def run(*command, folder):
    process = start(*command, folder=folder)
    said, warned = process.communicate()
    assert process.returncode == 0, f"{command}\n{said}\n{warned}"
    return said


def git(*arguments, folder):
    who = ("-c", "user.name=EffiSeg", "-c", "user.email=effiseg@localhost")
    return run("git", *who, *arguments, folder=folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A clone that trained a tiny baseline and committed its lock."""
    if not (ROOT / ".git").exists():
        pytest.skip("sweeps run in copies of a git commit; this is a copy without history")
    folder = tmp_path_factory.mktemp("sharing") / "effiseg"
    git("clone", "--quiet", str(ROOT), str(folder), folder=ROOT)
    git("config", "user.name", "EffiSeg", folder=folder)
    git("config", "user.email", "effiseg@localhost", folder=folder)
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    for section, values in TINY.items():
        params[section] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    run(*DVC, "repro", "train_baseline", folder=folder)
    git("commit", "--all", "--message", "tiny", folder=folder)
    return folder


def test_a_second_machine_gets_the_results_from_a_shared_folder(trained, tmp_path):
    run(*DVC, "remote", "add", "--default", "shared", str(tmp_path / "store"), folder=trained)
    git("commit", "--all", "--message", "remote", folder=trained)
    run(*DVC, "push", "--with-deps", "train_baseline", folder=trained)
    other = tmp_path / "other"
    git("clone", "--quiet", str(trained), str(other), folder=tmp_path)
    run(*DVC, "pull", "--with-deps", "train_baseline", folder=other)
    for name in ("models/baseline/weights.safetensors", "data/arrays/baseline/images.npy"):
        assert (other / name).read_bytes() == (trained / name).read_bytes()
    again = run(*DVC, "repro", "--allow-missing", "train_baseline", folder=other)
    assert "Running stage" not in again


def test_two_repros_at_once_do_not_harm_each_other(trained):
    before = (trained / "dvc.lock").read_text(encoding="utf-8")
    weights = (trained / "models" / "baseline" / "weights.safetensors").read_bytes()
    both = [start(*DVC, "repro", "--force", "train_baseline", folder=trained) for _ in range(2)]
    said = ["".join(process.communicate(timeout=600)) for process in both]
    assert 0 in [process.returncode for process in both], said
    for process, text in zip(both, said, strict=True):
        assert process.returncode == 0 or "lock" in text or "wait until it ends" in text
    assert run(*DVC, "repro", "train_baseline", folder=trained)
    assert (trained / "dvc.lock").read_text(encoding="utf-8") == before
    assert (trained / "models" / "baseline" / "weights.safetensors").read_bytes() == weights


def test_a_sweep_runs_in_copies_with_the_code_of_its_start(trained):
    rates = ["0.0001", "0.0003"]
    sweep = f"train.lr={','.join(rates)}"
    run(*DVC, "exp", "run", "--queue", "train_baseline", "-S", sweep, folder=trained)
    code = trained / "src" / "effiseg" / "training.py"
    original = code.read_text(encoding="utf-8")
    code.write_text("raise RuntimeError('the code of the workspace ran')\n", encoding="utf-8")
    try:
        run(*DVC, "queue", "start", "--jobs", "2", folder=trained)
        end = time.monotonic() + 180
        while "Running" in (status := run(*DVC, "queue", "status", folder=trained)) or (
            "Queued" in status
        ):
            assert time.monotonic() < end, status
            time.sleep(2)
    finally:
        run(*DVC, "queue", "stop", "--kill", folder=trained)
        code.write_text(original, encoding="utf-8")
    assert status.count("Success") == 2, status
    table = json.loads(run(*DVC, "exp", "show", "--json", folder=trained))
    assert sorted(found_rates(table)) == [float(rate) for rate in rates]


def found_rates(table):
    """train.lr of each experiment that `dvc exp show --json` lists."""
    for revision in table:
        for experiment in revision.get("experiments") or []:
            data = experiment["revs"][0]["data"]
            yield float(data["params"]["params.yaml"]["data"]["train"]["lr"])
