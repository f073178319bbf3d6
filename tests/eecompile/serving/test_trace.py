"""The window of a trace."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from eecompile.serving.batches.batching import Batching
from eecompile.serving.loops.in_batches import serve_in_batches
from eecompile.serving.loops.one_by_one import serve_one_by_one
from eecompile.serving.policies import POLICIES
from eecompile.serving.requests import stream
from eecompile.serving.trace import write_window
from tests.eecompile.serving.cores.stages import served, use
from tests.eecompile.serving.crowds import plain
from tests.eecompile.serving.test_policies import CROWD


def test_stages_and_requests_are_where_and_when_they_were(tmp_path: Path) -> None:
    done = serve_one_by_one(CROWD, POLICIES["fifo"], watch=True)
    write_window(tmp_path / "w.json", ["a", "b", "c"], CROWD, done)
    events = json.loads((tmp_path / "w.json").read_text())["traceEvents"]
    ran = [event for event in events if event["ph"] == "X"]
    assert [event["name"] for event in ran] == ["a stage 0", "b stage 0", "c stage 0"]
    assert [(event["ts"], event["dur"]) for event in ran] == [(0, 4e6), (4e6, 2e6), (6e6, 3e6)]
    begun = {event["id"]: event for event in events if event["ph"] == "b"}
    ended = {event["id"]: event["ts"] for event in events if event["ph"] == "e"}
    assert {one: event["ts"] for one, event in begun.items()} == {0: 0, 1: 1e6, 2: 2e6}
    assert ended == pytest.approx({0: 4e6, 1: 6e6, 2: 9e6})
    assert [begun[one]["args"]["late"] for one in range(3)] == [False, False, False]
    names = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert names[0] == "accelerator" and names[begun[1]["pid"]] == "requests: b"


def test_stages_that_run_at_once_have_tracks_of_their_own(tmp_path: Path) -> None:
    pipe = use(2.0, npu=((0.0, 1.0),), dsp=((1.0, 2.0),))
    crowd = plain(stream(np.zeros(3), np.zeros(1, np.int64), 0), [served(pipe)])
    done = serve_in_batches(crowd, POLICIES["fifo"], Batching(), watch=True, overlap=True)
    write_window(tmp_path / "w.json", ["a"], crowd, done)
    events = json.loads((tmp_path / "w.json").read_text())["traceEvents"]
    ran = [event for event in events if event["ph"] == "X"]
    assert [(event["ts"], event["tid"]) for event in ran] == [(0, 0), (1e6, 1), (2e6, 0)]
