"""What all forms of `export` answer: files in a folder, and the exits of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from passes.shown_result import Row, ShownResult


class WrittenFiles(ShownResult):
    """Files that were written.

    Attributes:
        folder: Where to.
        files: Their places in it.
        exits: Names, shallow to deep.
    """

    folder: Path
    files: tuple[str, ...]
    exits: tuple[str, ...]

    def _rows(self) -> list[Row]:
        return [
            {"file": name, "bytes": (self.folder / name).stat().st_size}
            for name in self.files
            if (self.folder / name).exists()
        ]

    def _axes(self) -> tuple[str, str]:
        return "file", "bytes"

    def to_json(self) -> dict[str, Any]:
        """Return the answer as one JSON document."""
        listed = {"files": list(self.files), "exits": list(self.exits), "folder": str(self.folder)}
        return {"schema_version": 1, **vars(self), **listed}
