"""What is written is told with its size, once it is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eecompile.verbs.work.written_files import WrittenFiles


@dataclass(frozen=True, repr=False)
class _Written(WrittenFiles):
    folder: Path
    files: tuple[str, ...]
    exits: tuple[str, ...]

    def _words(self) -> str:
        return "files"


def test_files_that_are_there_have_a_row(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_bytes(b"12345")
    written = _Written(tmp_path, ("a.c", "gone.c"), ("exit_0", "final"))
    assert list(written._rows()) == [{"file": "a.c", "bytes": 5}]
    assert written.to_json() == {
        "schema_version": 1, "folder": str(tmp_path), "files": ["a.c", "gone.c"],
        "exits": ["exit_0", "final"],
    }  # fmt: skip
