"""Checkpoints: the state of an interrupted training, and the guard that it has one writer.

A state lies outside every output of the pipeline (which DVC deletes before a stage runs again), in
a folder that git ignores, under a fingerprint of everything that determines the training. It is
written to a temporary name and renamed; a kill at any moment leaves the last complete one.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from effiseg.files import write_bytes

FOLDER = Path(".effiseg/checkpoints")


def fingerprint_of(settings: dict[str, Any], files: list[Path]) -> str:
    """Sixteen hexadecimal digits that differ when any setting or any file's content does."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Replace the state at `path`, whole or not at all. Raises OSError where the disk is full."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(path, buffer.getbuffer())


def read_state(path: Path) -> dict[str, Any] | None:
    """The state at `path`, tensors and plain values only, or None where there is none."""
    return torch.load(path, map_location="cpu", weights_only=True) if path.is_file() else None


@contextmanager
def only_writer(output: Path) -> Iterator[None]:
    """Hold the lock on `output`. Raises RuntimeError, naming the holder, where another has it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    lock = FileLock(FOLDER / f"{output.name}.lock")
    owner = FOLDER / f"{output.name}.owner"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = owner.read_text(encoding="utf-8") if owner.is_file() else "unknown"
        raise RuntimeError(
            f"process {holder} is already training {output}: wait until it ends, or stop it"
        ) from None
    try:
        owner.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
