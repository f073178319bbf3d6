from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile.server.contract import Answered
from eecompile.server.engine import StageEngine
from eecompile.server.jobs import ModelSlot, RequestJob
from eecompile.server.refusal import NotServedError
from eecompile.serving.batches.batching import batching_of
from eecompile.serving.policies import policy_named
from tests.eecompile.server.made_model import BREAKS, MadeModel, write_made


class Seen:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def ran(self, slot: ModelSlot, stage: int, images: int, seconds: float) -> None:
        self.told.append(("ran", slot.name, stage, images))
        assert seconds >= 0

    def left(self, slot: ModelSlot, answer: Answered) -> None:
        self.told.append(("left", slot.name, answer.exit))

    def answered(self, job: RequestJob, seconds: float) -> None:
        assert seconds >= 0 and not job.left
        self.told.append(("answered",))

    def failed(self, job: RequestJob) -> None:
        self.told.append(("failed", job.slot.name))

    def broke(self, where: str, error: Exception) -> None:
        self.told.append(("broke", where, str(error)))


class Bench:
    """An engine with one made-up network, whose gate is closed."""

    def __init__(self, folder: Path, policy: str = "fifo", batching: str = "none", **settings: Any) -> None:
        self.seen = Seen()
        self.engine = StageEngine(
            policy_named(policy), batching_of(batching), settings.pop("max_queue", 100), self.seen
        )
        self.model = MadeModel(write_made(folder / "made", **settings))
        self.slot = self.engine.put_into_service("made", self.model)
        self.model.ran.clear()
        self.model.gate.clear()
        self.model.begun.clear()

    def submit(
        self, *images: tuple[float, float], deadline: float = np.inf, priority: float = 1.0
    ) -> RequestJob:
        known = self.model.admit({"x": np.array(images, np.float32)})
        return self.engine.submit(self.slot, known, deadline, priority)

    def hold(self) -> RequestJob:
        """Let one image stand at the gate, so that others wait behind it."""
        job = self.submit((99.0, 0.0))
        assert self.model.begun.wait(5)
        return job

    def open(self) -> None:
        self.model.gate.set()


@pytest.fixture
def benches(tmp_path: Path) -> Iterator[Any]:
    made: list[Bench] = []

    def make(*arguments: Any, **settings: Any) -> Bench:
        made.append(Bench(tmp_path / str(len(made)), *arguments, **settings))
        return made[-1]

    yield make
    for bench in made:
        bench.open()
        bench.engine.close()


def tags(job: RequestJob) -> list[float]:
    return [float(answer.outputs["tag"][0]) for answer in job.done.result(5)]


def order(model: MadeModel) -> Sequence[float]:
    return [tag for _, found in model.ran for tag in found if tag != 99.0]


def test_answers_come_in_the_order_of_the_images_wherever_they_leave(benches: Any) -> None:
    bench = benches()
    bench.open()
    job = bench.submit((1.0, 1.0), (2.0, 0.0), (3.0, 1.0))
    assert tags(job) == [1.0, 2.0, 3.0]
    assert [answer.exit for answer in job.done.result()] == [1, 0, 1]
    assert sorted(bench.model.ran) == [(0, [1.0]), (0, [2.0]), (0, [3.0]), (1, [1.0]), (1, [3.0])]
    assert bench.engine.waiting == 0 and bench.seen.told[-1] == ("answered",)


@pytest.mark.parametrize(
    ("policy", "first"), [("fifo", [1.0, 2.0, 3.0]), ("priority", [3.0, 2.0, 1.0]), ("edf", [2.0, 3.0, 1.0])]
)
def test_the_policy_says_who_is_next(benches: Any, policy: str, first: list[float]) -> None:
    bench = benches(policy)
    bench.hold()
    jobs = [
        bench.submit((1.0, 0.0), deadline=30.0),
        bench.submit((2.0, 0.0), deadline=10.0, priority=2.0),
        bench.submit((3.0, 0.0), deadline=20.0, priority=3.0),
    ]
    bench.open()
    assert [tags(job) for job in jobs] == [[1.0], [2.0], [3.0]]
    assert order(bench.model) == first


