"""Files that are written whole or not at all: JSON, tables, text; and their sha256."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write to a temporary name beside `path`, then rename: a reader never sees half a file.

    Raises OSError, with what was there before untouched, where the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        reason = f"{error.strerror}; nothing was replaced: make room, then run the same again"
        raise OSError(error.errno, reason, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """UTF-8, line ends as given, on every system: the same content is the same bytes."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Raises ValueError for NaN and infinities, which JSON has no word for: pass None (null)."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """CSV with six significant digits, so that a table which is read again is the same table."""
    write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
