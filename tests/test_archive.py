"""The data set's way to the disk: from a server, a zip or a folder, and nothing half-written."""

import hashlib
import io
import os
import re
import struct
import tempfile
import time
import warnings
import zipfile
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from servers import Quiet, run_server

from effiseg import archive
from effiseg.archive import fetch_kvasir, read_manifest

FILES = {
    "images/a.jpg": bytes(range(256)) * 40,
    "images/b.jpg": b"second image" * 50,
    "masks/a.jpg": b"first mask",
    "masks/b.jpg": b"second mask",
    "kavsir_bboxes.json": b"{}",
}


def pack(files, top="Kvasir-SEG/"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(top + name, content)
    return buffer.getvalue()


def unpack(folder, files=FILES):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def read_tree(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes()
            for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def place(tmp_path):
    """Where a fetch reads and writes: manifest, destination and downloads in one folder."""
    manifest = tmp_path / "files.sha256"
    manifest.write_text("".join(
        f"{hashlib.sha256(content).hexdigest()}  Kvasir-SEG/{name}\n"
        for name, content in FILES.items()
    ))
    return SimpleNamespace(
        root=tmp_path, manifest=manifest, raw=tmp_path / "data" / "raw",
        downloads=tmp_path / "downloads", part=tmp_path / "downloads" / "kvasir-seg.part",
    )


def fetch(place, local_copy=None, url="http://127.0.0.1:9/nobody", show=lambda done, total: None):
    fetch_kvasir(place.raw, place.manifest, local_copy, show,
                 downloads=place.downloads, url=url, pause_seconds=0)


def fetch_zip(place, content):
    path = place.root / "copy.zip"
    path.write_bytes(content)
    fetch(place, path)


def assert_nothing_is_left(place):
    assert not place.raw.exists()
    assert list(place.raw.parent.iterdir()) == []
    if place.downloads.exists():
        assert [p.name for p in place.downloads.iterdir() if p.suffix != ".lock"] == []


# Servers. An answer is a function of the request; each request takes the next, the last stays.

@contextmanager
def serve(*answers):
    ranges = []  # the Range header of each request

    class Handler(Quiet):
        def do_GET(self):
            ranges.append(self.headers.get("Range"))
            answers[min(len(ranges), len(answers)) - 1](self)

    with run_server(Handler) as port:
        yield SimpleNamespace(url=f"http://127.0.0.1:{port}/k.zip", ranges=ranges)


def send(request, content, status=200, kind="application/zip", length=None, **headers):
    request.send_response(status)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(content) if length is None else length))
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(content)


def whole(content, **headers):
    return lambda request: send(request, content, **headers)


def with_range(content):
    def answer(request):
        start = int(request.headers.get("Range", "bytes=0-")[len("bytes="):-1])
        send(request, content[start:], status=206,
             Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}")
    return answer


def cut_off(content, after):
    return lambda request: send(request, content[:after], length=len(content))


def status(code):
    return lambda request: send(request, b"<html>sorry</html>", status=code, kind="text/html")


def stalled(content, after):
    def answer(request):
        cut_off(content, after)(request)
        request.wfile.flush()
        time.sleep(0.4)
    return answer


def in_chunks(*chunks, ends=True):
    """A body without a declared length; `chunks` may have no end."""
    def answer(request):
        request.protocol_version = "HTTP/1.1"
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for chunk in chunks:
            request.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if ends:
            request.wfile.write(b"0\r\n\r\n")
        request.close_connection = True
    return answer


def without_end(status=200, **headers):
    def answer(request):
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        with suppress(OSError):  # until the other side hangs up
            while True:
                request.wfile.write(bytes(1 << 16))
    return answer


def of_the_wrong_range(content, sent):
    def answer(request):
        send(request, content, status=206, Content_Range=sent)
    return answer


def redirect(to):
    return lambda request: send(request, b"", status=302, Location=to)


def raw(line):
    """An answer that is not HTTP."""
    return lambda request: request.wfile.write(line)


# Local copies.

@pytest.mark.parametrize("top", ["Kvasir-SEG/", ""])
def test_a_zip_becomes_the_data_set(place, top):
    fetch_zip(place, pack(FILES, top))
    assert read_tree(place.raw) == FILES


