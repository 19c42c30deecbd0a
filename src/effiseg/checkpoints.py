"""Checkpoints: the state of an interrupted training.

A state lies outside every output of the pipeline (which DVC deletes before a stage runs again), in
a folder that git ignores, under a fingerprint of everything that determines the training. It is
written to a temporary name and renamed; a kill at any moment leaves the last complete one.

A file holds the sha256 (32 bytes) of what follows, and that in torch's format, which would not
notice a changed bit by itself.
"""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import torch

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
    content = buffer.getbuffer()
    write_bytes(path, b"".join((hashlib.sha256(content).digest(), content)))


def read_state(path: Path) -> dict[str, Any] | None:
    """The state at `path`, tensors and plain values only, or None where there is none.

    Raises:
        ValueError: the file is not as it was written.
    """
    if not path.is_file():
        return None
    content = memoryview(path.read_bytes())
    size = hashlib.sha256().digest_size
    if hashlib.sha256(content[size:]).digest() != content[:size]:
        raise ValueError(
            f"{path} ({len(content)} bytes) is not the state that was written: the disk or a "
            "program changed it. Delete it and run again: the training then begins anew"
        )
    return torch.load(io.BytesIO(content[size:]), map_location="cpu", weights_only=True)


def remove_state(path: Path) -> None:
    """The state, and what kills have left of its writing."""
    for file in [path, *path.parent.glob(f"{path.name}.*.part")]:
        file.unlink(missing_ok=True)
