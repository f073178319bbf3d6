"""Compiled networks in onnxruntime: numpy and onnxruntime alone.

``EarlyExitSession(path).run(images)`` answers raw images; ``AsyncEarlyExitSession`` is its form for servers,
and ``SplitSession(folder, url)`` a device that asks a server.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eecompile.runtime.asynchronous import AsyncEarlyExitSession as AsyncEarlyExitSession
    from eecompile.runtime.drift import DriftWarning as DriftWarning
    from eecompile.runtime.early_exit import Decisions as Decisions
    from eecompile.runtime.early_exit_session import EarlyExitSession as EarlyExitSession
    from eecompile.runtime.split.split_session import SplitSession as SplitSession

_PLACES = {
    "AsyncEarlyExitSession": "asynchronous",
    "Decisions": "early_exit",
    "DriftWarning": "drift",
    "EarlyExitSession": "early_exit_session",
    "SplitSession": "split.split_session",
}
__all__ = ["AsyncEarlyExitSession", "Decisions", "DriftWarning", "EarlyExitSession", "SplitSession"]


def __getattr__(name: str) -> Any:
    """Load what is asked for, so that who only preprocesses images does not load onnxruntime."""
    if name not in _PLACES:
        raise AttributeError(f"module 'eecompile.runtime' has no attribute '{name}'")
    return getattr(importlib.import_module(f"eecompile.runtime.{_PLACES[name]}"), name)
