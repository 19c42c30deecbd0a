"""The demo page against requests by hand, odd uploads and many visitors at once."""

import hashlib
import http.client
import http.server
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="the extra `demo` is not installed")

from effiseg.demo_guard import MAX_CALL, MAX_UPLOAD
from effiseg.demo_page import QUEUE, build_page, serve
from effiseg.hub import SHIPPED, read_config
from effiseg.predictors import Predictor

API = "/gradio_api/"
META = {"_type": "gradio.FileData"}
ROOT = Path(__file__).resolve().parents[1]
REDRAW, SHOW, EXAMPLE = range(3)  # the page's functions: a moved threshold, a file, an example
WAIT = 60  # seconds; a training may run beside


class Reply(NamedTuple):
    status: int
    body: bytes


class Page(NamedTuple):
    """A served page of one model whose network answers 0.9 everywhere after a moment."""

    port: int
    folder: Path  # of uploads
    drawn: list  # how many images the network has seen

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return Reply(reply.status, reply.read())
        finally:
            connection.close()

    def upload(self, content, name="frame.png"):
        body = (
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="'
            + name.encode() + b'"\r\n\r\n' + content + b"\r\n--x--\r\n"
        )  # fmt: skip
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        return self.ask("POST", f"{API}upload", body, **kind)

    def call(self, data, **changes):
        call = {"fn_index": SHOW, "data": data, "session_hash": name_session(), **changes}
        return self.post(json.dumps(call)), call["session_hash"]

    def post(self, body):
        return self.ask("POST", f"{API}queue/join", body, **{"Content-Type": "application/json"})

    def wait_for(self, session):
        """The last message of a call and everything that was sent before it."""
        text = self.ask("GET", f"{API}queue/data?session_hash={session}").body.decode()
        messages = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")]
        (last,) = [m for m in messages if m["msg"] == "process_completed"]
        return last, text

    def show(self, path):
        """What the page answers where a browser has uploaded a file."""
        reply, session = self.call([file_of(path), 0.5])
        assert reply.status == 200, reply.body
        return self.wait_for(session)

    def works(self):
        last, _ = self.show(json.loads(self.upload(draw_png()).body)[0])
        return last["success"] and "100.0 % of the image" in json.dumps(last)


def name_session():
    return os.urandom(6).hex()


def file_of(path, **more):
    return {"path": path, "meta": META, **more}


def draw_png():
    """A picture that no other request has sent."""
    stream = BytesIO()
    Image.fromarray(np.random.default_rng().integers(0, 256, (48, 40, 3), np.uint8)).save(
        stream, "PNG"
    )
    return stream.getvalue()


