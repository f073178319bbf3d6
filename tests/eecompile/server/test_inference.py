from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile.server import kinds
from eecompile.server.engine import StageEngine
from eecompile.server.inference import GONE, Inference, InferQuestion
from eecompile.server.metrics import Metrics, Notices
from eecompile.server.refusal import NotServedError
from eecompile.server.repository import Repository
from eecompile.serving.batches.batching import Batching
from eecompile.serving.policies import policy_named
from tests.eecompile.server.made_model import KIND, MadeModel, write_made


@pytest.fixture
def inference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inference]:
    monkeypatch.setattr(kinds, "KINDS", (KIND,))
    metrics = Metrics(Notices(lambda _: None))
    engine = StageEngine(policy_named("edf"), Batching(), 100, metrics)
    repository = Repository(engine, 1, metrics.follow)
    repository.add(write_made(tmp_path / "made"), 3.0)
    MadeModel.last.ran.clear()
    MadeModel.last.begun.clear()
    yield Inference(repository, engine, metrics, slo_s=0.5)
    MadeModel.last.gate.set()
    engine.close()


def question(*images: tuple[float, float], **more: Any) -> InferQuestion:
    return InferQuestion({"x": np.array(images, np.float32)}, **more)


def test_outputs_are_of_all_images_in_their_order_and_only_those_wanted(inference: Inference) -> None:
    entry = inference.repository.get("made")
    asked = question((1.0, 1.0), (2.0, 0.0))
    found = asyncio.run(inference.answer(entry, asked))
    assert found["tag"].tolist() == [1.0, 2.0] and found["exit"].tolist() == [1, 0]
    one = asyncio.run(inference.answer(entry, question((3.0, 0.0), outputs=["exit"])))
    assert {name: value.tolist() for name, value in one.items()} == {"exit": [0]}


def test_deadline_and_priority_are_those_of_the_request_or_else_of_the_server(
    inference: Inference, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[float, float]] = []
    real = inference.engine.submit

    def noted(slot: Any, images: Any, deadline_s: float, priority: float) -> Any:
        told.append((deadline_s, priority))
        return real(slot, images, deadline_s, priority)

    monkeypatch.setattr(inference.engine, "submit", noted)
    entry = inference.repository.get("made")
    for parameters in (
        {},
        {"priority": 7},
        {"timeout": 100_000},
        {"timeout": 0, "priority": 0},
        {"timeout": 10**7},
    ):
        asyncio.run(inference.answer(entry, question((1.0, 0.0), parameters=parameters)))
    assert told == [(0.5, 3.0), (0.5, 7.0), (pytest.approx(0.1), 3.0), (0.5, 3.0), (0.5, 3.0)]


def test_who_is_gone_is_dropped(inference: Inference) -> None:
    async def asked() -> None:
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] = loop.create_future()
        loop.call_later(0.05, gone.set_result, None)
        await inference.answer(inference.repository.get("made"), question((1.0, 1.0)), gone)

    MadeModel.last.gate.clear()
    with pytest.raises(NotServedError) as refused:
        asyncio.run(asked())
    assert refused.value.status == GONE and inference.engine.waiting == 0
    assert "eecompile_requests_dropped_total 1.0" in inference.metrics.text().decode()


def test_a_task_that_is_cancelled_is_dropped(inference: Inference) -> None:
    async def cancelled() -> None:
        entry = inference.repository.get("made")
        task = asyncio.create_task(inference.answer(entry, question((1.0, 1.0))))
        await asyncio.to_thread(MadeModel.last.begun.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    MadeModel.last.gate.clear()
    asyncio.run(cancelled())
    assert inference.engine.waiting == 0


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (InferQuestion({}), "input 'x' is missing"),
        (question((1.0, 0.0), outputs=["logits"]), "no output 'logits'; outputs: tag, exit"),
        (question((1.0, 0.0), outputs=["tag", "tag"]), "asked for twice"),
        (question((1.0, 0.0), parameters={"priority": True}), "'priority' is no number"),
        (question((1.0, 0.0), parameters={"timeout": -1}), "'timeout' is no number"),
        (question((1.0, 0.0), parameters={"timeout": float("nan")}), "'timeout' is no number"),
        (InferQuestion({"x": np.zeros((1, 3), np.float32)}), r"images have shape \[1, 3\]: give \[N, 2\]"),
    ],
)
def test_what_is_wrong_with_a_question(inference: Inference, asked: InferQuestion, message: str) -> None:
    with pytest.raises(NotServedError, match=message) as refused:
        asyncio.run(inference.answer(inference.repository.get("made"), asked))
    assert refused.value.status == 400 and inference.engine.waiting == 0


def test_an_answer_that_comes_with_the_end_of_the_patience_is_given(inference: Inference) -> None:
    """Both are there when the loop, which was busy, looks again."""

    async def asked() -> list[float]:
        entry = inference.repository.get("made")
        task = asyncio.create_task(
            inference.answer(entry, question((1.0, 0.0), parameters={"timeout": 50_000}))
        )
        await asyncio.sleep(0.01)
        MadeModel.last.gate.set()
        end = time.monotonic() + 0.1
        while time.monotonic() < end:
            pass
        found: list[float] = (await task)["tag"].tolist()
        return found

    MadeModel.last.gate.clear()
    assert asyncio.run(asked()) == [1.0]
    assert "dropped_total 0.0" in inference.metrics.text().decode()
