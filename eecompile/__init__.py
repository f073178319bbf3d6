"""Compile trained ONNX classifiers into early-exit networks for edge accelerators.

``eecompile.api`` has one function per verb of the command line.
"""

from __future__ import annotations

import importlib
from typing import Any

from eecompile.neighbours import check_neighbours
from eecompile.version import version

__all__ = ["__version__", "api"]

check_neighbours()  # before anything of theirs is imported


def __getattr__(name: str) -> Any:
    """Load ``api`` and ``__version__`` when they are first asked for, so that the import stays light."""
    if name == "api":
        return importlib.import_module("eecompile.api")
    if name == "__version__":
        return version()
    raise AttributeError(f"module 'eecompile' has no attribute '{name}'")
