"""A client of the Open Inference Protocol v2 over HTTP, with binary tensors, for one connection.

Only the standard library. Every call ends: by its answer, by an error, or when its time is over.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from eecompile.runtime.split.later_parts import LOGITS, PAYLOAD
from passes.errors import InputError

_MOST_BYTES = 1 << 20
_HEADER_LENGTH = "Inference-Header-Content-Length"


class LinkError(Exception):
    """No answer: the link or the server is down, too slow, or said something that is no answer."""


class RefusedError(LinkError):
    """The server does not take this payload; sending it again would not help."""


@dataclass(frozen=True)
class Address:
    """Where a server listens.

    Attributes:
        host: Name or number.
        port: Of TCP.
        model: Name of the model there.
    """

    host: str
    port: int
    model: str

    @staticmethod
    def of(url: str, model: str) -> Address:
        """Read ``http://host:port``; raises InputError for anything else."""
        try:
            parts = urlsplit(url if "//" in url else f"//{url}", "http")
            host, port = parts.hostname, parts.port or 8080
        except ValueError:
            host, port = None, 0
        if not host or parts.scheme != "http":
            raise InputError(f"'{url}' is no address of a server", "example: http://192.168.0.2:8080")
        return Address(host, port, model)


def request_bytes(address: Address, payload: bytes, number: str) -> bytes:
    """Return the whole request, head and body, that asks for the logits of a payload."""
    wanted = {
        "id": number,
        "inputs": [
            {
                "name": PAYLOAD,
                "shape": [1, len(payload)],
                "datatype": "UINT8",
                "parameters": {"binary_data_size": len(payload)},
            }
        ],
        "outputs": [{"name": LOGITS, "parameters": {"binary_data": True}}],
    }
    text = json.dumps(wanted, separators=(",", ":")).encode()
    head = (
        f"POST /v2/models/{address.model}/infer HTTP/1.1\r\n"
        f"Host: {address.host}:{address.port}\r\n"
        "Content-Type: application/octet-stream\r\n"
        f"{_HEADER_LENGTH}: {len(text)}\r\n"
        f"Content-Length: {len(text) + len(payload)}\r\n\r\n"
    )
    return head.encode() + text + payload


class V2Client:
    """Asks one server over one connection that is kept; not for several threads at once.

    Args:
        address: Where it listens.
        timeout_s: Seconds within which each call ends.
    """

    def __init__(self, address: Address, timeout_s: float) -> None:
        self.address, self._timeout_s = address, timeout_s
        self._socket: socket.socket | None = None
        self._asked = 0

    @property
    def connected(self) -> bool:
        """Whether there is a connection; the other side may have ended it."""
        return self._socket is not None

    def close(self) -> None:
        """Give the connection back."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None

    def logits(self, payload: bytes) -> NDArray[np.float32]:
        """Return the logits [1, classes] that the server makes of a payload.

        Raises:
            RefusedError: The server refuses it (status 400 to 499, but for 408 and 429).
            LinkError: No answer within the time, or none that can be.
        """
        self._asked += 1
        number = str(self._asked)
        status, headers, body = self._exchange(request_bytes(self.address, payload, number))
        if status != 200:
            refused = 400 <= status < 500 and status not in (408, 429)
            kind = RefusedError if refused else LinkError
            raise kind(f"the server answered {status}: {body[:200].decode(errors='replace')}")
        try:
            return _read_logits(headers.get(_HEADER_LENGTH), body, number)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            self.close()
            raise LinkError(f"the server's answer cannot be read: {error}") from None

    def round_trip_s(self) -> float:
        """Return the seconds of a request of almost nothing; raises LinkError as `logits` does."""
        head = f"GET /v2/health/live HTTP/1.1\r\nHost: {self.address.host}:{self.address.port}\r\n\r\n"
        self._connected()  # what connecting takes is no part of it
        begun = time.perf_counter()
        status, _, _ = self._exchange(head.encode())
        if status != 200:
            raise LinkError(f"the server answered {status}")
        return time.perf_counter() - begun

    def _connected(self) -> socket.socket:
        if self._socket is None:
            try:
                where = (self.address.host, self.address.port)
                self._socket = socket.create_connection(where, self._timeout_s)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                raise LinkError(f"no connection: {error}") from None
        return self._socket

    def _exchange(self, request: bytes) -> tuple[int, Any, bytes]:
        """Send a request and return status, headers and body; the connection is closed behind any fault."""
        used = self._connected()
        over = threading.Event()

        def end() -> None:
            over.set()
            with contextlib.suppress(OSError):
                used.shutdown(socket.SHUT_RDWR)  # whoever waits for it stops waiting

        watch = threading.Timer(self._timeout_s, end)
        watch.daemon = True
        watch.start()
        try:
            used.sendall(request)
            response = http.client.HTTPResponse(used, method="POST")
            response.begin()
            body = response.read(_MOST_BYTES + 1)
            if len(body) > _MOST_BYTES or not (response.isclosed() or response.length == 0):
                raise LinkError(f"the server sent more than {_MOST_BYTES} bytes")
            if response.will_close:
                self.close()
            return response.status, response.headers, body
        except (OSError, http.client.HTTPException, LinkError, ValueError) as error:
            self.close()
            if over.is_set() or isinstance(error, TimeoutError):
                raise LinkError(f"no answer within {self._timeout_s:g} s") from None
            said = str(error) or type(error).__name__
            raise LinkError(f"the link broke: {said}") from None
        finally:
            watch.cancel()


def _read_logits(header_length: str | None, body: bytes, number: str) -> NDArray[np.float32]:
    length = len(body) if header_length is None else int(header_length)
    if not 0 < length <= len(body):
        raise ValueError(f"its head of {length} bytes is no part of {len(body)}")
    told = json.loads(body[:length])
    if told.get("id") != number:
        raise ValueError(f"it answers request {told.get('id')}, not {number}")
    rest = memoryview(body)[length:]
    for output in told["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if output["name"] == LOGITS:
            return _values(output, None if size is None else bytes(rest[: int(size)]))
        rest = rest[int(size or 0) :]
    raise ValueError(f"it has no output '{LOGITS}'")


def _values(output: dict[str, Any], raw: bytes | None) -> NDArray[np.float32]:
    if output["datatype"] != "FP32":
        raise ValueError(f"its logits are {output['datatype']}")
    values = np.array(output["data"], np.float32) if raw is None else np.frombuffer(raw, "<f4")
    shape = [int(size) for size in output["shape"]]
    if len(shape) != 2 or shape[0] != 1 or shape[1] < 1 or values.size != shape[1]:
        raise ValueError(f"its logits have shape {shape} and {values.size} values")
    return values.reshape(1, -1)
