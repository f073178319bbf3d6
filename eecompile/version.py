"""Which version of eecompile this is, and where it lies."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def version() -> str:
    """Return the version that is installed; ``0+source`` where none is."""
    from importlib import metadata

    try:
        return metadata.version("eecompile")
    except metadata.PackageNotFoundError:
        return "0+source"
