"""PyTorch is an extra: what trains asks for it first."""

from __future__ import annotations

from typing import Any

from passes.errors import InputError


def import_torch() -> Any:
    """Return torch; raises InputError when the extra ``train`` is not installed."""
    try:
        import torch
    except ImportError as error:
        raise InputError(
            "training needs PyTorch, which is not installed", "pip install 'eecompile[train]'"
        ) from error
    return torch