@pytest.mark.parametrize("top", ["Kvasir-SEG", ""])
def test_an_unpacked_folder_becomes_the_data_set(place, top):
    unpack(place.root / "copy" / top)
    fetch(place, place.root / "copy")
    assert read_tree(place.raw) == FILES
    assert read_tree(place.root / "copy" / top) == FILES  # the user's copy stays


def test_an_older_data_set_is_replaced_as_a_whole(place):
    unpack(place.raw, {"images/old.jpg": b"old"})
    fetch_zip(place, pack(FILES))
    assert read_tree(place.raw) == FILES


def test_a_refused_copy_leaves_the_older_data_set_alone(place):
    unpack(place.raw, {"images/old.jpg": b"old"})
    with pytest.raises(ValueError):
        fetch_zip(place, pack(FILES | {"masks/b.jpg": b"other"}))
    assert read_tree(place.raw) == {"images/old.jpg": b"old"}
    assert [p.name for p in place.raw.parent.iterdir()] == ["raw"]


def test_wrong_bytes_are_named_with_both_hashes(place):
    with pytest.raises(ValueError) as refusal:
        fetch_zip(place, pack(FILES | {"masks/b.jpg": b"other"}))
    for part in ("masks/b.jpg", hashlib.sha256(b"other").hexdigest(),
                 hashlib.sha256(FILES["masks/b.jpg"]).hexdigest(), "KVASIR_SEG_ARCHIVE"):
        assert part in str(refusal.value)
    assert_nothing_is_left(place)


def test_a_missing_file_is_named(place):
    files = {name: content for name, content in FILES.items() if name != "masks/b.jpg"}
    with pytest.raises(ValueError, match=r"1 of 5 files are missing \(masks/b\.jpg\)"):
        fetch_zip(place, pack(files))
    assert_nothing_is_left(place)


@pytest.mark.parametrize("name", [
    "images/c.jpg", "masks/c.jpg", "../c.jpg", "images/../../../c.jpg", "/c.jpg", "//host/c.jpg",
    "..\\..\\c.jpg", "C:\\c.jpg", "C:c.jpg", "./images/../c.jpg", "IMAGES/c.jpg", "images/\nc.jpg",
])
@pytest.mark.parametrize("top", ["Kvasir-SEG/", ""])
def test_a_file_too_much_is_named_and_not_written(place, name, top):
    with zipfile.ZipFile(buffer := io.BytesIO(pack(FILES, top)), "a") as packed:
        packed.writestr(top + name, b"extra")
    with pytest.raises(ValueError, match=r"(?s)1 are not known .*c\.jpg"):
        fetch_zip(place, buffer.getvalue())
    assert_nothing_is_left(place)
    assert not [path for path in place.root.rglob("*") if "c.jpg" in path.name]


