"""``run.log`` is what a run said, with times."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from eecompile import api
from eecompile.run_files.log import RunLog
from tests.eecompile.small_models import write_skip_net


def test_lines_are_handed_on_and_kept(tmp_path: Path) -> None:
    told: list[str] = []
    log = RunLog(told.append)
    log("one step")
    log("another")
    log.write(tmp_path, "eecompile run net.onnx")
    assert told == ["one step", "another"]
    head, *lines = (tmp_path / "run.log").read_text().splitlines()
    began, command = head.split("  ", 1)
    assert abs((datetime.now(UTC) - datetime.fromisoformat(began)).total_seconds()) < 60
    assert command == "eecompile run net.onnx"
    assert [line.split(" s  ")[1] for line in lines] == told
    first, second = (float(line.split(" s  ")[0]) for line in lines)
    assert 0 <= first <= second < 60


def test_a_run_writes_all_that_it_said(tmp_path: Path) -> None:
    told: list[str] = []
    run = api.run(write_skip_net(tmp_path / "net.onnx"), out=tmp_path / "out", progress=told.append)
    head, *lines = (run.out / "run.log").read_text().splitlines()
    assert head.endswith(json.loads((run.out / "run.json").read_text())["command"])
    assert [line.split(" s  ")[1] for line in lines] == told and "load and cost" in told
