"""A small server of the protocol that can be told to fail in ways of links and servers."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from eecompile.runtime.split.feature_codec import PayloadError
from eecompile.runtime.split.later_parts import LaterParts

Fault = Callable[["Handler", dict[str, Any], Any], bool]


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Stub

    def do_GET(self) -> None:
        self.reply(200, b"{}")

    def do_POST(self) -> None:
        length, head = (
            int(self.headers["Content-Length"]),
            int(self.headers["Inference-Header-Content-Length"]),
        )
        body = self.rfile.read(length)
        if len(body) < length:
            self.server.cut_short += 1
            self.close_connection = True
            return
        told, payload = json.loads(body[:head]), body[head:]
        self.server.asked.append((self.path, told["id"]))
        fault = self.server.fault
        if fault is not None and fault(self, told, payload):
            return
        self.answer(told, payload)

    def answer(self, told: dict[str, Any], payload: bytes) -> None:
        """Send the logits of a payload."""
        try:
            logits = self.server.parts.run(*self.server.parts.opened(payload))
        except PayloadError as error:
            self.reply(400, json.dumps({"error": str(error)}).encode())
            return
        self.reply_logits(told["id"], logits)

    def reply_logits(self, number: str, logits: Any, binary: bool = True) -> None:
        """Send logits as an answer to a request."""
        output: dict[str, Any] = {"name": "logits", "datatype": "FP32", "shape": list(logits.shape)}
        raw = logits.astype("<f4").tobytes() if binary else b""
        if binary:
            output["parameters"] = {"binary_data_size": len(raw)}
        else:
            output["data"] = [float(value) for value in logits.ravel()]
        text = json.dumps({"id": number, "outputs": [output]}).encode()
        self.reply(200, text + raw, len(text) if binary else None)

    def reply(self, status: int, body: bytes, head: int | None = None) -> None:
        """Send a whole answer."""
        self.send_response(status)
        if head is not None:
            self.send_header("Inference-Header-Content-Length", str(head))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Stub(ThreadingHTTPServer):
    """Serves the later parts of a folder.

    Attributes:
        fault: Called with each request; returns whether it has dealt with it.
        asked: Path and number of each whole request.
        cut_short: How many requests ended before their time.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, folder: Path, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.parts = LaterParts(folder)
        self.fault: Fault | None = None
        self.asked: list[tuple[str, str]] = []
        self.cut_short = 0
        self.open: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def get_request(self) -> tuple[socket.socket, Any]:
        found = super().get_request()
        self.open.append(found[0])
        return found

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients may go."""

    def drop_connections(self) -> None:
        """End all of them at once, as when a server is killed."""
        for one in self.open:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self.open.clear()


@contextmanager
def stub(folder: Path, port: int = 0) -> Iterator[Stub]:
    """Serve a folder for a while."""
    server = Stub(folder, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.drop_connections()
        server.server_close()
        thread.join()


def says(status: int, body: bytes = b"{}", head: int | None = None) -> Fault:
    """Return a fault that answers so."""

    def answered(handler: Handler, *_: Any) -> bool:
        handler.reply(status, body, head)
        return True

    return answered


def drops_in_the_answer(handler: Handler, *_: Any) -> bool:
    """Promise more than is sent, and end the connection."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + b"x" * 20)
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)
    return True


def answers_another(handler: Handler, *_: Any) -> bool:
    """Answer as if another request had been asked."""
    handler.reply_logits("another", np.zeros((1, 4)))
    return True


def trickles(handler: Handler, *_: Any) -> bool:
    """Send a byte now and then, for longer than anybody waits."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    for _number in range(100):
        try:
            handler.wfile.write(b"x")
            handler.wfile.flush()
        except OSError:
            break
        time.sleep(0.02)
    handler.close_connection = True
    return True
