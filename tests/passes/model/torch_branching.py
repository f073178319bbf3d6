"""Early exits written in torch, as both of its exporters write them."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn


class _Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.early, self.late = nn.Linear(4, 3), nn.Linear(4, 3)
        for head in (self.early, self.late):
            head.weight.data *= 12

    def first(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.one(x))

    def rest(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.late(torch.relu(self.two(x)).mean((2, 3)))
        return logits


class Conditional(_Layers):
    """``torch.cond``, for the newer exporter."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        logits = self.early(x.mean((2, 3)))
        sure = torch.softmax(logits, 1).max() > 0.7
        chosen: torch.Tensor = torch.cond(
            sure, lambda _, z: z.clone(), lambda y, _: self.rest(y), (x, logits)
        )
        return chosen


class HeadInside(_Layers):
    """``torch.cond`` whose body computes the head again, and a Softmax behind."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        sure = torch.softmax(self.early(x.mean((2, 3))), 1).max() > 0.7
        chosen = torch.cond(sure, lambda y: self.early(y.mean((2, 3))), self.rest, (x,))
        return torch.softmax(chosen, 1)


class Scripted(_Layers):
    """An ``if`` of TorchScript, for the older exporter."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        logits = self.early(x.mean((2, 3)))
        chosen: torch.Tensor = logits
        if float(torch.max(torch.softmax(logits, 1))) <= 0.7:
            chosen = self.rest(x)
        return chosen


class TwoExits(_Layers):
    """Two of them, one inside the other: entropy, then the margin; a Softmax behind."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        logits = self.early(x.mean((2, 3)))
        p = torch.softmax(logits, 1)
        if bool((-(p * torch.log(p)).sum()) < 0.7):
            y = logits
        else:
            deep = torch.relu(self.two(x))
            middle = self.late(deep.amax((2, 3)))
            best = torch.topk(torch.softmax(middle, 1), 2, dim=1)[0]
            y = middle if bool(best[0, 0] - best[0, 1] >= 0.5) else self.rest(deep)
        return torch.softmax(y, 1)


NEWER: dict[str, type[_Layers]] = {"cond": Conditional, "head_inside": HeadInside}
OLDER: dict[str, type[_Layers]] = {"scripted": Scripted, "two_exits": TwoExits}
CONDITIONS = {
    "cond": [("max_softmax", 0.7)],
    "head_inside": [("max_softmax", 0.7)],
    "scripted": [("max_softmax", 0.7)],
    "two_exits": [("entropy", -0.7), ("margin", 0.5)],
}


def exported(name: str, path: Path) -> onnx.ModelProto:
    """Write the network ``name`` as its exporter does, and return it."""
    torch.manual_seed(0)
    images = (torch.zeros(1, 2, 8, 8),)
    newer = name in NEWER
    module: Any = (NEWER | OLDER)[name]().eval()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        given = module if newer else torch.jit.script(module)
        torch.onnx.export(given, images, path, dynamo=newer, external_data=False)
    return onnx.load(path)
