"""The verb `report`: the page of a run, written anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passes.shown_result import Row, ShownResult


@dataclass(frozen=True, repr=False)
class WrittenReport(ShownResult):
    """Where a report was written."""

    report: Path

    def _words(self) -> str:
        return str(self.report)

    def _rows(self) -> list[Row]:
        size = self.report.stat().st_size if self.report.exists() else None
        return [{"report": str(self.report), "bytes": size}]

    def _axes(self) -> tuple[str, str]:
        return "report", "bytes"

    def to_json(self) -> dict[str, Any]:
        """Return the answer as one JSON document."""
        return {"schema_version": 1, "report": str(self.report)}


def report(run: Path | str, out: Path | str | None = None) -> WrittenReport:
    """Write ``report.html`` of a run again from its files.

    Args:
        run: The run directory.
        out: Where to write; ``report.html`` in the run directory if absent.

    Examples:
        >>> from eecompile import api
        >>> run = api.run("digits_resnet.onnx", exits=1, out="costs")
        >>> api.report(run.out, "page.html")
        <WrittenReport: page.html>
    """
    from eecompile import report as report_page

    return WrittenReport(report_page.write(Path(run), None if out is None else Path(out)))