def test_a_file_that_grows_without_bound_is_refused(place, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST_FILE", 20_000)
    with pytest.raises(ValueError, match=r"images/b\.jpg has more than 20000 bytes"):
        fetch_zip(place, pack(FILES | {"images/b.jpg": bytes(10_000_000)}))
    assert_nothing_is_left(place)


def test_a_link_in_an_archive_is_no_image(place):
    link = zipfile.ZipInfo("Kvasir-SEG/masks/b.jpg")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO(pack({n: c for n, c in FILES.items() if n != "masks/b.jpg"}))
    with zipfile.ZipFile(buffer, "a") as packed:
        packed.writestr(link, "/etc/hostname")
    with pytest.raises(ValueError, match=r"masks/b\.jpg has sha256"):
        fetch_zip(place, buffer.getvalue())
    assert_nothing_is_left(place)


def test_a_name_twice_in_an_archive_is_checked_like_any_other(place):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of the second name
        buffer = io.BytesIO(pack(FILES))
        with zipfile.ZipFile(buffer, "a") as packed:
            packed.writestr("Kvasir-SEG/masks/b.jpg", b"other")
    with pytest.raises(ValueError, match=r"masks/b\.jpg has sha256"):
        fetch_zip(place, buffer.getvalue())


@pytest.mark.parametrize("content", [b"", b"no zip", pack(FILES)[:-40], pack(FILES)[:200]])
def test_what_is_no_whole_zip_is_refused(place, content):
    with pytest.raises(ValueError, match=r"copy\.zip .*no whole zip archive.*KVASIR_SEG_ARCHIVE"):
        fetch_zip(place, content)
    assert_nothing_is_left(place)


def test_a_damaged_zip_is_refused(place):
    content = bytearray(pack(FILES))
    content[60] ^= 0xFF  # in the compressed bytes of the first file
    with pytest.raises(ValueError, match=r"no whole zip archive|has sha256"):
        fetch_zip(place, bytes(content))
    assert_nothing_is_left(place)


# Fields of a zip's headers: where they lie in the list of files and before the file itself.
VERSION, FLAGS, METHOD, CRC, SIZE = (6, 4), (8, 6), (10, 8), (16, 14), (24, 22)
OFFSET, NAME = (42, None), (46, 30)


def rewrite(field, value, content=None):
    """A zip with other bytes in one field of both headers of masks/b.jpg."""
    content = bytearray(content or pack(FILES))
    for header, start in zip((rb"PK\x01\x02.{42}", rb"PK\x03\x04.{26}"), field, strict=True):
        found = re.search(header + rb"Kvasir-SEG/masks/b\.jpg", content, re.DOTALL)
        if start is not None:
            place = found.start() + start
            content[place : place + len(value)] = value
    return bytes(content)


def short(number):
    return struct.pack("<H", number)


def long(number):
    return struct.pack("<I", number)


def pack_with(method):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as packed:
        for name, content in FILES.items():
            packed.writestr("Kvasir-SEG/" + name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(("content", "reason"), [
    pytest.param(rewrite(FLAGS, short(1)), "masks/b.jpg: .*encrypted", id="encrypted"),
    pytest.param(rewrite(METHOD, short(99)), "b.jpg is packed with method 99", id="unknown method"),
    pytest.param(pack_with(zipfile.ZIP_BZIP2), "packed with method 12", id="bzip2"),
    pytest.param(pack_with(zipfile.ZIP_LZMA), "packed with method 14", id="LZMA"),
    pytest.param(rewrite(VERSION, short(99)), "zip file version", id="a new version"),
    pytest.param(rewrite(SIZE, long(5)), "masks/b.jpg: .*CRC", id="larger than declared"),
    pytest.param(rewrite(SIZE, long(2**32 - 2)), "b.jpg has more than", id="declared as 4 GiB"),
    pytest.param(rewrite(CRC, long(7)), "masks/b.jpg: .*CRC", id="wrong checksum"),
    pytest.param(rewrite(OFFSET, long(0)), "masks/b.jpg: .*differ", id="at another file's place"),
    pytest.param(rewrite(OFFSET, long(2**32 - 2)), "masks/b.jpg: ", id="beyond the end"),
    pytest.param(rewrite(NAME, b"\xff\xfe", rewrite(FLAGS, short(0x800))), "UnicodeDecodeError",
                 id="a name that is no UTF-8"),
    pytest.param(rewrite(NAME, b"\0"), "1 of 5 files are missing", id="a file without a name"),
    pytest.param(pack(FILES) + b"PK\5\6" + bytes(18), "5 of 5 files are missing",
                 id="an empty list behind"),
])
def test_an_odd_zip_is_refused_by_name(place, content, reason):
    with pytest.raises(ValueError, match=rf"copy\.zip.*{reason}"):
        fetch_zip(place, content)
    assert_nothing_is_left(place)


@pytest.mark.parametrize("content", [
    pytest.param(b"#!/bin/sh\nexit\n" + pack(FILES), id="a program before it"),
    pytest.param(pack_with(zipfile.ZIP_STORED), id="not compressed"),
    pytest.param(rewrite(SIZE, long(500)), id="a file smaller than declared, but as pinned"),
    pytest.param(pack(FILES | {"images/": b""}), id="folders with entries of their own"),
    pytest.param(pack(FILES | {"../": b""}), id="a folder outside, which is ignored"),
])
def test_a_zip_of_another_make_is_the_same_data_set(place, content):
    fetch_zip(place, content)
    assert read_tree(place.root / "data") == {f"raw/{n}": c for n, c in FILES.items()}


def test_a_zip_larger_than_the_data_set_can_be_is_not_even_opened(place):
    room = len(FILES) * archive.ROOM_OF_FILE
    with pytest.raises(ValueError, match=rf"copy\.zip has {room + 1} bytes, .* at most {room}"):
        fetch_zip(place, bytes(room + 1))
    assert_nothing_is_left(place)


def test_files_without_a_use_in_an_unpacked_folder_are_named(place):
    unpack(place.root / "copy", FILES | {"images/c.jpg": b"extra"})
    with pytest.raises(ValueError, match=r"1 are not known \(images/c\.jpg\)"):
        fetch(place, place.root / "copy")
    assert_nothing_is_left(place)


def link_elsewhere(path):
    path.unlink()
    path.symlink_to("/etc/hostname")


def link_nowhere(path):
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def make_pipe(path):
    path.unlink()
    os.mkfifo(path)


def make_huge(path):
    os.truncate(path, archive.LARGEST_FILE + 1)


@pytest.mark.parametrize(("damage", "reason"), [
    pytest.param(link_elsewhere, "has sha256", id="a link to another file"),
    pytest.param(link_nowhere, "1 of 5 files are missing", id="a link to nothing"),
    pytest.param(make_pipe, "1 of 5 files are missing", id="a pipe"),
    pytest.param(make_huge, "has more than 16777216 bytes", id="huge"),
    pytest.param(lambda path: path.write_bytes(b""), "has sha256 e3b0c44298", id="empty"),
])
def test_what_is_no_pinned_file_in_an_unpacked_folder_is_refused(place, damage, reason):
    damage(unpack(place.root / "copy") / "masks" / "b.jpg")
    with pytest.raises(ValueError, match=rf"copy.* (masks/b\.jpg )?{reason}"):
        fetch(place, place.root / "copy")
    assert_nothing_is_left(place)


def test_a_linked_file_with_the_pinned_bytes_is_copied_as_a_file(place):
    copy = unpack(place.root / "copy")
    (copy / "masks" / "b.jpg").rename(place.root / "elsewhere.jpg")
    (copy / "masks" / "b.jpg").symlink_to(place.root / "elsewhere.jpg")
    fetch(place, copy)
    assert read_tree(place.raw) == FILES
    assert not [path for path in place.raw.rglob("*") if path.is_symlink()]


def test_a_local_copy_that_is_neither_file_nor_folder_is_refused(place):
    os.mkfifo(place.root / "pipe.zip")
    with pytest.raises(ValueError, match=r"pipe\.zip is neither a zip nor a folder"):
        fetch(place, place.root / "pipe.zip")


@pytest.mark.parametrize("name", ["raw", "raw.part"])
@pytest.mark.parametrize("kind", ["link", "link to nothing", "file"])
def test_only_a_folder_is_replaced(place, name, kind):
    path, other = place.raw.with_name(name), place.root / "other"
    path.parent.mkdir()
    if kind == "file":
        path.write_bytes(b"mine")
    else:
        path.symlink_to(other)
    if kind == "link":
        unpack(other, {"mine.txt": b"mine"})
    with pytest.raises(FileExistsError, match=rf"{name} is a link or a file; expected a folder"):
        fetch_zip(place, pack(FILES))
    assert path.is_symlink() or path.read_bytes() == b"mine"
    assert read_tree(other) == ({"mine.txt": b"mine"} if kind == "link" else {})


def test_what_an_ended_fetch_left_is_not_mixed_in(place):
    unpack(place.raw.with_name("raw.part"), {"images/c.jpg": b"half", "masks/b.jpg": b"half"})
    fetch_zip(place, pack(FILES))
    assert read_tree(place.raw.parent) == {f"raw/{n}": c for n, c in FILES.items()}


@contextmanager
def acting_as_nobody():
    """Permissions do not bind root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_folder_that_may_not_be_written_to_is_named(place):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unpack(folder, {"copy.zip": pack(FILES), "files.sha256": place.manifest.read_bytes()})
        for path, rights in (("", 0o755), ("data", 0o555), ("downloads", 0o777)):
            (folder / path).mkdir(exist_ok=True)
            (folder / path).chmod(rights)
        with acting_as_nobody(), pytest.raises(PermissionError, match=r"data/raw\.part"):
            fetch_kvasir(folder / "data" / "raw", folder / "files.sha256", folder / "copy.zip",
                         lambda done, total: None, downloads=folder / "downloads")
        assert list((folder / "data").iterdir()) == []


@contextmanager
def room_for(size):
    """No file can be longer, as on a full disk."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_fills_up_while_files_are_unpacked_is_told_with_the_file(place):
    unpack(place.raw, {"images/old.jpg": b"old"})
    with pytest.raises(OSError, match=r"raw\.part/images/a\.jpg") as failure, room_for(5000):
        fetch_zip(place, pack(FILES))
    assert failure.value.errno
    assert read_tree(place.raw.parent) == {"raw/images/old.jpg": b"old"}


def test_a_disk_that_fills_up_while_downloading_is_no_fault_of_the_network(place):
    with serve(whole(pack(FILES))) as server, room_for(500):
        with pytest.raises(OSError, match=r"kvasir-seg\.part") as failure:
            fetch(place, url=server.url)
        assert failure.value.errno and len(server.ranges) == 1
    assert not place.raw.exists()


def test_a_local_copy_that_is_not_there_is_named(place):
    with pytest.raises(FileNotFoundError, match=r"KVASIR_SEG_ARCHIVE names .*gone\.zip"):
        fetch(place, place.root / "gone.zip")


def test_a_full_disk_is_told_before_anything_is_written(place, monkeypatch):
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: SimpleNamespace(free=5 << 20))
    with pytest.raises(OSError, match="needs 256 MiB, the disk has 5 MiB free"):
        fetch_zip(place, pack(FILES))
    assert_nothing_is_left(place)


# Downloads.

def test_a_download_becomes_the_data_set_and_leaves_no_archive(place):
    content, seen = pack(FILES), []
    with serve(whole(content)) as server:
        fetch(place, url=server.url, show=lambda done, total: seen.append((done, total)))
    assert read_tree(place.raw) == FILES
    assert seen[-1] == (len(content), len(content))
    assert [p.name for p in place.downloads.iterdir() if p.suffix != ".lock"] == []


def test_a_cut_off_download_is_resumed_in_the_same_run(place):
    content = pack(FILES)
    with serve(cut_off(content, after=100), with_range(content)) as server:
        fetch(place, url=server.url)
    assert server.ranges == [None, "bytes=100-"]
    assert read_tree(place.raw) == FILES


def test_a_part_of_an_earlier_run_is_resumed(place):
    content = pack(FILES)
    unpack(place.downloads, {place.part.name: content[:300]})
    with serve(with_range(content)) as server:
        fetch(place, url=server.url)
    assert server.ranges == ["bytes=300-"]
    assert read_tree(place.raw) == FILES


def test_a_server_that_cannot_resume_sends_all_again(place):
    unpack(place.downloads, {place.part.name: b"x" * 300})
    with serve(whole(pack(FILES))) as server:
        fetch(place, url=server.url)
    assert read_tree(place.raw) == FILES


def test_a_part_longer_than_the_archive_is_dropped(place):
    unpack(place.downloads, {place.part.name: b"x" * 100_000})
    with serve(status(416), with_range(pack(FILES))) as server:
        fetch(place, url=server.url)
    assert server.ranges == ["bytes=100000-", None]
    assert read_tree(place.raw) == FILES


def test_a_busy_server_is_asked_again(place):
    with serve(status(503), whole(pack(FILES))) as server:
        fetch(place, url=server.url)
    assert len(server.ranges) == 2
    assert read_tree(place.raw) == FILES


def test_a_stalled_server_is_left_and_the_download_goes_on(place, monkeypatch):
    monkeypatch.setattr(archive, "STALL_SECONDS", 0.1)
    content = pack(FILES)
    with serve(stalled(content, after=100), with_range(content)) as server:
        fetch(place, url=server.url)
    assert read_tree(place.raw) == FILES


@pytest.mark.parametrize(("answer", "reason"), [
    pytest.param(status(404), "404", id="404"),
    pytest.param(status(503), "503", id="503"),
    pytest.param(status(200), "web page", id="web page"),
    pytest.param(cut_off(b"x" * 500, after=0), "ended after 0 of 500 bytes", id="cut off"),
    pytest.param(in_chunks(b"x" * 50, ends=False), "IncompleteRead", id="cut off between chunks"),
    pytest.param(raw(b"220 a mail server\r\n"), "BadStatusLine", id="not HTTP"),
    pytest.param(raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000), "LineTooLong", id="long header"),
    pytest.param(raw(b""), "RemoteDisconnected", id="no answer"),
    pytest.param(redirect("file:///etc/hostname"), "not allowed", id="redirect to a file"),
    pytest.param(redirect("ftp://127.0.0.1:9/k.zip"), "URLError", id="redirect to FTP"),
    pytest.param(redirect("http://[bad/k.zip"), "ValueError", id="redirect to no address"),
    pytest.param(redirect("/k.zip"), "infinite loop", id="redirect to itself"),
])
def test_a_download_that_keeps_failing_says_what_to_do(place, answer, reason):
    with serve(answer) as server, pytest.raises(ConnectionError) as refusal:
        fetch(place, url=server.url)
    for part in (server.url, reason, "browser", "KVASIR_SEG_ARCHIVE", "data.source=demo"):
        assert part in str(refusal.value)
    assert len(server.ranges) >= archive.TRIES
    assert not place.raw.exists()


