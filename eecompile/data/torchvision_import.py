"""The one place that imports torchvision."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from passes.errors import InputError

# The library must live as long as the process: dropping it takes its operator definitions away.
_KEPT_ALIVE: list[Any] = []


def import_torchvision() -> ModuleType:
    """Return the module ``torchvision``, also where its compiled part does not fit the torch beside it.

    A torchvision built for CUDA next to a CPU torch fails at import because two operators are missing
    that it only adds shape rules to. Declaring them is enough for everything but running these two.

    Raises:
        InputError: torch or torchvision is not installed.
    """
    try:
        return _torchvision()
    except ImportError as error:
        raise InputError(
            f"this needs torchvision, which cannot be imported: {error}",
            "install it with: pip install 'eecompile[train]'",
        ) from error
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    _declare_operators()
    for name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # half-imported by the failed attempt
    return _torchvision()


def _torchvision() -> ModuleType:
    import torchvision
    import torchvision.datasets

    module: ModuleType = torchvision
    return module


def _declare_operators() -> None:
    import torch

    new_library: Any = torch.library.Library
    library = new_library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEPT_ALIVE.append(library)
