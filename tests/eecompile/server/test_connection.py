from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from eecompile.server.connection import GONE_FUTURE, connection_kind


@asynccontextmanager
async def serving(app: Any, patience_s: float) -> AsyncIterator[int]:
    """Serve an application, and yield the port."""
    kind = connection_kind(patience_s)
    assert issubclass(kind, HttpToolsProtocol)
    config = Config(app, http=kind, lifespan="off", log_config=None, log_level="critical", port=0)
    server = Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    yield int(server.servers[0].sockets[0].getsockname()[1])
    server.servers[0].close()


async def silence(patience_s: float, sent: bytes) -> tuple[float, bytes]:
    """Return after how many seconds a connection ends on which ``sent`` came and no more, and its answer."""

    async def app(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async with serving(app, patience_s) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        begin = time.monotonic()
        writer.write(sent)
        try:
            answer = await asyncio.wait_for(reader.read(), 1.0)
        except TimeoutError:
            answer = b"open"
        writer.close()
    return time.monotonic() - begin, answer


def test_a_connection_without_a_whole_head_ends() -> None:
    for sent in (b"", b"GET / HTTP/1.1\r\nHost"):
        seconds, answer = asyncio.run(silence(0.2, sent))
        assert 0.15 < seconds < 0.8 and answer == b""


def test_behind_an_answer_a_connection_stays_but_not_in_the_next_head() -> None:
    whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert asyncio.run(silence(0.2, whole))[1] == b"open"
    seconds, answer = asyncio.run(silence(0.2, whole + b"GET / HT"))
    assert seconds < 0.8 and answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("size", [0, 1000, 70_000, 300_000, 1_000_000])
def test_a_request_is_told_when_its_connection_is_lost(size: int) -> None:
    told: list[bool] = []

    async def asked() -> None:
        came, over = asyncio.Event(), asyncio.Event()

        async def app(scope: Any, receive: Any, _: Any) -> None:
            gone = scope[GONE_FUTURE]
            while (await receive())["more_body"]:
                pass
            came.set()
            told.append(gone.done())
            await gone
            told.append(gone.done())
            over.set()

        async with serving(app, 5.0) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
            writer.write(bytes(size // 2))
            await asyncio.sleep(0.05)
            writer.write(bytes(size - size // 2))
            await asyncio.wait_for(came.wait(), 5.0)
            writer.close()
            await asyncio.wait_for(over.wait(), 5.0)

    asyncio.run(asked())
    assert told == [False, True]
