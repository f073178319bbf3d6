"""`--point` and `--max-latency`, on the command line and in `api`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from eecompile import api
from eecompile.cli import main as cli
from eecompile.wording import quantities
from eecompile.wording.error_bars import NOT_VALIDATED
from passes.errors import InputError
from tests.eecompile.small_models import write_skip_net
from tests.targets.small_arch import small_text
from tests.targets.validated import unvalidate, validate

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


def run_document(model: str, folder: Path, *arguments: str) -> dict[str, Any]:
    result = call("run", model, *arguments, "--out", str(folder))
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


POINTS = """
operating_points:
  - {name: fast, clock_hz: {value: 200.0e+6, known: placeholder, source: t}, voltage_v: {value: 1.0, known: placeholder, source: t}}
  - {name: slow, clock_hz: {value: 100.0e+6, known: placeholder, source: t}, voltage_v: {value: 0.6, known: placeholder, source: t}}
"""  # noqa: E501


@pytest.mark.parametrize("kind", ["gap9", "file"])
def test_run_and_cost_have_one_mechanism(kind: str, tmp_path: Path) -> None:
    """The same options give the same point and the same figures; a run with a bound takes the best within."""
    (tmp_path / "mine.yaml").write_text(small_text() + POINTS)
    target = ["--target", kind if kind == "gap9" else str(tmp_path / "mine.yaml"), "--objective", "energy"]
    model = str(write_skip_net(tmp_path / "net.onnx"))
    options = [*target, "--exits", "1", "--head", "linear"]
    first = run_document(model, tmp_path / "first", *options)
    fast, slow = (point["total"]["latency_s"] for point in first["operating_points"])
    names = [point["name"] for point in first["operating_points"]]
    # Mappings of a file are searched each time, which takes seconds.
    cases = (
        {("--max-latency", str(slow * 1.01)): names[1]}
        if kind == "file"
        else {
            (): names[0],
            ("--point", names[1]): names[1],
            ("--max-latency", str(slow * 1.01)): names[1],
            ("--max-latency", str((fast + slow) / 2)): names[0],
            ("--max-latency", str(slow * 1.01), "--point", names[0]): names[0],
        }
    )
    options[options.index("1")] = first["exits"][0]["mount_name"]
    for number, (more, name) in enumerate(cases.items()):
        ran = run_document(model, tmp_path / str(number), *options, *more)
        cost = json.loads(call("cost", model, *options, *more, "--json").stdout)
        assert ran["point"] == cost["point"] == name
        assert ran["operating_points"] == cost["operating_points"]
        shown = next(p for p in ran["operating_points"] if p["name"] == name)["exits"]
        for ours, theirs in zip(ran["exits"], shown, strict=True):
            assert (ours["latency_s"], ours["energy_pj"]) == (theirs["latency_s"], theirs["energy_pj"])
        assert ran["static"]["latency_s"] == pytest.approx(cost["static"]["latency_s"])
    refused = call("run", model, *options, "--max-latency", str(fast / 100), "--out", str(tmp_path / "none"))
    assert refused.exit_code == 1 and "the fastest operating point; the bound is" in refused.stderr
    unknown = call("run", model, *options, "--point", "x", "--out", str(tmp_path / "none"))
    assert unknown.exit_code == 2 and names[1] in unknown.stderr
    assert not (tmp_path / "none").exists()


def test_the_points_of_a_file_are_told(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(small_text() + POINTS)
    file, model = str(tmp_path / "mine.yaml"), str(write_skip_net(tmp_path / "net.onnx"))
    found = run_document(model, tmp_path / "costs", "--target", file, "--point", "slow")
    assert found["target"] == "small" and any("8-bit weights" in text for text in found["warnings"])
    assert "derived" in found["operating_points"][1]["energy_scale_source"]
    text = call("cost", model, "--target", file, "--point", "slow").stdout
    assert "small at slow" in text and "slow (shown)" in text


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


def test_tables_show_intervals_and_say_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    unvalidate(monkeypatch, "gap9")
    without = call("cost", MODEL, "--target", "gap9").stdout
    assert NOT_VALIDATED in " ".join(without.split()) and "Interval of" not in without
    validate(monkeypatch, "gap9")
    text = " ".join(call("cost", MODEL, "--target", "gap9").stdout.split())
    assert "Interval of latency: ×0.80 to ×1.25" in text and "nominal coverage 67 %" in text  # noqa: RUF001
    assert NOT_VALIDATED not in text
    total = document()["total"]
    around = [bound / 370e6 for bound in total["latency_interval"]]
    assert quantities.bounds(total["latency_s"], around) in text
