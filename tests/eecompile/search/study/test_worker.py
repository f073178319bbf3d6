from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from eecompile.search.study import worker as module
from eecompile.search.study.proposals import Params
from eecompile.search.study.record import Record
from eecompile.search.study.worker import work, work_on
from passes.errors import NoSolutionError


def record_of(folder: Path) -> Record:
    record = Record.start(f"sqlite:///{folder / 'study.db'}", "study", ("minimize",), {})
    record.add(0, {"x": 1}, {"x": (1, 2)})
    return record


def test_what_fails_is_reported_with_its_reason(tmp_path: Path) -> None:
    def fail(candidate: int, params: Params, rung: int, start: str) -> dict[str, Any]:
        raise NoSolutionError(f"candidate {candidate} with {params} on {rung}{start}", "another")

    record = record_of(tmp_path)
    task = record.claim()
    assert task is not None
    work_on(record, task, fail)
    found = record.result(record.trials()[0])
    assert found is not None
    assert (found["error"], found["hint"]) == ("candidate 0 with {'x': 1} on 0\nanother", "another")


def test_errors_of_ours_are_not_hidden(tmp_path: Path) -> None:
    def broken(candidate: int, params: Params, rung: int, start: str) -> dict[str, Any]:
        return {"share": candidate / rung, "start": start, **params}

    record = record_of(tmp_path)
    task = record.claim()
    assert task is not None
    with pytest.raises(ZeroDivisionError):
        work_on(record, task, broken)


def test_a_worker_lives_while_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.02)
    record = record_of(tmp_path)
    task = record.claim()
    assert task is not None
    before = record.trials()[0].user_attrs["beat"]
    work_on(record, task, lambda *_: time.sleep(0.6) or {})  # type: ignore[func-returns-value]
    assert record.trials()[0].user_attrs["beat"] > before


def test_a_worker_goes_when_the_search_is_over(tmp_path: Path) -> None:
    record = record_of(tmp_path)
    record.end()
    work(record.url, "study", lambda candidate, *_: {"points": [], "of": candidate})
    found = record.result(record.trials()[0])
    assert found is not None and found["of"] == 0, "what waits is worked on first"
