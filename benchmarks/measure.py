"""Measuring: functions run in turns, medians of their times, and the memory of a process tree."""

import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import torch


def seconds_in_turns(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each function. They run one after the other, `repeats` times in all, after
    one round that is not counted: what else the machine does falls on all of them alike."""
    times = {name: [] for name in functions}
    for _ in range(repeats + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            finish_device()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(each[1:]) for name, each in times.items()}


def finish_device() -> None:
    """Wait for what was queued on an accelerator."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def peak_memory(command: list[str]) -> float:
    """Largest proportional memory (PSS; MiB) of a command's process tree, asked 20 times a second.

    Pages that several processes share count once. Raises CalledProcessError where it fails.
    """
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _tree_memory(root))
            time.sleep(0.05)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return peak / 2**20


def _tree_memory(root: psutil.Process) -> int:
    total = 0
    try:
        for process in [root, *root.children(recursive=True)]:
            total += process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass  # it ended while it was asked: the next look counts
    return total


def read_peak(process: int | str = "self") -> int:
    """Largest resident memory (MiB) that a process had since it started; Linux counts it."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024


def record(name: str, reference: float, ours: float, unit: str, ratio: float) -> dict[str, object]:
    """One row of results.json. `ratio` is how many times better ours is (or a share, see name)."""
    device = "CPU"
    if torch.accelerator.is_available():
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "accelerator"
    return {
        "name": name,
        "reference": float(f"{reference:.4g}"),
        "ours": float(f"{ours:.4g}"),
        "unit": unit,
        "ratio": float(f"{ratio:.3g}"),
        "device": f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}",
    }
