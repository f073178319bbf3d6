"""Files that are whole or not there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from passes.errors import InputError


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` so that a killed process leaves the old file or the new one, never a half."""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise InputError(
            f"cannot write to {path.parent}: {error.strerror}", "choose a folder you may write to"
        ) from None
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(temporary).chmod(0o644)  # mkstemp makes files private; artefacts are for sharing
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise InputError(
            f"cannot write {path}: {error.strerror}", "free some space or choose another folder"
        ) from None
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
