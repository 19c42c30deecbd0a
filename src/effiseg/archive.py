"""Kvasir-SEG: fetched from its official address or a local copy, and checked file by file.

What is pinned is the sha256 of each of the 2001 files (a manifest as `sha256sum` writes it), not
that of an archive: any byte-true copy gives the same data set. Only files that the manifest names
are ever read or written, so that an archive can neither leave its folder nor grow without bound:
a download has room for the manifest's files, and of each file only the pinned bytes are written.

Source: Jha et al., Kvasir-SEG: A Segmented Polyp Dataset, MMM 2020. Free for research and
education; commercial use needs the owners' permission.
"""

import hashlib
import http.client
import io
import re
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
ROOM_OF_FILE = 64 << 10  # bytes of an archive for each file of the manifest; on average 22 KiB
NEEDED_SPACE = 256 << 20  # bytes: archive, unpacked files and room to spare
STALL_SECONDS = 30.0
TRIES = 4
BLOCK = 1 << 18
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others unpack without a limit of memory
PINNED = re.compile(rf"([0-9a-f]{{64}})  (?:{TOP})?(\w[\w.-]*(?:/\w[\w.-]*)*)")  # no way out

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
        OSError: the disk is too full, another fetch is running, or `destination` is no folder.
    """
    expected = read_manifest(manifest)
    if local_copy is not None and not local_copy.exists():
        raise FileNotFoundError(
            f"KVASIR_SEG_ARCHIVE names {local_copy}, which is not there. Unset it to download "
            f"from {url}, or set it to a zip or an unpacked folder of Kvasir-SEG"
        )
    _require_place(destination)
    _require_space(destination)
    with _only_fetch(downloads):
        if local_copy is not None:
            _unpack(local_copy, expected, destination)
            return
        archive = downloads / "kvasir-seg.zip"
        _download(url, archive, _room_of(expected), show, pause_seconds)
        try:
            _unpack(archive, expected, destination)
        finally:
            archive.unlink()  # checked and unpacked, or wrong: neither is needed again


def read_manifest(path: Path) -> dict[str, str]:
    """sha256 by file name, relative to the data set's top folder.

    Raises ValueError where a line is no sha256 with a name below that folder.
    """
    digests = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() or [""], start=1):
        match = PINNED.fullmatch(line)
        if match is None:
            raise ValueError(
                f"{path}, line {number} is {line!r}; expected a sha256, two spaces, and a name "
                "below the data set's folder, as sha256sum writes them: restore it with git"
            )
        digests[match[2]] = match[1]
    return digests


def _unpack(source: Path, expected: dict[str, str], destination: Path) -> None:
    """Copy and check every file into a folder beside `destination`, then put it in its place."""
    temporary = _temporary_of(destination)
    if temporary.exists():
        shutil.rmtree(temporary)
    try:
        for name, content in _read_files(source, expected):
            digest = hashlib.sha256(content).hexdigest()
            if digest != expected[name]:
                raise ValueError(
                    f"{source}: {name} has sha256 {digest}, expected {expected[name]}: the copy "
                    f"is damaged or another version. {ADVICE}"
                )
            path = temporary / name
            with _disk_errors_named(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        if destination.exists():
            shutil.rmtree(destination)
        temporary.rename(destination)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _read_files(source: Path, expected: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each expected file, no more than `LARGEST_FILE` bytes of it."""
    if source.is_dir():
        yield from _read_folder(source, expected)
    elif source.is_file():
        yield from _read_zip(source, expected)
    else:
        raise ValueError(f"{source} is neither a zip nor a folder. {ADVICE}")


