"""Servers on this machine that tests ask in the place of others."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Quiet(BaseHTTPRequestHandler):
    """Writes no line a request."""

    def log_message(self, *arguments):
        pass


@contextmanager
def run_server(handler):
    """The port of a server whose requests `handler`, a subclass of `Quiet`, answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