@pytest.mark.parametrize("answers", [
    pytest.param([redirect("/elsewhere.zip"), whole(pack(FILES))], id="redirect"),
    pytest.param([in_chunks(pack(FILES)[:99], pack(FILES)[99:])], id="no declared length"),
    pytest.param([whole(pack(FILES), length="many")], id="a length that is no number"),
])
def test_a_server_may_send_in_other_ways(place, answers):
    with serve(*answers) as server:
        fetch(place, url=server.url)
    assert read_tree(place.raw) == FILES


@pytest.mark.parametrize("answers", [
    pytest.param([without_end()], id="no declared length"),
    pytest.param([without_end(Content_Length=str(10**12))], id="a declared length"),
    pytest.param([without_end(206, Content_Range="bytes 100-999/1000"), without_end()],
                 id="as the rest of a file"),
])
def test_a_server_that_sends_without_end_fills_no_disk(place, answers):
    room = len(FILES) * archive.ROOM_OF_FILE
    unpack(place.downloads, {place.part.name: pack(FILES)[:100]})
    words = rf"server sends \d+ bytes or more; expected {room} at most; tried 4 times"
    with serve(*answers) as server, room_for(room), pytest.raises(ConnectionError, match=words):
        fetch(place, url=server.url)
    assert_nothing_is_left(place)


