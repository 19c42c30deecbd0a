"""The guard of the demo page: what its own script does not ask for is refused.

A request by hand could make Gradio fetch a URL, read a file of the server, or call a function with
values that the page never sends. The guard stands before Gradio, as ASGI middleware.
"""

import json
import os
import re
import shutil
import time
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_UPLOAD = 20 * 2**20  # bytes
KEEP = 3600  # seconds that an upload is kept
API = "/gradio_api/"
CALL, UPLOAD, FILE = f"{API}queue/join", f"{API}upload", f"{API}file="
MAX_CALL = 2**16  # bytes of a request that is no upload; as much goes around an uploaded file
MIN_FREE = 2**30  # bytes of the disk that uploads leave free
OPEN = re.compile(  # what browsers ask of this page; Gradio's other addresses are closed
    r"(GET|HEAD) /(theme\.css|favicon\.ico|robots\.txt|manifest\.json|(assets|static)/.+)?"
    rf"|GET {API}(app_id|startup-events|upload_progress|queue/data|heartbeat/\w+|file=.+)"
    rf"|POST {API}(upload|queue/join)",
    re.DOTALL,
)


def guard(app: ASGIApp, page: gr.Blocks) -> ASGIApp:
    """Pass on what the page asks of its server, and refuse everything else."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        path, status, refusal = scope["path"], 0, ""
        if not OPEN.fullmatch(f"{scope['method']} {path}"):
            status, refusal = 404, "there is no such page"
        elif path.startswith(FILE) and not is_ours(path.removeprefix(FILE)):
            status, refusal = 403, "this is no file of the page"
        elif path == UPLOAD:
            receive = _bound(receive, MAX_UPLOAD + MAX_CALL)
            if not make_room():
                status, refusal = 507, "the server's disk is full; try again in an hour"
        elif path == CALL:
            try:
                body = await Request(scope, _bound(receive, MAX_CALL)).body()
            except MultiPartException as error:
                status, refusal = 413, error.message
            else:
                status, refusal = 400, check_call(body, page)
                receive = _replay(body, receive)
        if refusal:
            return await JSONResponse({"detail": refusal}, status)(scope, receive, send)
        return await app(scope, receive, send)

    return answer


def is_ours(path: str) -> bool:
    """Whether a path lies in the folder of uploaded and drawn images, links and `..` followed."""
    try:
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(get_upload_folder()))
    except ValueError:  # a path with a null byte, or that is no Unicode
        return False


def make_room() -> bool:
    """Whether the disk takes another upload.

    Files that lie in the folder itself are of uploads that were cut off: Gradio forgets them.
    """
    folder = get_upload_folder()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file() and time.time() - entry.stat().st_mtime > KEEP:
                Path(entry).unlink(missing_ok=True)
    return shutil.disk_usage(folder).free > MIN_FREE


def check_call(body: bytes, page: gr.Blocks) -> str:
    """Why the JSON of a call is none that the page makes; empty where it is one."""
    try:
        call = json.loads(body)
    except (ValueError, RecursionError):
        return "expected JSON"
    if not isinstance(call, dict):
        return "expected a JSON object"
    session, number, data = (call.get(key) for key in ("session_hash", "fn_index", "data"))
    if not (isinstance(session, str) and re.fullmatch(r"\w{1,64}", session, re.ASCII)):
        return "session_hash: expected 1 to 64 letters and digits"
    if type(number) is not int or number not in page.fns:
        return "fn_index: there is no such function"
    inputs = page.fns[number].inputs
    if not isinstance(data, list) or len(data) != len(inputs):
        return f"data: expected a list of {len(inputs)} values"
    wrong = (_check_value(value, part) for value, part in zip(data, inputs, strict=True))
    return next(filter(None, wrong), "")


def _check_value(value: object, part: object) -> str:
    """Why a value is none for a part of the page. What a State holds is the server's own."""
    if isinstance(part, gr.Slider):
        if type(value) in (int, float) and part.minimum <= value <= part.maximum:
            return ""
        return f"data: expected a threshold from {part.minimum} to {part.maximum}"
    if isinstance(part, gr.File) and value is not None:
        known = isinstance(value, dict) and value.get("meta") == {"_type": "gradio.FileData"}
        if not known or not isinstance(value.get("path"), str) or not is_ours(value["path"]):
            return "data: expected a file that was uploaded to this page"
    return ""


def _bound(receive: Receive, limit: int) -> Receive:
    """The messages of a body of at most `limit` bytes.

    What is raised otherwise makes Gradio delete the part of an upload that it has written.
    """
    left, ended = limit, False

    async def receive_some() -> Message:
        nonlocal left, ended
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise MultiPartException(f"exceeds the maximum allowed size of {limit} bytes")
        if message["type"] == "http.disconnect" and not ended:
            raise MultiPartException("was cut off")
        ended = ended or not message.get("more_body", False)
        return message

    return receive_some


def _replay(body: bytes, receive: Receive) -> Receive:
    """A body that was read already, and what comes after it."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again
