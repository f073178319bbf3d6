"""The slow link of the experiment lets bytes through as they are, and no faster than it may."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time

from tools.experiments.split import SlowLink


def test_bytes_come_through_and_take_their_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as echo, socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            one, _ = echo.accept()
            with one:
                while data := one.recv(65536):
                    one.sendall(data)

        threading.Thread(target=answer, daemon=True).start()
        slow = SlowLink(echo.getsockname()[1], 1e6, 0.02)
        loop = asyncio.new_event_loop()
        task = loop.create_task(slow.serve(listener.dup()))

        def pump() -> None:
            asyncio.set_event_loop(loop)
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(task)

        thread = threading.Thread(target=pump)
        thread.start()
        message = bytes(range(256)) * 20
        with socket.create_connection(listener.getsockname()) as client:
            begun = time.perf_counter()
            client.sendall(message)
            found = b""
            while len(found) < len(message):
                found += client.recv(65536)
            taken = time.perf_counter() - begun
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()
    assert found == message
    assert taken > 0.02 + 2 * 8 * len(message) * 1e-6, "a round trip, and its bits twice"
