"""Load of the demo page: many visitors at once, each with an image of its own.

    python -m benchmarks.demo_load      benchmarks/demo_load.json

`effiseg demo` runs in a process of its own with the shipped models. A visitor sends what a browser
does: it uploads an image, joins the queue, and reads the answer. Who finds the queue full is told
so and goes.
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from benchmarks.measure import read_peak
from effiseg.files import write_text
from effiseg.synthetic import draw_frame

REQUESTS, AT_ONCE = 200, 50
API = "/gradio_api"
SHOW = 2  # the page's function that is called with an uploaded file; each model has one before it
WAIT = 120  # seconds
IMAGES = 20  # different ones
ANSWERED, FULL, FAILED = "answered", "told that the queue is full", "failed otherwise"


def main() -> None:
    images = [draw_jpeg(number) for number in range(IMAGES)]
    port = find_port()
    command = [Path(sys.executable).with_name("effiseg"), "demo", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for_page(process, port)
            result = measure(process.pid, port, images)
        finally:
            process.terminate()
    for name, value in result.items():
        print(f"{name:36} {value}")
    path = Path(__file__).with_name("demo_load.json")
    write_text(path, json.dumps(result, indent=1) + "\n")


def measure(server: int, port: int, images: list[bytes]) -> dict[str, object]:
    """What became of the visits, and the largest resident memory before and after of the process
    `server`."""
    assert visit(port, images[0]) == ANSWERED
    before = read_peak(server)
    start = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        visits = [pool.submit(visit, port, images[n % IMAGES]) for n in range(REQUESTS)]
        told = Counter(each.result() for each in visits)
    seconds = time.perf_counter() - start
    return {
        "requests": REQUESTS,
        "sent at once": AT_ONCE,
        **{name: told[name] for name in (ANSWERED, FULL, FAILED)},
        "seconds": round(seconds, 1),
        "peak memory before (MiB)": before,
        "peak memory after (MiB)": read_peak(server),
        "works_afterwards": visit(port, images[0]) == ANSWERED,
        "processor": f"{len(os.sched_getaffinity(0))} cores",
    }


def visit(port: int, image: bytes) -> str:
    """Upload an image and wait for the answer."""
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="frame.jpg"\r\n\r\n'
    body = head + image + b"\r\n--x--\r\n"
    status, reply = ask(port, "POST", "/upload", body, "multipart/form-data; boundary=x")
    if status != 200:
        return FAILED
    file = {"path": json.loads(reply)[0], "meta": {"_type": "gradio.FileData"}}
    session = os.urandom(6).hex()
    call = {"fn_index": SHOW, "session_hash": session, "data": [file, 0.5, 0.5]}
    status, reply = ask(port, "POST", "/queue/join", json.dumps(call).encode(), "application/json")
    if status == 503 and b"Queue is full" in reply:
        return FULL
    if status != 200:
        return FAILED
    status, reply = ask(port, "GET", f"/queue/data?session_hash={session}")
    lines = [line[5:] for line in reply.decode().splitlines() if line.startswith("data:")]
    last = [m for m in map(json.loads, lines) if m["msg"] == "process_completed"]
    return ANSWERED if [m["success"] for m in last] == [True] else FAILED


def ask(
    port: int, method: str, path: str, body: bytes | None = None, kind: str = ""
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    try:
        connection.request(method, API + path, body, {"Content-Type": kind})
        reply = connection.getresponse()
        return reply.status, reply.read()
    except (OSError, http.client.HTTPException):
        return 0, b""  # counted as failed
    finally:
        connection.close()


def wait_for_page(process: subprocess.Popen[bytes], port: int) -> None:
    """Raises TimeoutError where the page does not open, or its process ends."""
    start = time.monotonic()
    while ask(port, "GET", "/startup-events")[0] != 200:
        if process.poll() is not None or time.monotonic() - start > WAIT:
            raise TimeoutError("the page did not open")
        time.sleep(0.2)


def draw_jpeg(seed: int) -> bytes:
    """A synthetic frame of 1280 x 1024 pixels."""
    frame = cv2.resize(draw_frame(np.random.default_rng(seed)).image, (1280, 1024))
    return cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1].tobytes()


def find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()