@pytest.mark.parametrize("sent", ["bytes 0-999/1000", "bytes 1000-1999/2000", "bytes */1000", ""])
def test_a_range_that_was_not_asked_for_is_not_appended(place, sent):
    content = pack(FILES)
    unpack(place.downloads, {place.part.name: content[:100]})
    with serve(of_the_wrong_range(content, sent), with_range(content)) as server:
        fetch(place, url=server.url)
    assert server.ranges == ["bytes=100-", None]
    assert read_tree(place.raw) == FILES


def test_a_file_that_changed_between_two_tries_is_refused_and_the_next_run_begins_anew(place):
    content = pack(FILES)
    other = pack(FILES | {"images/b.jpg": bytes(range(256)) * 30})
    with serve(cut_off(other, after=900), with_range(content)) as server:
        with pytest.raises(ValueError, match=r"no whole zip archive|has sha256"):
            fetch(place, url=server.url)
        assert server.ranges == [None, "bytes=900-"]
        assert_nothing_is_left(place)
        fetch(place, url=server.url)
    assert server.ranges[2:] == [None]
    assert read_tree(place.raw) == FILES


def test_nothing_is_downloaded_through_a_link(place):
    place.downloads.mkdir()
    unpack(place.root, {"mine.txt": b"mine"})
    place.part.symlink_to(place.root / "mine.txt")
    with serve(whole(pack(FILES))) as server:
        fetch(place, url=server.url)
    assert (place.root / "mine.txt").read_bytes() == b"mine"
    assert read_tree(place.raw) == FILES


