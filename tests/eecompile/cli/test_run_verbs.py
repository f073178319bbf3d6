from __future__ import annotations

import gc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from eecompile import api
from eecompile.cli import main as cli
from eecompile.serving.arrivals import Periodic, Poisson


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


def simulated(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, ["simulate", *map(str, arguments)])


def test_texts_of_simulate_become_values(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    def noted(*given: Any, **_: Any) -> None:
        told.append(given)
        raise SystemExit(0)

    monkeypatch.setattr(api, "simulate", noted)
    simulated("one", "--arrivals", "poisson:20", "--slo", "20ms")
    simulated(
        "one", "two", "--arrivals", "poisson:20", "--arrivals", "periodic:30", "--slo", "1.5s",
        "--policy", "edf,sjf", "--priority", "9,1", "--requests", 7, "--seeds", 2, "--clock", "200MHz",
        "--no-preempt", "--capacity", "--window", "w.json", "--report", "w.html", "--accuracy-floor", "88",
        "--batch", "none,timeout:8,2ms", "--adapt", "--drift", ".9", "--overlap",
    )  # fmt: skip
    plain, whole = told
    assert plain == (
        [Path("one")], Poisson(20), pytest.approx(0.02), None, None, 100_000, 5,
        None, False, False, None, None, None, None, False, None, False,
    )  # fmt: skip
    assert whole == (
        [Path("one"), Path("two")], [Poisson(20), Periodic(30)], 1.5, ("edf", "sjf"), (9.0, 1.0), 7, 2,
        2e8, True, True, Path("w.json"), Path("w.html"), 88.0,
        "none,timeout:8,2ms", True, 0.9, True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--arrivals", "poison:3", "--slo", "1s"), "arrivals cannot be 'poison:3'"),
        (("--arrivals", "poisson:3", "--slo", "20"), "--slo 20: expected a number above 0 and its unit"),
        (("--arrivals", "poisson:3", "--slo", "1s", "--clock", "fast"), "--clock fast: expected"),
        (("--arrivals", "poisson:3", "--slo", "1s", "--priority", "a"), "--priority a: expected numbers"),
        (("--arrivals", "poisson:3", "--slo", "1s"), "nowhere"),
    ],
)
def test_what_is_wrong_with_simulate_is_said(arguments: tuple[str, ...], message: str) -> None:
    found = simulated("nowhere", *arguments)
    assert found.exit_code == 2
    assert message in found.output


def test_a_server_that_has_its_process_leaves_what_is_there_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen: list[int] = []
    server = SimpleNamespace(wait=lambda: frozen.append(gc.get_freeze_count()), to_json=dict)
    monkeypatch.setattr(api, "serve", lambda *_, **__: server)
    before = gc.get_freeze_count()
    assert CliRunner().invoke(cli.app, ["serve", "run"]).exit_code == 0
    assert frozen[0] > before + 1000
