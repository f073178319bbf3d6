"""The session for servers: requests that come close together run as one batch."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from eecompile.runtime.early_exit import Decisions, Float32
from eecompile.runtime.early_exit_session import MAX_BATCH, EarlyExitSession
from passes.errors import InputError

WINDOW_S = 0.002


@dataclass(frozen=True)
class _Request:
    batch: Float32
    answer: asyncio.Future[Decisions]


class AsyncEarlyExitSession:
    """Answers requests of one event loop in batches, beside the loop, in the order in which they came.

    The first request that waits opens a window; when it closes, or enough images wait, they run together.
    Use it with ``async with``: what waits at the end is still answered.

    Args:
        session: What answers.
        window_s: How long a request waits for others at most, in seconds.
        max_images: Images that wait at most before they run.

    Raises:
        InputError: A window below zero, or less than one image.
    """

    def __init__(
        self, session: EarlyExitSession, *, window_s: float = WINDOW_S, max_images: int = MAX_BATCH
    ) -> None:
        if not window_s >= 0 or max_images < 1:
            raise InputError(
                f"a window of {window_s} s for {max_images} images", "give at least 0 s and one image"
            )
        self.session = session
        self._window_s, self._max_images = window_s, max_images
        self._waiting: list[_Request] = []
        self._timer: asyncio.TimerHandle | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._pool = ThreadPoolExecutor(1, "early-exit")
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run(self, images: NDArray[Any]) -> Decisions:
        """Classify raw images [N, …] as `EarlyExitSession.run` does, together with those of other requests.

        Raises:
            InputError: Images of a wrong type or shape; only the request that brought them fails.
            RuntimeError: The session is closed.
        """
        if self._closed:
            raise RuntimeError("the session is closed")
        loop = asyncio.get_running_loop()
        request = _Request(self.session.model_input(images), loop.create_future())
        self._waiting.append(request)
        if sum(len(waiting.batch) for waiting in self._waiting) >= self._max_images:
            self._start()
        elif self._timer is None:
            self._timer = loop.call_later(self._window_s, self._start)
        return await request.answer

    async def close(self) -> None:
        """Answer what waits, then take no more."""
        self._closed = True
        self._start()
        await asyncio.gather(*self._running)
        self._pool.shutdown()

    def _start(self) -> None:
        """Close the window."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        requests = [request for request in self._waiting if not request.answer.cancelled()]
        self._waiting = []
        if requests:
            task = asyncio.get_running_loop().create_task(self._answer(requests))
            self._running.add(task)  # the loop itself only keeps a weak reference
            task.add_done_callback(self._running.discard)

    async def _answer(self, requests: list[_Request]) -> None:
        loop = asyncio.get_running_loop()
        batch = np.concatenate([request.batch for request in requests])
        try:
            found = await loop.run_in_executor(self._pool, self.session.answer, batch)
        except Exception as error:
            for request in requests:
                if not request.answer.done():
                    request.answer.set_exception(error)
            return
        start = 0
        for request in requests:
            end = start + len(request.batch)
            if not request.answer.done():
                request.answer.set_result(found[start:end])
            start = end
