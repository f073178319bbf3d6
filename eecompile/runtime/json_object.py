"""Files that hold one JSON object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from passes.errors import InputError


def read_object(path: Path, hint: str) -> dict[str, Any]:
    """Return what a file says.

    Raises:
        OSError: It cannot be opened.
        InputError: It holds no JSON object; with ``hint``.
    """
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise damaged(path, error, hint) from None
    if not isinstance(found, dict):
        raise damaged(path, TypeError("no JSON object"), hint)
    return found


def damaged(path: Path, error: Exception, hint: str) -> InputError:
    """Return that a file is not what it should be, for what was raised when it was read."""
    what = f"no {error}" if isinstance(error, KeyError) else str(error)
    return InputError(f"{path} cannot be read: {what}", hint)
