"""The verb `report`: the page of a run, written anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class WrittenReport:
    """Where a report was written."""

    report: Path

    def to_json(self) -> dict[str, Any]:
        """Return the answer as one JSON document."""
        return {"schema_version": 1, "report": str(self.report)}


def report(run: Path | str, out: Path | str | None = None) -> WrittenReport:
    """Write ``report.html`` of a run again from its files.

    Args:
        run: The run directory.
        out: Where to write; ``report.html`` in the run directory if absent.
    """
    from eecompile import report as report_page

    return WrittenReport(report_page.write(Path(run), None if out is None else Path(out)))
