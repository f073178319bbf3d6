"""A hash of this program: what another version of it found out may be something else."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

_ROOMS = ("eecompile", "passes", "targets")


@cache
def source_hash() -> str:
    """Return a hash of all source files of the package, which also a change nobody numbered changes."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for room in _ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
