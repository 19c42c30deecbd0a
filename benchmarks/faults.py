"""Faults that are made on purpose, in the real pipeline: `dvc repro` is killed at random moments of
every stage, or finds the disk full, and then runs again.

    python -m benchmarks.faults               benchmarks/faults.json
    python -m benchmarks.faults --kills 10    of each stage

The project is copied with synthetic frames and short trainings. One copy runs undisturbed; another
one, stage by stage, is disturbed and then finished. Recovered means that the lock, which holds the
hash of every output, is the same. A kill hits DVC with the stage's process, or DVC alone, whose
stage then lives on; a Ctrl-C hits both. The full disk is a small file system in memory, which
Linux lets root mount.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
import yaml

from effiseg.files import write_json
from effiseg.precision import describe_device
from tools.demo import ROOT, copy_tree, make_environment, set_params
from tools.mend_lock import main as mend
from tools.verify_cache import find_damaged

SETTINGS: dict[str, object] = {
    "data.source": "demo",
    "baseline.size": 64,
    "baseline.epochs": 12,
    "improved.size": 64,
    "improved.epochs": 6,
    "error_analysis.folds": 2,
    "error_analysis.fold_epochs": 3,
    "error_analysis.least_images": 3,
}
KILLS = ("all", "dvc alone", "ctrl-c")
DISK = 400 << 20  # bytes
LONGEST = 900  # seconds that `dvc repro` may take in all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=3, help="of each stage")
    parser.add_argument("--seed", type=int, default=0, help="of their moments")
    options = parser.parse_args()
    generator = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as scratch, small_disk(Path(scratch, "disk")) as full:
        undisturbed, killed = Path(scratch, "undisturbed"), Path(scratch, "killed")
        for folder in (undisturbed, killed, full):
            make_project(folder)
        records, kinds = [], cycle(KILLS)
        for stage in list_stages(undisturbed):
            seconds = finish(undisturbed, stage)
            expected = read_lock(undisturbed, stage)
            moments = sorted(generator.uniform(0, seconds) for _ in range(options.kills))
            record: dict[str, Any] = {"stage": stage, "seconds": round(seconds, 1)}
            kills = (kill(killed, stage, *each) for each in zip(moments, kinds, strict=False))
            record["kills"] = [each for each in kills if each["status"] != 0]  # 0: it was done
            mended = len(mend(killed))
            record |= recover(killed, stage, expected)
            rooms = [0, generator.randint(1, 1 << 20)]
            record["full_disks"] = [fill(full, stage, room) for room in rooms]
            record["locks_mended"] = mended + len(mend(full))
            finish(full, stage)
            record["recovered_from_full_disks"] = read_lock(full, stage) == expected
            print(json.dumps(record), flush=True)
            records.append(record)
        for folder in (killed, full):  # nothing is left to do, and every object is what it says
            for command in (["repro"], ["status"]):
                run(folder, *command).check_returncode()
            damaged = list(find_damaged(folder / ".dvc" / "cache"))
            if damaged:
                raise RuntimeError(f"damaged objects of the cache: {damaged}")
    content = {"device": describe_device(torch.device("cpu")), "stages": records}
    write_json(Path(__file__).with_name("faults.json"), content)


def make_project(folder: Path) -> None:
    copy_tree(ROOT, folder)
    set_params(folder / "params.yaml", SETTINGS)
    run(folder, "config", "core.no_scm", "true").check_returncode()


def list_stages(folder: Path) -> list[str]:
    """Every stage of the pipeline, in an order in which they can run."""
    listing = run(folder, "stage", "list", "--name-only", "dvc.yaml")
    listing.check_returncode()
    return listing.stdout.split()


def start(folder: Path, *command: str) -> subprocess.Popen[bytes]:
    """A command of DVC in a process group of its own, which writes into the file beside `folder`:
    a stage that outlives DVC would fail where a pipe is closed."""
    with log_of(folder).open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", *command], cwd=folder, stdout=log,
            stderr=subprocess.STDOUT, env=make_environment(), start_new_session=True,
        )  # fmt: skip


def log_of(folder: Path) -> Path:
    return folder.with_suffix(".log")


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    process = start(folder, *command)
    process.wait(LONGEST)
    said = log_of(folder).read_text(encoding="utf-8", errors="replace")
    return subprocess.CompletedProcess(process.args, process.returncode, said)


def finish(folder: Path, stage: str) -> float:
    """`dvc repro STAGE`, again as long as it says that another process is still at it. Seconds.

    Raises RuntimeError, with what it said, where it fails.
    """
    begin = time.monotonic()
    while True:
        done = run(folder, "repro", stage)
        seconds = time.monotonic() - begin
        if done.returncode == 0:
            return seconds
        if "wait until it ends" not in done.stdout or seconds > LONGEST:
            raise RuntimeError(f"dvc repro {stage} failed in {folder}:\n{done.stdout}")
        time.sleep(0.5)


def recover(folder: Path, stage: str, expected: object) -> dict[str, object]:
    """`dvc repro STAGE` after kills; where DVC can't go on, without its temporary files."""
    try:
        seconds, said = finish(folder, stage), ""
    except RuntimeError as error:
        said = str(error).strip().splitlines()[-1]
        shutil.rmtree(folder / ".dvc" / "tmp")
        seconds = finish(folder, stage)
    recovered = not said and read_lock(folder, stage) == expected
    return {"seconds_to_recover": round(seconds, 1), "recovered": recovered, "said": said}


def kill(folder: Path, stage: str, after: float, how: str) -> dict[str, object]:
    """Start `dvc repro STAGE` and end it after some seconds, if it has not ended by itself."""
    process = start(folder, "repro", stage)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        if how == "dvc alone":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL if how == "all" else signal.SIGINT)
    process.wait(LONGEST)
    return {"after": round(after, 2), "how": how, "status": process.returncode}


def fill(folder: Path, stage: str, room: int) -> dict[str, object]:
    """`dvc repro STAGE` where the disk has only `room` bytes left."""
    mend(folder)  # of the disk that was full before
    filler = folder / "filler"
    free = shutil.disk_usage(folder).free
    with filler.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, max(1, free - room))
    try:
        done = run(folder, "repro", stage)
    finally:
        filler.unlink()
    told = any(words in done.stdout for words in ("disk is full", "No space left", "MiB free"))
    return {"room": room, "status": done.returncode, "told": told or done.returncode == 0}


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system in memory. Raises CalledProcessError where this user may not mount one."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    subprocess.run(["mount", *options], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def read_lock(folder: Path, stage: str) -> object:
    """What dvc.lock says of the stage: the hashes of its code, inputs and outputs."""
    return yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))["stages"][stage]


if __name__ == "__main__":
    main()
