"""The data set's way to the disk: from a server, a zip or a folder, and nothing half-written."""

import hashlib
import io
import threading
import time
import warnings
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

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

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            ranges.append(self.headers.get("Range"))
            answers[min(len(ranges), len(answers)) - 1](self)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}/k.zip", ranges=ranges)
    finally:
        server.shutdown()
        server.server_close()


def send(request, content, status=200, kind="application/zip", length=None, **headers):
    request.send_response(status)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(content) if length is None else length))
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(content)


def whole(content):
    return lambda request: send(request, content)


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


@pytest.mark.parametrize("name", ["images/c.jpg", "masks/c.jpg", "images/../../c.jpg"])
def test_a_file_too_much_is_named(place, name):
    with pytest.raises(ValueError, match=r"1 are not known .*c.jpg"):
        fetch_zip(place, pack(FILES | {name: b"extra"}))
    assert_nothing_is_left(place)
    assert not list(place.root.rglob("c.jpg"))


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
])
def test_a_download_that_keeps_failing_says_what_to_do(place, answer, reason):
    with serve(answer) as server, pytest.raises(ConnectionError) as refusal:
        fetch(place, url=server.url)
    for part in (server.url, reason, "browser", "KVASIR_SEG_ARCHIVE", "data.source=demo"):
        assert part in str(refusal.value)
    assert len(server.ranges) == archive.TRIES
    assert not place.raw.exists()


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


def test_a_second_download_at_the_same_time_refuses(place):
    place.downloads.mkdir()
    lock = FileLock(place.downloads / "fetch.lock")
    with lock, pytest.raises(OSError, match="another fetch"):
        fetch(place)
    assert not place.raw.exists()


# The pinned list.

def test_the_manifest_pins_1000_images_with_a_mask_each():
    path = Path(__file__).parents[1] / "data" / "kvasir-seg.sha256"
    names = read_manifest(path)
    images, masks = ({name.removeprefix(part) for name in names if name.startswith(part)}
                     for part in ("images/", "masks/"))
    assert len(path.read_text().splitlines()) == len(names) == 2001
    assert len(images) == 1000 and images == masks
    assert all(len(digest) == 64 for digest in names.values())
    assert "kavsir_bboxes.json" in names
