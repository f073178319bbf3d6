from __future__ import annotations

from pathlib import Path

import numpy as np

from eecompile.server.contract import Answered
from eecompile.server.jobs import ModelSlot, RequestJob
from eecompile.server.metrics import Metrics, Notices
from eecompile.server.stage_times import measured, outlook_of
from tests.eecompile.server.made_model import MadeModel, write_made


def slot(folder: Path) -> ModelSlot:
    model = MadeModel(write_made(folder))
    service = measured(model, 1)
    return ModelSlot(0, "made", model.exits, model, service, outlook_of(model.history, service))


def test_each_kind_is_said_once() -> None:
    said: list[str] = []
    notices = Notices(said.append)
    for kind in ("a", "b", "a"):
        notices.once(kind, f"{kind} happened")
    assert said == ["a happened", "b happened"]


def test_all_that_happens_is_counted(tmp_path: Path) -> None:
    said: list[str] = []
    metrics, made = Metrics(Notices(said.append)), slot(tmp_path)
    metrics.follow(made)
    metrics.show_queue(lambda: 7)
    metrics.ran(made, 1, 3, 0.5)
    metrics.ran(made, 1, 5, 0.25)
    job = RequestJob(made, 0.0, [], 0)
    metrics.answered(job, 0.003)
    metrics.failed(job)
    metrics.dropped()
    for _ in range(2):
        metrics.refused("queue full", "come again")
        metrics.broke("stage 1", ValueError("x"))
    lines = metrics.text().decode().splitlines()
    for line in (
        "eecompile_queue_images 7.0",
        'eecompile_batch_images_sum{model="made",stage="1"} 8.0',
        'eecompile_batch_images_bucket{le="4.0",model="made",stage="1"} 1.0',
        'eecompile_stage_seconds_total{model="made",stage="1"} 0.75',
        'eecompile_request_seconds_bucket{le="0.004",model="made"} 1.0',
        'eecompile_request_seconds_bucket{le="0.002",model="made"} 0.0',
        'eecompile_requests_answered_total{model="made"} 1.0',
        'eecompile_requests_failed_total{model="made"} 1.0',
        "eecompile_requests_dropped_total 1.0",
        'eecompile_requests_refused_total{reason="queue full"} 2.0',
        'eecompile_exit_ratio_at_compile_time{exit="early",model="made"} 0.75',
        'eecompile_images_total{exit="late",model="made"} 0.0',
    ):
        assert line in lines, line
    assert said == [
        "refused (queue full): come again; more are only counted",
        "stage 1 failed: ValueError: x",
    ]
    assert metrics.summary() == "1 answered, 1 given up by their clients, 1 failed"


def test_drift_is_counted_by_windows_and_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    metrics, made = Metrics(Notices(said.append)), slot(tmp_path)
    metrics.follow(made)
    late = Answered(1, {"tag": np.zeros(1)}, without_answer=True)
    for _ in range(2000):
        metrics.left(made, late)
    text = metrics.text().decode()
    assert 'eecompile_drifted_windows_total{model="made"} 2.0' in text
    assert 'eecompile_images_without_answer_total{model="made"} 2000.0' in text
    assert 'eecompile_images_total{exit="late",model="made"} 2000.0' in text
    assert len(said) == 1 and said[0].startswith("made: 0.0 % of the last 1000 images left at 'early'")
