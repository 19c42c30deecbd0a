"""Kvasir-SEG: fetched from its official address or a local copy, and checked file by file.

What is pinned is the sha256 of each of the 2001 files (a manifest as `sha256sum` writes it), not
that of an archive: any byte-true copy gives the same data set. Only files that the manifest names
are ever read or written, so that an archive can neither leave its folder nor grow without bound.

Source: Jha et al., Kvasir-SEG: A Segmented Polyp Dataset, MMM 2020. Free for research and
education; commercial use needs the owners' permission.
"""

import hashlib
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

URL = "https://datasets.simula.no/downloads/kvasir-seg.zip"
TOP = "Kvasir-SEG/"
LARGEST_FILE = 16 << 20  # bytes; the largest of Kvasir-SEG has less than 1 MiB
NEEDED_SPACE = 256 << 20  # bytes: archive, unpacked files and room to spare
STALL_SECONDS = 30.0
TRIES = 4
BLOCK = 1 << 18

Show = Callable[[int, int | None], None]  # bytes done, bytes in all where known

ADVICE = (
    "Either download it in a browser, set the environment variable KVASIR_SEG_ARCHIVE to the zip "
    "or to the unpacked folder, and run again; or try the synthetic data, which needs no "
    "download: dvc exp run -S data.source=demo"
)


@dataclass(frozen=True, kw_only=True)
class Data:
    """Section `data`."""

    source: Literal["kvasir-seg", "demo"]


def fetch_kvasir(
    destination: Path,
    manifest: Path,
    local_copy: Path | None,
    show: Show,
    downloads: Path = Path(".effiseg/downloads"),
    url: str = URL,
    pause_seconds: float = 2.0,
) -> None:
    """Make `destination` the data set: images/, masks/ and kavsir_bboxes.json, or nothing.

    Args:
        local_copy: a zip or an unpacked folder; None downloads from `url`.
        downloads: where a partial download waits to be resumed.
        pause_seconds: before the second try; it doubles from try to try.

    Raises:
        ValueError: a file is missing, too much, or has other bytes than the manifest says.
        FileNotFoundError: `local_copy` is not there.
        ConnectionError: the address can't be reached; the message says what to do.
        OSError: the disk is too full, or another fetch is running.
    """
    expected = read_manifest(manifest)
    _require_space(destination)
    if local_copy is not None:
        if not local_copy.exists():
            raise FileNotFoundError(
                f"KVASIR_SEG_ARCHIVE names {local_copy}, which is not there. Unset it to download "
                f"from {url}, or set it to a zip or an unpacked folder of Kvasir-SEG"
            )
        _unpack(local_copy, expected, destination)
        return
    with _only_fetch(downloads):
        archive = downloads / "kvasir-seg.zip"
        _download(url, archive, show, pause_seconds)
        try:
            _unpack(archive, expected, destination)
        finally:
            archive.unlink()  # checked and unpacked, or wrong: neither is needed again


def read_manifest(path: Path) -> dict[str, str]:
    """sha256 by file name, relative to the data set's top folder."""
    lines = (line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines())
    return {name.removeprefix(TOP): digest for digest, name in lines}


def _unpack(source: Path, expected: dict[str, str], destination: Path) -> None:
    """Copy and check every file into a folder beside `destination`, then put it in its place."""
    temporary = destination.with_name(destination.name + ".part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        for name, content in _read_files(source, expected):
            digest = hashlib.sha256(content).hexdigest()
            if digest != expected[name]:
                raise ValueError(
                    f"{source}: {name} has sha256 {digest}, expected {expected[name]}: the copy "
                    f"is damaged or another version. {ADVICE}"
                )
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        shutil.rmtree(destination, ignore_errors=True)
        temporary.rename(destination)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _read_files(source: Path, expected: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each expected file, no more than `LARGEST_FILE` bytes of it."""
    if source.is_dir():
        top = source / TOP if (source / TOP).is_dir() else source
        found = {p.relative_to(top).as_posix() for p in top.rglob("*") if p.is_file()}
        _require_names(source, found, expected)
        for name in expected:
            with (top / name).open("rb") as stream:
                yield name, _read_limited(stream, name, source)
        return
    try:
        with zipfile.ZipFile(source) as archive:
            members = {
                info.filename.removeprefix(TOP): info
                for info in archive.infolist()
                if not info.is_dir() and not info.filename.startswith("__MACOSX/")
            }
            _require_names(source, set(members), expected)
            for name in expected:
                with archive.open(members[name]) as stream:
                    yield name, _read_limited(stream, name, source)
    except (zipfile.BadZipFile, EOFError, zipfile.zlib.error) as error:
        raise ValueError(
            f"{source} ({source.stat().st_size} bytes) is no whole zip archive: {error}. {ADVICE}"
        ) from error


def _require_names(source: Path, found: set[str], expected: dict[str, str]) -> None:
    missing, extra = sorted(set(expected) - found), sorted(found - set(expected))
    if missing or extra:
        raise ValueError(
            f"{source} is not Kvasir-SEG as pinned: {len(missing)} of {len(expected)} files are "
            f"missing ({', '.join(missing[:3]) or '-'}), {len(extra)} are not known "
            f"({', '.join(extra[:3]) or '-'}). {ADVICE}"
        )


def _read_limited(stream, name: str, source: Path) -> bytes:
    content = stream.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise ValueError(f"{source}: {name} has more than {LARGEST_FILE} bytes; refused")
    return content


def _download(url: str, path: Path, show: Show, pause_seconds: float) -> None:
    part = path.with_suffix(".part")
    for attempt in range(1, TRIES + 1):
        try:
            _download_rest(url, part, show)
            break
        except (OSError, ValueError) as error:  # no network, a time-out, an error page
            if attempt == TRIES:
                raise ConnectionError(
                    f"Kvasir-SEG could not be downloaded from {url} ({error}; tried {TRIES} "
                    f"times). {ADVICE}"
                ) from error
            time.sleep(pause_seconds * 2 ** (attempt - 1))
    part.replace(path)


def _download_rest(url: str, part: Path, show: Show) -> None:
    """Append what is missing to `part`; begin anew where the server can't resume."""
    done = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=STALL_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send, or the part is none of this file
            part.unlink()
        raise
    with response:
        if "html" in response.headers.get("Content-Type", ""):
            raise ValueError("the server sent a web page instead of the archive")
        done = done if response.status == 206 else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        with part.open("ab" if done else "wb") as stream:
            while block := response.read(BLOCK):
                stream.write(block)
                done += len(block)
                show(done, total)
    if total is not None and done < total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")


def _require_space(destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(destination.parent).free
    if free < NEEDED_SPACE:
        raise OSError(
            f"{destination} needs {NEEDED_SPACE >> 20} MiB, the disk has {free >> 20} MiB free: "
            "make room and run again"
        )


@contextmanager
def _only_fetch(downloads: Path) -> Iterator[None]:
    downloads.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(downloads / "fetch.lock", timeout=0):
            yield
    except Timeout:
        raise OSError(
            f"another fetch is downloading into {downloads}: wait until it ends, then run again"
        ) from None
