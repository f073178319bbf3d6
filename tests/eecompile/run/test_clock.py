from __future__ import annotations

import time

import pytest

from eecompile.run.clock import Clock


def test_clock_tells_every_step_but_details_only_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    told: list[str] = []
    clock = Clock(told.append)
    for step in ("train", "evaluate"):
        clock.step(step)
        for number in range(12):
            clock.detail(f"{step} {number}")
            now += 0.5
    clock.step("")
    assert told == ["train", "train 4", "train 8", "evaluate", "evaluate 4", "evaluate 8"]
    assert clock.seconds == {"train": 6.0, "evaluate": 6.0}
