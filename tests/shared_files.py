"""Files beside the project that tests use where they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("EECOMPILE_SHARED", "../shared"))


def shared(*parts: str) -> Path:
    """Return a path under the shared folder; the test is skipped where it is not there."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not here (set EECOMPILE_SHARED)")
    return path
