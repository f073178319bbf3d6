"""Requests of an event loop: run together, answered apart."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path

import numpy as np
import pytest

from eecompile.runtime import AsyncEarlyExitSession, Decisions, EarlyExitSession
from passes.errors import InputError
from tests.eecompile.runtime.small_run import Float32, write_small_run


class Counting(EarlyExitSession):
    """Remembers how many images came together; fails when asked to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.sizes: list[int] = []
        self.error: Exception | None = None

    def answer(self, batch: Float32) -> Decisions:
        self.sizes.append(len(batch))
        if self.error is not None:
            raise self.error
        return super().answer(batch)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Float32]:
    return write_small_run(tmp_path_factory.mktemp("async") / "run")


def finish(work: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30))


def same(found: Decisions, expected: Decisions) -> None:
    for name in ("label", "exit", "confidence", "logits"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_requests_of_a_window_run_together_and_get_their_own_answers(made: tuple[Path, Float32]) -> None:
    folder, images = made
    session = Counting(folder)
    sizes = [1, 3, 2, 5]
    parts = np.split(images[: sum(sizes)], np.cumsum(sizes)[:-1])

    async def work() -> None:
        async with AsyncEarlyExitSession(session, window_s=0.05) as server:
            found = await asyncio.gather(*(server.run(part) for part in parts))
            for part, answer in zip(parts, found, strict=True):
                same(answer, EarlyExitSession(folder).run(part))
            await server.run(images[:1])

    finish(work())
    assert session.sizes == [sum(sizes), 1]


def test_a_full_batch_does_not_wait_for_the_window(made: tuple[Path, Float32]) -> None:
    folder, images = made
    session = Counting(folder)

    async def work() -> None:
        async with AsyncEarlyExitSession(session, window_s=1e6, max_images=4) as server:
            await asyncio.gather(*(server.run(images[k : k + 1]) for k in range(8)))

    finish(work())
    assert session.sizes == [4, 4]


def test_what_waits_at_the_end_is_answered_and_nothing_is_taken_after(made: tuple[Path, Float32]) -> None:
    folder, images = made

    async def work() -> None:
        server = AsyncEarlyExitSession(EarlyExitSession(folder), window_s=1e6)
        waiting = asyncio.ensure_future(server.run(images[:2]))
        await asyncio.sleep(0)
        await server.close()
        same(await waiting, EarlyExitSession(folder).run(images[:2]))
        with pytest.raises(RuntimeError, match="closed"):
            await server.run(images[:1])

    finish(work())


def test_a_wrong_request_and_one_given_up_harm_no_other(made: tuple[Path, Float32]) -> None:
    folder, images = made
    session = Counting(folder)

    async def work() -> None:
        async with AsyncEarlyExitSession(session, window_s=0.05) as server:
            good = asyncio.ensure_future(server.run(images[:2]))
            given_up = asyncio.ensure_future(server.run(images[2:5]))
            bad = asyncio.ensure_future(server.run(images[:1].astype(np.float64)))
            await asyncio.sleep(0)
            given_up.cancel()
            with pytest.raises(InputError, match="float64"):
                await bad
            same(await good, EarlyExitSession(folder).run(images[:2]))
            assert given_up.cancelled()

    finish(work())
    assert session.sizes == [2]


def test_an_error_of_the_batch_reaches_who_asked(made: tuple[Path, Float32]) -> None:
    folder, images = made
    session = Counting(folder)

    async def work() -> None:
        async with AsyncEarlyExitSession(session) as server:
            session.error = MemoryError("no room")
            found = await asyncio.gather(
                *(server.run(images[k : k + 1]) for k in range(2)), return_exceptions=True
            )
            assert [str(error) for error in found] == ["no room"] * 2
            session.error = None
            assert len(await server.run(images[:3])) == 3

    finish(work())


@pytest.mark.parametrize("options", [{"window_s": -1.0}, {"window_s": float("nan")}, {"max_images": 0}])
def test_options_that_are_refused(made: tuple[Path, Float32], options: dict[str, float]) -> None:
    with pytest.raises(InputError, match="give at least 0 s and one image"):
        AsyncEarlyExitSession(EarlyExitSession(made[0]), **options)  # type: ignore[arg-type]
