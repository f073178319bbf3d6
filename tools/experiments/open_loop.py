"""A client that sends when it was told to, whatever the server does: what it measures knows of every wait."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LENGTH = b"content-length: "


def request(url: str, model: str, images: NDArray[Any]) -> bytes:
    """Return a whole request for uint8 or float32 images [N, …], whose answer is their exits alone."""
    entry = {
        "name": "images", "datatype": {"u": "UINT8", "f": "FP32"}[images.dtype.kind],
        "shape": list(images.shape), "parameters": {"binary_data_size": images.nbytes},
    }  # fmt: skip
    head = json.dumps({"inputs": [entry], "outputs": [{"name": "exit"}]}).encode()
    lines = [
        f"POST /v2/models/{model}/infer HTTP/1.1",
        f"Host: {url.removeprefix('http://')}",
        f"Inference-Header-Content-Length: {len(head)}",
        f"Content-Length: {len(head) + images.nbytes}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + head + images.tobytes()


def offer(
    url: str, requests: Sequence[bytes], send_s: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Send requests and return the latency, seconds, and the exit of each, [N].

    It never sleeps, so it is late by microseconds; a connection carries one request at a time, and another is
    opened where all are busy.

    Args:
        url: Of the server.
        requests: What to send.
        send_s: Seconds from now at which each is to be sent, rising; latencies count from there. ``None``:
            each when the one before is answered.

    Raises:
        RuntimeError: An answer that is none.
    """
    host, _, port = url.removeprefix("http://").rpartition(":")
    ready, free = selectors.DefaultSelector(), deque[socket.socket]()
    latency, exits = np.empty(len(requests)), np.empty(len(requests), np.int64)
    running: dict[socket.socket, tuple[int, float, bytearray]] = {}
    sent = done = 0
    start = time.perf_counter()
    while done < len(requests):
        now = time.perf_counter() - start
        if sent < len(requests) and (not running if send_s is None else send_s[sent] <= now):
            if not free:
                made = socket.create_connection((host, int(port)))
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                ready.register(made, selectors.EVENT_READ)
                free.append(made)
            one = free.pop()
            running[one] = (sent, now if send_s is None else float(send_s[sent]), bytearray())
            one.sendall(requests[sent])
            sent += 1
            continue
        for key, _ in ready.select(0):
            one = key.fileobj  # type: ignore[assignment]
            number, begin, answer = running[one]
            answer += one.recv(1 << 16)
            if not _whole(answer):
                continue
            latency[number] = time.perf_counter() - start - begin
            exits[number] = _exit(answer)
            del running[one]
            free.append(one)
            done += 1
    for one in free:
        one.close()
    return latency, exits


def _whole(answer: bytearray) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    lower = head.lower()
    return len(body) >= int(lower[lower.index(_LENGTH) + len(_LENGTH) :].partition(b"\r\n")[0])


def _exit(answer: bytearray) -> int:
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the server answered {bytes(head[:40])!r}: {bytes(body[:200])!r}")
    return int(json.loads(body)["outputs"][0]["data"][0])
