"""`compare` takes a list of runs, and one gate or several."""

from __future__ import annotations

from pathlib import Path

from eecompile import api
from eecompile.verbs.work.compare import compare_runs
from tests.eecompile.fabricated_run import write_run


def test_a_gate_alone_is_one_gate(tmp_path: Path) -> None:
    a, b = (write_run(tmp_path / name) for name in ("a", "b"))
    alone = api.compare([a, b], fail_if="drop.points>1000")
    assert [result.gate.text for result in alone.gates] == ["drop.points>1000"]
    assert alone.gates == api.compare([a, b], fail_if=["drop.points>1000"]).gates


def test_runs_are_compared_as_files_say(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a")
    gates = ["static.macs>1"]
    assert api.compare([str(a), a, a], gates) == compare_runs([a, a, a], gates)
    assert not api.compare((a, a), gates).passed and api.compare([a, a]).passed
