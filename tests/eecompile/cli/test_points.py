"""`--point` and `--max-latency`, on the command line and in `api`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from eecompile import api
from eecompile.cli import main as cli
from passes.errors import InputError

MODEL = str(Path(__file__).parents[3] / "examples" / "digits_resnet.onnx")
FAST, SLOW = "0.8V", "0.65V"


SCALE = 0.70016
"""Fitted to four networks of MLPerf Tiny v1.0."""


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": "110"})


def document(*arguments: str) -> dict[str, Any]:
    result = call("cost", MODEL, "--target", "gap9", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_table_lists_every_point_and_marks_the_one_shown() -> None:
    text = call("cost", MODEL, "--target", "gap9", "--point", SLOW).stdout
    assert "gap9 at 0.65V, objective edp" in text
    assert "0.65V (shown)" in text and "240 MHz" in text and "370 MHz" in text
    assert "Operating points" not in call("cost", MODEL, "--target", "diana").stdout, "there is one only"


def test_the_first_point_is_the_default() -> None:
    found = document()
    assert found["point"] == FAST and found["clock_hz"] == 370e6
    assert [point["name"] for point in found["operating_points"]] == [FAST, SLOW]
    assert found["total"]["latency_s"] == found["operating_points"][0]["total"]["latency_s"]


def test_a_bound_takes_the_best_point_within_it() -> None:
    points = document("--objective", "energy")["operating_points"]
    fast, slow = (point["total"]["latency_s"] for point in points)
    loose = document("--max-latency", str(slow * 1.01), "--objective", "energy")
    tight = document("--max-latency", str((fast + slow) / 2), "--objective", "energy")
    assert (loose["point"], tight["point"]) == (SLOW, FAST)
    assert loose["total"]["energy_pj"] < tight["total"]["energy_pj"]
    result = call("cost", MODEL, "--target", "gap9", "--max-latency", str(fast / 2))
    assert result.exit_code == 1
    assert "the fastest operating point; the bound is" in result.stderr and "allow" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["--target", "gap9", "--point", "0.6V"], "no operating point '0.6V'", "did you mean"),
        (["--target", "diana", "--point", "slow"], "no operating point 'slow'", "known: nominal"),
        (["--target", "edge_tpu_quad", "--point", "x"], "no operating points", "costs are in cycles"),
        (["--target", "gap9", "--max-latency", "0"], "--max-latency 0.0 is not a time", "0.001 for 1 ms"),
        (["--target", "edge_tpu_quad", "--max-latency", "1"], "needs a clock", "leave --max-latency away"),
    ],
)
def test_wrong_points_and_bounds(arguments: list[str], message: str, hint: str) -> None:
    result = call("cost", MODEL, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr and hint in result.stderr
    assert not result.stdout


def test_a_run_is_costed_at_its_point(tmp_path: Path) -> None:
    result = call("run", MODEL, "--target", "gap9", "--point", SLOW, "--out", str(tmp_path / "low"))
    assert result.exit_code == 0, result.stderr
    low = json.loads((tmp_path / "low" / "summary.json").read_text())
    high = api.run(MODEL, target="gap9", out=tmp_path / "high").summary
    assert low["static"]["latency_cycles"] == high.static.latency_cycles
    assert low["static"]["latency_s"] == pytest.approx(high.static.latency_cycles / 240e6)
    assert low["static"]["energy_pj"] == pytest.approx(high.static.energy_pj * SCALE)
    for ours, theirs in zip(low["exits"], high.exits, strict=True):
        assert ours["energy_pj"] == pytest.approx(theirs.energy_pj * SCALE)
    recorded = json.loads((tmp_path / "low" / "run.json").read_text())
    assert recorded["options"]["point"] == SLOW and "--point 0.65V" in recorded["command"]
    with pytest.raises(InputError, match=r"no operating point '0\.6V'"):
        api.run(MODEL, target="gap9", point="0.6V", out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_targets_tell_their_points() -> None:
    found = json.loads(call("targets", "gap9", "--json").stdout)["targets"][0]
    assert found["operating_points"] == [
        {"name": FAST, "clock_hz": 370e6, "voltage_v": 0.8, "energy_scale": 1.0},
        {"name": SLOW, "clock_hz": 240e6, "voltage_v": 0.65, "energy_scale": SCALE},
    ], "MLPerf Tiny v1.0, GAP9"
    assert "gap9" in call("targets").stdout
    text = call("targets", "gap9").stdout
    assert "NE16 does not take it" in " ".join(text.split())


@pytest.mark.parametrize("head", ["auto", "linear"])
def test_exits_are_costed_on_gap9(head: str) -> None:
    found = document("--exits", "2", "--head", head)
    costs = [path["latency_s"] for path in found["exits"]]
    assert len(costs) == 3 and costs == sorted(costs)
    assert [path["name"] for path in found["operating_points"][1]["exits"]] == ["exit_0", "exit_1", "final"]