def test_who_waits_for_the_same_stage_runs_together(benches: Any) -> None:
    bench = benches("fifo", "fluid:2")
    bench.hold()
    jobs = [bench.submit((float(n), 1.0)) for n in range(1, 4)]
    bench.open()
    assert [tags(job) for job in jobs] == [[1.0], [2.0], [3.0]]
    assert max(len(found) for _, found in bench.model.ran) == 2


def test_a_batch_that_waits_begins_when_no_more_are_taken(benches: Any) -> None:
    bench = benches("fifo", "timeout:8,1000s")
    bench.open()
    job = bench.submit((1.0, 0.0))
    assert not job.done.done()
    bench.engine.refuse()
    assert tags(job) == [1.0]


def test_a_network_is_given_no_more_at_once_than_it_takes(benches: Any) -> None:
    bench = benches("fifo", "fluid:8", largest_batch=1)
    bench.hold()
    job = bench.submit(*((float(n), 0.0) for n in range(1, 5)))
    bench.open()
    assert tags(job) == [1.0, 2.0, 3.0, 4.0]
    assert all(len(found) == 1 for _, found in bench.model.ran)


def test_a_request_fits_into_the_queue_or_none_of_it_is_taken(benches: Any) -> None:
    bench = benches(max_queue=4)
    bench.hold()
    two = bench.submit((1.0, 0.0), (2.0, 0.0))
    with pytest.raises(NotServedError, match="3 images wait of 4") as refused:
        bench.submit((3.0, 0.0), (4.0, 0.0))
    assert (refused.value.status, refused.value.kind) == (503, "queue full")
    assert refused.value.retry_after_s == 1, "whole seconds, one at least"
    assert bench.engine.waiting == 3
    with pytest.raises(NotServedError, match="5 images; at most 4") as never:
        bench.submit(*[(5.0, 0.0)] * 5)
    assert never.value.retry_after_s is None and never.value.status == 413
    one = bench.submit((6.0, 0.0))
    bench.open()
    assert tags(two) == [1.0, 2.0] and tags(one) == [6.0]
    assert order(bench.model) == [1.0, 2.0, 6.0], "nothing of what was refused ran"
    assert bench.engine.taken == 3


def test_how_long_a_full_queue_takes_is_told(benches: Any) -> None:
    bench = benches(max_queue=40, seconds=0.1)
    bench.hold()
    bench.submit(*[(1.0, 0.0)] * 39)
    with pytest.raises(NotServedError) as refused:
        bench.submit((2.0, 0.0))
    # 3 of 4 images left at the first exit when it was compiled: 1.25 stages of 0.1 s for each of 40.
    assert refused.value.retry_after_s in (5, 6, 7)
    bench.model.seconds = 0.0


def test_what_waits_of_a_client_that_is_gone_is_not_run(benches: Any) -> None:
    bench = benches()
    first = bench.hold()
    gone, stays = bench.submit((1.0, 1.0), (2.0, 0.0)), bench.submit((3.0, 0.0))
    bench.engine.drop(gone)
    assert bench.engine.waiting == 2
    bench.engine.drop(gone)  # nothing more
    assert bench.engine.waiting == 2
    bench.open()
    assert tags(stays) == [3.0] and order(bench.model) == [3.0]
    assert not gone.done.done() and tags(first) == [99.0]


def test_who_goes_while_a_stage_runs_is_not_counted_twice(benches: Any) -> None:
    bench = benches()
    running = bench.hold()
    bench.engine.drop(running)
    assert bench.engine.waiting == 0
    bench.open()
    assert tags(bench.submit((1.0, 0.0))) == [1.0]
    assert bench.engine.waiting == 0 and not running.done.done()


def test_a_stage_that_breaks_fails_its_requests_and_no_others(benches: Any) -> None:
    bench = benches()
    bench.hold()
    breaks = bench.submit((BREAKS, 0.0), (1.0, 0.0))
    well = bench.submit((2.0, 1.0))
    bench.open()
    with pytest.raises(NotServedError, match="this image breaks it") as failed:
        breaks.done.result(5)
    assert failed.value.status == 500
    assert tags(well) == [2.0]
    assert 1.0 not in order(bench.model), "what waited of the request that failed is not run"
    assert ("failed", "made") in bench.seen.told
    assert ("broke", "stage 0 of 'made'", "this image breaks it") in bench.seen.told
    assert bench.engine.waiting == 0 and bench.engine.ready


