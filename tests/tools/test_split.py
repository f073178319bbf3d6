"""The slow link of the experiment lets bytes through as they are, and no faster than it may."""

from __future__ import annotations

import asyncio
import socket
import time

from tools.experiments.split import SlowLink

MESSAGE = bytes(range(256)) * 20


async def echoed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def through(bit_per_s: float, rtt_s: float) -> tuple[bytes, float]:
    """Send a message to an echo over a slow link; return what comes back, and the seconds it took."""
    echo = await asyncio.start_server(echoed, "127.0.0.1", 0)
    listener = socket.create_server(("127.0.0.1", 0))
    slow = SlowLink(echo.sockets[0].getsockname()[1], bit_per_s, rtt_s)
    proxy = asyncio.create_task(slow.serve(listener))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    begun = time.perf_counter()
    writer.write(MESSAGE)
    found = await reader.readexactly(len(MESSAGE))
    taken = time.perf_counter() - begun
    writer.close()
    await asyncio.sleep(0.1)  # the end goes through, too
    proxy.cancel()
    echo.close()
    return found, taken


def test_bytes_come_through_and_take_their_time() -> None:
    found, taken = asyncio.run(through(1e6, 0.02))
    assert found == MESSAGE
    assert taken > 0.02 + 2 * 8 * len(MESSAGE) * 1e-6, "a round trip, and its bits there and back"
