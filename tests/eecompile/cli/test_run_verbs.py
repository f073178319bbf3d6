from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from eecompile import api
from eecompile.cli import main as cli


def test_flags_are_what_the_verb_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    def retune(*given: Any, **named: Any) -> Any:
        told.append(given)
        named["progress"]("choose exits and thresholds")
        return SimpleNamespace(passed=False, failure="the exit")

    monkeypatch.setattr(api, "retune", retune)
    monkeypatch.setattr("eecompile.cli.terminal.show", lambda *_: None)
    flags = [
        "--max-drop",
        "2",
        "--optimistic",
        "--min-gain",
        "1",
        "--max-latency",
        "3",
        "--max-latency-p95",
        "4",
    ]
    flags += ["--max-worst-latency", "5", "--max-final-ratio", ".6", "--max-cost-ratio", ".7", "-o", "out"]
    result = CliRunner().invoke(cli.app, ["retune", str(tmp_path), *flags])
    assert told == [(tmp_path, Path("out"), 2.0, True, 1.0, 3.0, 4.0, 5.0, 0.6, 0.7)]
    assert result.exit_code == 1 and "choose exits and thresholds" in result.stderr
    assert "early-exit files and flat model disagree" in result.stderr


def test_a_folder_that_is_no_run_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.app, ["retune", str(tmp_path), "--max-drop", "2"])
    assert result.exit_code == 2 and f"{tmp_path} is no run directory" in result.stderr
    result = CliRunner().invoke(cli.app, ["retune", str(tmp_path)])
    assert result.exit_code == 2 and "--max-drop" in result.stderr
