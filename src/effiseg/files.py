"""Files that are written whole or not at all: JSON, tables, text, arrays; and their sha256."""

import errno
import hashlib
import io
import json
import os
import reprlib
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LONGEST_MESSAGE = 400  # characters, of what a library says
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what the system calls a disk without room


@contextmanager
def open_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write under a temporary name beside `path`, which it then gets: a reader never sees
    half a file.

    The name is this call's own: two processes that write the same file do not harm each other.
    Raises OSError, with what was there before untouched, where the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno not in FULL:
            raise
        reason = f"{error.strerror}; nothing was replaced: make room, then run the same again"
        raise OSError(error.errno, reason, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """The content, as `open_whole` writes it, with its errors."""
    with open_whole(path) as stream:
        stream.write(content)


def write_text(path: Path, text: str) -> None:
    """UTF-8, line ends as given, on every system: the same content is the same bytes."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Raises ValueError for NaN and infinities, which JSON has no word for: pass None (null)."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """CSV with six significant digits, so that a table which is read again is the same table."""
    write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def write_array(path: Path, array: NDArray) -> None:
    """NumPy's format, .npy."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_bytes(path, buffer.getbuffer())


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def read_table(
    path: Path, texts: Sequence[str] = (), numbers: Sequence[str] = ()
) -> pd.DataFrame:
    """A CSV file whose columns `texts` are texts, whatever they look like, and whose columns
    `numbers` hold finite numbers or nothing (NaN).

    Raises:
        ValueError: it is none; the message names the file and the column.
    """
    try:
        table = pd.read_csv(
            path,
            dtype=dict.fromkeys(texts, "str"),
            keep_default_na=not texts,  # an image may be called NA
            na_values=[""],
        )
    except ValueError as error:  # also pandas' own errors, and text that is not in UTF-8
        raise ValueError(f"{path} is no table ({cut_short(error)}): make it again") from error
    for name in (*texts, *numbers):
        if name not in table:
            raise ValueError(f"{path} has no column {name}; found {show(list(table.columns))}")
    for name in numbers:
        column = table[name]
        if not pd.api.types.is_numeric_dtype(column) or np.isinf(column).any():
            raise ValueError(f"{path}: column {name} is not of finite numbers alone")
    return table


def cut_short(error: Exception) -> str:
    """What a library says, in one line; of a thousand missing tensors it would name each."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST_MESSAGE]


def show(value: object) -> str:
    """The value as Python writes it, cut short: what is found may be of any length and depth."""
    return _Short().repr(value)


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 2, 60, 60

    def repr_int(self, x: int, level: int) -> str:
        bits = x.bit_length()
        return repr(x) if bits < 128 else f"a whole number of {bits} bits"