def test_without_a_network_the_message_says_what_to_do(place):
    with pytest.raises(ConnectionError, match=r"browser.*KVASIR_SEG_ARCHIVE.*data.source=demo"):
        fetch(place)
    assert_nothing_is_left(place)


def test_pauses_grow_from_try_to_try(place, monkeypatch):
    pauses = []
    monkeypatch.setattr(archive.time, "sleep", pauses.append)
    with pytest.raises(ConnectionError):
        fetch_kvasir(place.raw, place.manifest, None, lambda done, total: None,
                     downloads=place.downloads, url="http://127.0.0.1:9/", pause_seconds=1.0)
    assert pauses == [2.0**i for i in range(archive.TRIES - 1)]


def test_a_failed_download_keeps_its_part_for_the_next_run(place):
    content = pack(FILES)
    with serve(cut_off(content, 100), status(404)) as server, pytest.raises(ConnectionError):
        fetch(place, url=server.url)
    assert place.part.read_bytes() == content[:100]


def test_a_corrupt_download_is_removed_so_that_the_next_begins_anew(place):
    with serve(whole(pack(FILES | {"masks/b.jpg": b"other"})), whole(pack(FILES))) as server:
        with pytest.raises(ValueError, match=r"masks/b\.jpg has sha256"):
            fetch(place, url=server.url)
        assert_nothing_is_left(place)
        fetch(place, url=server.url)
    assert server.ranges == [None, None]
    assert read_tree(place.raw) == FILES


