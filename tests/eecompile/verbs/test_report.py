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
    assert other.to_json() == {"schema_version": 1, "report": str(tmp_path / "other.html")}
