"""Locks between processes. The operating system lets go of one when its process ends, however."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def only_process(lock: Path, work: str) -> Iterator[None]:
    """Hold the file `lock`.

    Args:
        work: what its holder does, such as "training models/baseline".

    Raises:
        RuntimeError: another process holds it; the message names that process.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    owner = lock.with_suffix(".owner")
    guard = FileLock(lock)
    try:
        guard.acquire(timeout=0)
    except Timeout:
        holder = owner.read_text(encoding="utf-8") if owner.is_file() else "unknown"
        raise RuntimeError(
            f"process {holder} is already {work}: wait until it ends, or stop it"
        ) from None
    try:
        owner.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        guard.release()