def write_bomb(side=60000):
    """A PNG of a few bytes that promises side x side pixels."""

    def chunk(kind, content):
        sum_ = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", sum_)

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(10**6))
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    def run(images):
        time.sleep(0.02)
        seen.append(len(images))
        return np.full((len(images), 32, 32), 0.9, np.float32)

    config = replace(read_config(SHIPPED / "baseline"), test_flips=False)
    folder, seen = tmp_path_factory.mktemp("gradio"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        blocks = build_page({"sure": Predictor("", config, "torch", run)}, [])
        port = free_port()
        serve(blocks, "127.0.0.1", port)
        yield Page(port, folder, seen)
        blocks.close()


@pytest.fixture
def elsewhere():
    """A server on this machine and the requests that reach it."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(draw_png())

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/secret.png", asked
        server.shutdown()


def test_the_page_answers_a_call_as_a_browser_makes_it(page):
    assert page.works()


def by_hand(page, file, url):
    """A file as a request by hand may name it; {url}, {root} and {folder} are filled in."""
    words = {"url": url, "root": ROOT, "folder": page.folder}
    filled = {
        key: text.format(**words) if isinstance(text, str) else text for key, text in file.items()
    }
    return {"meta": META} | filled


@pytest.mark.parametrize(
    "file",
    [
        {"path": "{url}"},
        {"path": "{url}", "url": "{url}"},
        {"path": "https://example.com/x.png"},
        {"path": "file:///etc/passwd"},
        {"path": "/etc/passwd"},
        {"path": "{root}/params.yaml"},
        {"path": "params.yaml"},
        {"path": "{folder}/../../../../../../etc/passwd"},
        {"path": "{folder}/\0.png"},
        {"path": "{folder}/\ud800.png"},
        {"path": ["{url}"]},
        {"path": "{url}", "meta": {}},
        {"path": "{folder}/x.png", "meta": {"_type": "gradio.FileData", "file": {"path": "/x"}}},
        {"url": "{url}"},
    ],
)
def test_a_call_may_name_uploaded_files_alone(page, elsewhere, file):
    url, asked = elsewhere
    for data in ([by_hand(page, file, url), 0.5], [None, by_hand(page, file, url)]):
        reply, _ = page.call(data)
        assert reply.status == 400
        assert b"data: expected" in reply.body
    reply, _ = page.call([[by_hand(page, file, url)], 0.5])
    assert reply.status == 400
    assert asked == []


def test_the_address_beside_an_uploaded_file_is_not_asked(page, elsewhere):
    url, asked = elsewhere
    path = json.loads(page.upload(draw_png()).body)[0]
    reply, session = page.call([file_of(path, url=url, orig_name=url), 0.5])
    assert reply.status == 200
    assert page.wait_for(session)[0]["success"]
    assert asked == []


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        "/config", "/docs", "/login", "/login_check", "/logout", "/monitoring",
        "/monitoring/summary", "/openapi.json", "/pwa_icon", "/svelte/x",
        *(API + name for name in (
            "api/predict", "call/predict", "call/predict/x", "call/v2/predict", "cancel",
            "component_server", "custom_component/x/client/y/z", "deep_link", "dev/reload",
            "file/etc/passwd", "info", "mcp/sse", "openapi.json", "process_recording",
            "profiling/traces", "proxy=http://127.0.0.1/x", "queue/join/", "queue/status", "reset",
            "run/predict", "run-history/buckets", "runs", "stream/x", "stream/x/y/1/playlist-file",
            "token", "upload/", "user", "vibe-code", "vibe-edit",
        )),
    ],
)  # fmt: skip
def test_addresses_that_the_page_does_not_need_are_closed(page, method, path):
    reply = page.ask(method, path, b"{}" if method == "POST" else None)
    assert (reply.status, json.loads(reply.body)) == (404, {"detail": "there is no such page"})


@pytest.mark.parametrize(
    "path",
    [
        "{url}", "/etc/passwd", "%2Fetc%2Fpasswd", "{root}/params.yaml", "params.yaml",
        "../params.yaml", "..%2Fparams.yaml", "%2e%2e/%2e%2e/etc/passwd",
        "{folder}/../../../../../../etc/passwd", "{folder}/..%2F..%2F..%2F..%2F..%2Fetc%2Fpasswd",
        "{folder}%00.png", "file:///etc/passwd", "\\\\etc\\passwd", "~/.bashrc",
        ".gradio/cached_examples/x",
    ],
)  # fmt: skip
def test_only_files_of_the_page_are_given(page, elsewhere, path):
    url, asked = elsewhere
    reply = page.ask("GET", f"{API}file={path.format(url=url, root=ROOT, folder=page.folder)}")
    assert reply.status == 403
    assert json.loads(reply.body) == {"detail": "this is no file of the page"}
    assert asked == []


@pytest.mark.parametrize("path", ["", "/", "/0/frame.png", "/link/passwd"])
def test_folders_and_names_that_are_guessed_give_nothing(page, path):
    link = page.folder / "link"
    if not link.is_symlink():
        link.symlink_to("/etc")
    assert page.ask("GET", f"{API}file={page.folder}{path}").status == 403


@pytest.mark.parametrize("folder", ["assets", "static"])
@pytest.mark.parametrize("path", ["../../routes.py", "..%2F..%2Froutes.py", "/etc/passwd", "%00"])
def test_the_scripts_of_the_page_are_no_way_out(page, folder, path):
    reply = page.ask("GET", f"/{folder}/{path}")
    assert reply.status in (400, 403, 404)
    assert b"root:" not in reply.body


def test_an_uploads_name_can_not_be_computed_from_its_bytes(page):
    content = draw_png()
    path = Path(json.loads(page.upload(content).body)[0])
    assert path.parent.name != hashlib.sha256(content).hexdigest()
    assert len(path.parent.name) == 64


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "x.png", id="empty"),
        pytest.param(b"This is no image.", "x.png is not an image that can be read", id="text"),
        pytest.param(draw_png()[:2000], "x.png", id="truncated"),
        pytest.param(write_bomb(), "expected at most 8000 a side", id="bomb"),
    ],
)
def test_the_page_says_why_an_upload_is_refused(page, content, words):
    (path,) = json.loads(page.upload(content, "x.png").body)
    last, text = page.show(path)
    assert last["success"]
    assert words in last["output"]["data"][0]["value"]
    assert str(page.folder) not in text
    assert str(ROOT) not in text
    assert "Traceback" not in text
    assert page.works()


@pytest.mark.parametrize(
    "name",
    [
        "../../../x.png", "/etc/x.png", "..\\..\\x.png", "..", ".", "%2e%2e%2fx.png", "\0.png",
        "a" * 300 + ".png", "<b>${x}{{y}}.png", "x.png; y", "\u202egnp.x.png", "CON.png", ".png",
    ],
)  # fmt: skip
def test_an_upload_lands_in_its_folder_whatever_its_name(page, name):
    before = set(page.folder.parent.iterdir())
    reply = page.upload(draw_png(), name)
    assert reply.status in (200, 400), reply
    if reply.status == 200:
        (path,) = map(Path, json.loads(reply.body))
        assert path.resolve().parent.parent == page.folder
        assert path.is_file()
    else:
        assert str(page.folder).encode() not in reply.body
    assert set(page.folder.parent.iterdir()) == before
    assert page.works()


def multipart(*contents):
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    yield from (head + content + b"\r\n" for content in contents)
    yield b"--x--\r\n"


@pytest.mark.parametrize("contents", [[bytes(MAX_UPLOAD // 2)] * 3, [bytes(MAX_UPLOAD + 1)]])
def test_an_upload_above_the_limit_is_refused_and_leaves_nothing(page, contents):
    before = files_below(page.folder)
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    with_length = page.ask("POST", f"{API}upload", b"".join(multipart(*contents)), **kind)
    in_chunks = page.ask("POST", f"{API}upload", multipart(*contents), **kind)
    assert with_length.status == in_chunks.status == 413
    assert files_below(page.folder) == before
    assert page.works()


@pytest.mark.parametrize("body", [b"".join(multipart(draw_png()))[:-20], b"--x\r\n\r\n--x--"])
def test_what_a_cut_off_upload_left_goes_after_an_hour(page, body):
    head = f"POST {API}upload HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body) + 9}\r\n"
    kind = "Content-Type: multipart/form-data; boundary=x"
    with socket.create_connection(("127.0.0.1", page.port), timeout=WAIT) as connection:
        connection.sendall(f"{head}{kind}\r\n\r\n".encode() + body)
    page.ask("POST", f"{API}upload", body, **{"Content-Type": kind.partition(": ")[2]})
    assert page.works()
    for path in page.folder.glob("tmp*"):
        os.utime(path, (0, 0))
    page.upload(draw_png())
    assert list(page.folder.glob("tmp*")) == []


def test_a_disk_that_is_nearly_full_takes_no_upload(page, monkeypatch):
    monkeypatch.setattr("effiseg.demo_guard.MIN_FREE", 2**60)
    reply = page.upload(draw_png())
    assert reply.status == 507
    assert b"the server's disk is full" in reply.body
    monkeypatch.undo()
    assert page.works()


def files_below(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"{", 400), (b"[]", 400), (b"null", 400), (b"\xff", 400),
        (b"[" * (MAX_CALL - 1), 400), (b" " * (MAX_CALL + 1), 413),
    ],
)  # fmt: skip
def test_a_call_that_is_no_json_object_is_refused(page, body, status):
    assert page.post(body).status == status
    assert page.works()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fn_index": 99}, "fn_index"), ({"fn_index": -1}, "fn_index"),
        ({"fn_index": "1"}, "fn_index"), ({"fn_index": None}, "fn_index"),
        ({"fn_index": True}, "fn_index"),
        ({"session_hash": None}, "session_hash"), ({"session_hash": "../x"}, "session_hash"),
        ({"session_hash": "x" * 65}, "session_hash"), ({"session_hash": {}}, "session_hash"),
        *(({"data": data}, "data") for data in (
            [], [None], [None, 0.5, 0.5], None, {}, "x", [None, None], [None, "0.5"], [None, True],
            [None, [0.5]], [None, 0.0], [None, 1], [None, -1e308], [None, float("nan")],
            [None, float("inf")], [None, 10**400], ["x", 0.5], [0, 0.5], [[], 0.5],
        )),
    ],
)  # fmt: skip
def test_a_call_with_odd_values_is_refused_and_the_page_goes_on(page, changes, words):
    reply, _ = page.call(**{"data": [None, 0.5]} | changes)
    assert reply.status == 400
    assert json.loads(reply.body)["detail"].startswith(words)
    assert page.works()


@pytest.mark.parametrize(
    "event", [None, {}, {"index": 99}, {"index": "x"}, {"index": None}, {"index": [[]] * 99}]
)
def test_an_example_that_is_not_there_is_no_answer(page, event):
    reply, session = page.call([0.5], fn_index=EXAMPLE, event_data=event)
    assert reply.status == 200
    last, text = page.wait_for(session)
    assert not last["success"]
    assert last["output"]["error"] is None
    assert "Traceback" not in text
    assert page.works()


@pytest.mark.parametrize(
    "more",
    [
        {"batched": True}, {"simple_format": True}, {"event_id": "x"}, {"trigger_id": 99},
        {"trigger_id": "x"}, {"oauth_token": "x"}, {"event_data": "x"}, {"unknown": [{}]},
    ],
)  # fmt: skip
def test_what_a_call_says_besides_does_not_stop_the_page(page, more):
    reply, session = page.call([None, 0.5], **more)
    assert reply.status in (200, 422)
    if reply.status == 200:
        last, text = page.wait_for(session)
        assert last["success"] or last["output"]["error"] is None
        assert "Traceback" not in text
    assert page.works()


def test_a_threshold_moves_nothing_in_a_session_without_an_image(page):
    seen = len(page.drawn)
    reply, session = page.call([None, 0.9], fn_index=REDRAW)
    assert reply.status == 200
    last, _ = page.wait_for(session)
    assert last["output"]["data"] == [None, ""]
    assert len(page.drawn) == seen


def test_a_state_is_the_servers_own(page):
    """What a call sends in its place is not looked at."""
    reply, session = page.call([{"path": "/etc/passwd", "meta": META}, 0.9], fn_index=REDRAW)
    assert reply.status == 200
    assert page.wait_for(session)[0]["output"]["data"] == [None, ""]


def test_a_session_that_nobody_has_gets_nothing(page):
    with pytest.raises(http.client.IncompleteRead) as cut_off:
        page.ask("GET", f"{API}queue/data?session_hash={name_session()}")
    assert b'"session_not_found":true' in cut_off.value.partial
    assert page.works()


def test_a_page_that_is_ended_leaves_no_image_and_others_read_none_meanwhile(tmp_path):
    port = free_port()
    arguments = ["demo", "--port", str(port), "--backend", "torch", "--compare", ""]
    command = [sys.executable, "-c", f"from effiseg.commands import main; main({arguments})"]
    paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    variables = os.environ | {"GRADIO_TEMP_DIR": str(tmp_path), "PYTHONPATH": paths}
    variables["PYTHONUNBUFFERED"] = "1"
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert any("the page is at" in line for line in process.stdout)
            (folder,) = tmp_path.iterdir()
            reply = Page(port, folder, []).upload(draw_png())
            assert Path(json.loads(reply.body)[0]).is_relative_to(folder)
            assert folder.stat().st_mode & 0o077 == 0
        finally:
            process.terminate()
    assert list(tmp_path.iterdir()) == []


def test_slow_clients_and_endless_headers_do_not_stop_the_page(page):
    slow = [socket.create_connection(("127.0.0.1", page.port), timeout=WAIT) for _ in range(100)]
    try:
        for connection in slow:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow:")
        assert page.works()
        slow[0].sendall(b"x" * 2**17)
        assert b" 400 " in slow[0].recv(100)
        assert page.works()
    finally:
        for connection in slow:
            connection.close()


def test_many_visitors_at_once_are_answered_or_told_that_the_queue_is_full(page):
    memory = psutil.Process().memory_info().rss

    def visit(_):
        (path,) = json.loads(page.upload(draw_png()).body)
        reply, session = page.call([file_of(path), 0.5])
        if reply.status == 503:
            assert b"Queue is full" in reply.body
            return "full"
        assert reply.status == 200, reply
        last, _ = page.wait_for(session)
        return "answered" if last["success"] else "failed"

    with ThreadPoolExecutor(50) as pool:
        told = Counter(pool.map(visit, range(120)))
    assert told["answered"] >= QUEUE
    assert told.keys() <= {"answered", "full"}
    assert psutil.Process().memory_info().rss - memory < 200 * 2**20
    assert page.works()
