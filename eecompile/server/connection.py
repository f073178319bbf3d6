"""Connections that do not wait for ever for the head of a request, and say when they are lost."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

GONE_FUTURE = "eecompile.gone"
"""Where the scope of a request has the future that is done when its connection is lost. A task that waits for
ASGI's ``http.disconnect`` tells the same, and costs each request as much as its parsing."""


def connection_kind(patience_s: float) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with a limit: it has none between the first byte of a head and its last.

    Args:
        patience_s: Seconds from the connection, or from the first byte of a request, to the end of its head.
    """

    class _Connection(HttpToolsProtocol):
        _patience: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._gone: asyncio.Future[None] = self.loop.create_future()
            self._wait_for_head()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            cast(dict[str, Any], self.scope)[GONE_FUTURE] = self._gone
            self._stop_waiting()
            self._wait_for_head()

        def on_headers_complete(self) -> None:
            self._stop_waiting()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            super().on_message_complete()
            # A large body stops reading until somebody asks for more of it; nobody does behind its end, and a
            # connection that is not read is not seen to end.
            if not self.pipeline:
                self.flow.resume_reading()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            self._gone.set_result(None)
            super().connection_lost(exc)

        def _wait_for_head(self) -> None:
            self._patience = self.loop.call_later(patience_s, self.transport.close)

        def _stop_waiting(self) -> None:
            if self._patience is not None:
                self._patience.cancel()
                self._patience = None

    return _Connection
