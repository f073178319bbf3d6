"""`report` writes where it is asked to."""

from __future__ import annotations

from pathlib import Path

from eecompile import api
from tests.eecompile.fabricated_run import write_run


def test_a_report_is_written_where_asked(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    first = api.report(run)
    assert first.report == run / "report.html"
    other = api.report(str(run), str(tmp_path / "other.html"))
    assert other.report == tmp_path / "other.html"
    assert other.report.read_bytes() == first.report.read_bytes()
    assert other.to_json() == {"schema_version": 1, "report": str(tmp_path / "other.html"), "exported": []}


def test_its_tables_and_plots_are_written_where_asked(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    found = api.report(run, export=tmp_path / "new" / "paper")
    assert {path.suffix for path in found.exported} == {".tex", ".csv", ".svg"}
    assert {path.name for path in found.exported} == {p.name for p in (tmp_path / "new/paper").iterdir()}
    assert found.report == run / "report.html"
    assert found.to_json()["exported"] == [str(path) for path in found.exported]