@pytest.mark.parametrize("kind", ["download", "zip", "folder"])
def test_a_second_fetch_at_the_same_time_refuses_and_leaves_the_first_alone(place, kind):
    copies = {"download": None, "zip": place.root / "copy.zip", "folder": place.root / "copy"}
    unpack(place.root, {"copy.zip": pack(FILES)})
    unpack(place.root / "copy")
    unpack(place.raw.with_name("raw.part"), {"images/a.jpg": b"of the first"})
    place.downloads.mkdir()
    with (
        FileLock(place.downloads / "fetch.lock"),
        pytest.raises(OSError, match=r"another fetch is running, it holds .*fetch\.lock"),
    ):
        fetch(place, copies[kind])
    assert read_tree(place.raw.parent) == {"raw.part/images/a.jpg": b"of the first"}


# The pinned list.

@pytest.mark.parametrize("line", [
    "", "no digest", "a" * 63 + "  images/a.jpg", "a" * 64 + " images/a.jpg", "a" * 64 + "  ",
    "a" * 64 + "  ../a.jpg", "a" * 64 + "  Kvasir-SEG/../a.jpg", "a" * 64 + "  /a.jpg",
    "a" * 64 + "  images/../../a.jpg", "a" * 64 + "  C:/a.jpg", "a" * 64 + "  images\\a.jpg",
])
def test_a_line_that_pins_no_file_below_the_folder_is_refused(tmp_path, line):
    path = tmp_path / "files.sha256"
    path.write_text(f"{'0' * 64}  Kvasir-SEG/images/b.jpg\n{line}\n")
    with pytest.raises(ValueError, match=r"files\.sha256, line 2 is .*expected a sha256"):
        read_manifest(path)


def test_a_list_that_pins_nothing_is_refused(tmp_path):
    (tmp_path / "files.sha256").touch()
    with pytest.raises(ValueError, match=r"files\.sha256, line 1 is ''"):
        read_manifest(tmp_path / "files.sha256")


def test_the_manifest_pins_1000_images_with_a_mask_each():
    path = Path(__file__).parents[1] / "data" / "kvasir-seg.sha256"
    names = read_manifest(path)
    images, masks = ({name.removeprefix(part) for name in names if name.startswith(part)}
                     for part in ("images/", "masks/"))
    assert len(path.read_text().splitlines()) == len(names) == 2001
    assert len(images) == 1000 and images == masks
    assert all(len(digest) == 64 for digest in names.values())
    assert "kavsir_bboxes.json" in names