def _read_folder(source: Path, expected: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    top = source / TOP if (source / TOP).is_dir() else source
    found = {p.relative_to(top).as_posix() for p in top.rglob("*") if p.is_file()}
    _require_names(source, found, expected)
    for name in expected:
        with (top / name).open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
        _require_small(len(content), name, source)
        yield name, content


def _read_zip(source: Path, expected: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    size, room = source.stat().st_size, _room_of(expected)
    if size > room:
        raise ValueError(
            f"{source} has {size} bytes, a zip of Kvasir-SEG at most {room}: it is another "
            f"archive. {ADVICE}"
        )
    whole = io.BytesIO(source.read_bytes())  # what it raises from here on is not the disk's
    with _zip_errors_named(source, "its list of files"):
        archive = zipfile.ZipFile(whole)
    members = {
        info.filename.removeprefix(TOP): info
        for info in archive.infolist()
        if not info.filename.endswith("/") and not info.filename.startswith("__MACOSX/")
    }
    _require_names(source, set(members), expected)
    for name in expected:
        info = members[name]
        if info.compress_type not in METHODS:
            raise ValueError(
                f"{source}: {name} is packed with method {info.compress_type}; expected one of "
                f"{METHODS} (stored, deflated). {ADVICE}"
            )
        _require_small(info.file_size, name, source)
        with _zip_errors_named(source, name), archive.open(info) as stream:
            content = stream.read(LARGEST_FILE)  # zipfile gives no more than is declared
        yield name, content


def _require_names(source: Path, found: set[str], expected: dict[str, str]) -> None:
    missing, extra = sorted(set(expected) - found), sorted(found - set(expected))
    if missing or extra:
        raise ValueError(
            f"{source} is not Kvasir-SEG as pinned: {len(missing)} of {len(expected)} files are "
            f"missing ({', '.join(missing[:3]) or '-'}), {len(extra)} are not known "
            f"({', '.join(extra[:3]) or '-'}). {ADVICE}"
        )


def _require_small(size: int, name: str, source: Path) -> None:
    if size > LARGEST_FILE:
        raise ValueError(f"{source}: {name} has more than {LARGEST_FILE} bytes; refused")


def _room_of(expected: dict[str, str]) -> int:
    """The most bytes that an archive of these files may have."""
    return len(expected) * ROOM_OF_FILE


def _download(url: str, path: Path, room: int, show: Show, pause_seconds: float) -> None:
    part = path.with_suffix(".part")
    if part.is_symlink():  # nothing is written through it
        part.unlink()
    for attempt in range(1, TRIES + 1):
        try:
            _download_rest(url, part, room, show)
            break
        except (ConnectionError, ValueError) as error:
            if isinstance(error, ValueError):  # what is there is none of what the server has
                part.unlink(missing_ok=True)
            if attempt == TRIES:
                raise ConnectionError(
                    f"Kvasir-SEG could not be downloaded from {url} ({error}; tried {TRIES} "
                    f"times). {ADVICE}"
                ) from error
            time.sleep(pause_seconds * 2 ** (attempt - 1))
    part.replace(path)


def _download_rest(url: str, part: Path, room: int, show: Show) -> None:
    """Append what is missing to `part`; begin anew where the server can't resume.

    Raises:
        ConnectionError: no network, a time-out, an error page: the part is good for the next try.
        ValueError: the part does not go with what the server has, or there is no end to it.
        OSError: of the disk.
    """
    start = part.stat().st_size if part.is_file() else 0
    with _ask(url, start) as response:
        _require_rest(response, start)
        done = start if response.status == 206 else 0
        total = None if response.length is None else done + response.length
        _require_room(total or 0, room)
        with _disk_errors_named(part), part.open("ab" if done else "wb") as stream:
            for block in _read_blocks(response):
                done += len(block)
                _require_room(done, room)
                stream.write(block)
                show(done, total)
    if total is not None and done < total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")


def _ask(url: str, start: int) -> http.client.HTTPResponse:
    """The answer to a request of all bytes from `start` on."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    with _network_errors_named():
        request = urllib.request.Request(url, headers=headers)
        return urllib.request.urlopen(request, timeout=STALL_SECONDS)


def _require_rest(response: http.client.HTTPResponse, start: int) -> None:
    if not isinstance(response, http.client.HTTPResponse):  # urllib also follows to FTP
        raise ConnectionError(f"the server passes on to {response.url}; expected http or https")
    if "html" in response.headers.get("Content-Type", ""):
        raise ConnectionError("the server sent a web page instead of the archive")
    sent = response.headers.get("Content-Range", "no range")
    if response.status == 206 and not sent.startswith(f"bytes {start}-"):
        raise ValueError(f"the server sent {sent}; expected bytes {start}-")


def _read_blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    with _network_errors_named():
        while block := response.read(BLOCK):
            yield block


def _require_room(size: int, room: int) -> None:
    if size > room:
        raise ValueError(f"the server sends {size} bytes or more; expected {room} at most")


def _temporary_of(destination: Path) -> Path:
    return destination.with_name(destination.name + ".part")


def _require_place(destination: Path) -> None:
    """Only folders are replaced: what is written through a link would lie elsewhere."""
    for path in (destination, _temporary_of(destination)):
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise FileExistsError(
                f"{path} is a link or a file; expected a folder or nothing: move it away, then "
                "run again"
            )


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
    lock = downloads / "fetch.lock"
    try:
        with FileLock(lock, timeout=0):
            yield
    except Timeout:
        raise OSError(
            f"another fetch is running, it holds {lock}: wait until it ends, then run again"
        ) from None


@contextmanager
def _zip_errors_named(source: Path, part: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # zipfile has no common class for what broken archives raise
        raise ValueError(
            f"{source} ({source.stat().st_size} bytes) is no whole zip archive; {part}: {error!r}. "
            f"{ADVICE}"
        ) from error


@contextmanager
def _network_errors_named() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, http.client.HTTPException) as error:
        is_beyond = isinstance(error, urllib.error.HTTPError) and error.code == 416
        kind = ValueError if is_beyond else ConnectionError  # 416: nothing is there from there on
        raise kind(f"{type(error).__name__}: {error}") from error


@contextmanager
def _disk_errors_named(path: Path) -> Iterator[None]:
    """A full disk says which file, as other errors of the system do."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # of the network
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
