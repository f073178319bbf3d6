"""The verb `report`: the page of a run, written anew, and its tables and plots as files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passes.shown_result import Row, ShownResult


@dataclass(frozen=True, repr=False)
class WrittenReport(ShownResult):
    """Where a report was written.

    Attributes:
        report: The page.
        exported: Its tables and plots, where they were asked for as files.
    """

    report: Path
    exported: tuple[Path, ...] = ()

    def _words(self) -> str:
        return str(self.report)

    def _rows(self) -> list[Row]:
        files = (self.report, *self.exported)
        return [{"report": str(f), "bytes": f.stat().st_size if f.exists() else None} for f in files]

    def _axes(self) -> tuple[str, str]:
        return "report", "bytes"

    def to_json(self) -> dict[str, Any]:
        """Return the answer as one JSON document."""
        exported = [str(path) for path in self.exported]
        return {"schema_version": 1, "report": str(self.report), "exported": exported}


def report(run: Path | str, out: Path | str | None = None, export: Path | str | None = None) -> WrittenReport:
    """Write ``report.html`` of a run again from its files.

    Args:
        run: The run directory.
        out: Where to write; ``report.html`` in the run directory if absent.
        export: Folder for each table of the page as ``.tex`` and ``.csv`` and each plot as ``.svg``; none are
            written if absent.

    Examples:
        >>> from eecompile import api
        >>> run = api.run("digits_resnet.onnx", exits=1, out="costs")
        >>> api.report(run.out, "page.html")
        <WrittenReport: page.html>
    """
    from eecompile import report as report_page

    page = report_page.write(Path(run), None if out is None else Path(out))
    if export is None:
        return WrittenReport(page)
    from eecompile.report.paper.files import export_page

    return WrittenReport(page, export_page(Path(run), Path(export)))