def test_a_network_out_of_service_answers_what_is_in_and_is_given_up(benches: Any) -> None:
    bench = benches()
    job = bench.hold()
    bench.engine.retire(bench.slot)
    assert bench.slot.model is bench.model, "it runs"
    with pytest.raises(NotServedError, match="was unloaded"):
        bench.submit((1.0, 0.0))
    bench.open()
    assert tags(job) == [99.0]
    assert bench.engine.drain(5) and bench.slot.model is None


def test_a_second_network_runs_beside_the_first(benches: Any, tmp_path: Path) -> None:
    bench = benches()
    bench.open()
    other = MadeModel(write_made(tmp_path / "other"))
    slot = bench.engine.put_into_service("other", other)
    other.ran.clear()
    known = other.admit({"x": np.array([[7.0, 1.0]], np.float32)})
    assert tags(bench.engine.submit(slot, known, np.inf, 1.0)) == [7.0]
    assert tags(bench.submit((8.0, 0.0))) == [8.0]
    assert other.ran == [(0, [7.0]), (1, [7.0])] and bench.model.ran == [(0, [8.0])]


def test_networks_come_into_service_while_others_wait(benches: Any, tmp_path: Path) -> None:
    bench = benches()
    bench.hold()
    job = bench.submit((1.0, 1.0))
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(
            bench.engine.put_into_service, "other", MadeModel(write_made(tmp_path / "other"))
        )
        bench.open()
        assert loading.result(5).name == "other"
    assert tags(job) == [1.0]


def test_many_threads_get_their_own_answers_and_nothing_is_left(benches: Any) -> None:
    bench = benches("remaining", "fluid:4", max_queue=10_000)
    bench.open()

    def asks(thread: int) -> list[list[float]]:
        jobs = [bench.submit((1000.0 * thread + n, n % 2), (-2.0 - n, 0.0)) for n in range(50)]
        return [tags(job) for job in jobs]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(asks, range(8)))
    assert found == [[[1000.0 * thread + n, -2.0 - n] for n in range(50)] for thread in range(8)]
    assert bench.engine.waiting == 0 and bench.slot.waiting == 0
    assert bench.seen.told.count(("answered",)) == 400
    assert len([one for one in bench.seen.told if one[0] == "left"]) == 800


def test_what_was_taken_is_finished_before_the_end(benches: Any) -> None:
    bench = benches()
    bench.hold()
    jobs = [bench.submit((float(n), 1.0)) for n in range(20)]
    bench.engine.refuse()
    assert not bench.engine.ready and bench.engine.alive
    with pytest.raises(NotServedError, match="the server stops"):
        bench.submit((50.0, 0.0))
    ends = threading.Thread(target=bench.engine.close)
    ends.start()
    bench.open()
    ends.join(5)
    assert not ends.is_alive()
    assert [tags(job) for job in jobs] == [[float(n)] for n in range(20)]
    with pytest.raises(NotServedError, match="runs nothing any more"):
        bench.engine.put_into_service("late", bench.model)


def test_a_fault_of_the_engine_fails_all_and_nobody_waits_for_ever(
    benches: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = benches()
    first = bench.hold()
    waits = bench.submit((1.0, 0.0))

    def broken(now: float) -> None:
        raise ZeroDivisionError(f"at {now}")

    monkeypatch.setattr(bench.engine._dispatcher, "next", broken)
    bench.open()
    assert tags(first) == [99.0]
    with pytest.raises(NotServedError, match="at ") as failed:
        waits.done.result(5)
    assert failed.value.status == 500
    assert not bench.engine.alive and not bench.engine.ready and bench.engine.waiting == 0
    with pytest.raises(NotServedError, match="the server failed"):
        bench.submit((2.0, 0.0))
