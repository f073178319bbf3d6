from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from eecompile.cache.source_hash import source_hash


def test_each_source_file_counts(tmp_path: Path) -> None:
    """The file is copied beside packages of one file each: their text and names are what it hashes."""
    import eecompile.cache.source_hash as module

    room = tmp_path / "eecompile" / "cache"
    room.mkdir(parents=True)
    (room / "source_hash.py").write_bytes(Path(module.__file__).read_bytes())
    other = tmp_path / "targets" / "one.py"
    other.parent.mkdir()

    def found() -> str:
        code = (
            f"import sys; sys.path.insert(0, {str(room)!r}); import source_hash as s; print(s.source_hash())"
        )
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    other.write_text("a = 1\n")
    first = found()
    assert first == found()
    other.write_text("a = 2\n")
    second = found()
    other.rename(other.with_name("two.py"))
    assert len({first, second, found()}) == 3
    assert source_hash() == source_hash() and len(source_hash()) == 64
