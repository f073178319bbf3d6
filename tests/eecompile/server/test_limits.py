from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.requests import Request

from eecompile.server.inference import GONE
from eecompile.server.limits import Limits, read_body
from eecompile.server.refusal import NotServedError

LIMITS = Limits(body_bytes=100, patience_s=0.1, least_rate=1000.0)


def request(parts: Sequence[tuple[float, bytes] | None], headers: dict[str, str]) -> Request:
    """Return a request whose body comes in parts, each so many seconds after the other; ``None``: gone."""
    left = list(parts)

    async def receive() -> dict[str, Any]:
        if not left or (part := left.pop(0)) is None:
            return {"type": "http.disconnect"}
        await asyncio.sleep(part[0])
        return {"type": "http.request", "body": part[1], "more_body": bool(left)}

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


def body(*parts: tuple[float, bytes] | None, **headers: str) -> bytes:
    found = request(parts, {name.replace("_", "-"): value for name, value in headers.items()})
    return asyncio.run(read_body(found, LIMITS))


def test_a_body_comes_in_parts() -> None:
    assert body((0, b"ab"), (0.01, b"c")) == b"abc" and body((0, b"")) == b""


@pytest.mark.parametrize(
    ("parts", "headers", "status", "message"),
    [
        ([(0, b"x" * 60), (0, b"x" * 60)], {}, 413, "100 bytes at most"),
        ([(9, b"x")], {"content_length": "101"}, 413, "100 bytes at most"),
        ([(0, b"x")], {"content_encoding": "br"}, 415, "'br' is not taken"),
        ([(0, b"xyz"), (9, b"x")], {}, 408, "after 3 bytes"),
        ([(9, b"x")], {}, 408, "after 0 bytes"),
        ([(0.04, b"x")] * 5, {}, 408, "after [1-4] bytes"),
        ([(0, b"x"), None], {}, GONE, "client went away"),
    ],
)
def test_bodies_that_are_refused(
    parts: list[tuple[float, bytes] | None], headers: dict[str, str], status: int, message: str
) -> None:
    with pytest.raises(NotServedError, match=message) as refused:
        body(*parts, **headers)
    assert refused.value.status == status


def test_a_large_body_may_take_longer_if_it_keeps_coming() -> None:
    found = request([(0.05, b"x" * 16)] * 6, {})
    steady = Limits(body_bytes=100, patience_s=0.2, least_rate=100.0)
    assert len(asyncio.run(read_body(found, steady))) == 96
