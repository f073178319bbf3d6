"""Small torch modules as both of torch's exporters write them."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path

import torch
from torch import nn


class Residual(nn.Module):
    """A block with a skip connection and SiLU."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.skip, self.norm, self.act = nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8), nn.SiLU()
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits [N, 4] of images [N, 4, 16, 16]."""
        y = self.norm(self.two(self.act(self.one(x)))) + self.skip(x)
        logits: torch.Tensor = self.head(self.act(y).mean((2, 3)))
        return logits


class Tokens(nn.Module):
    """One transformer block over the patches of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(4, 16, 4, stride=4)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True, norm_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits [N, 4] of images [N, 4, 16, 16]."""
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        logits: torch.Tensor = self.head(self.block(tokens).mean(1))
        return logits


def _modules() -> dict[str, nn.Module]:
    group = [nn.Conv2d(4, 8, 3), nn.GroupNorm(2, 8), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    pooled = [nn.Conv2d(4, 8, 3), nn.ReLU6(), nn.AvgPool2d(2), nn.Flatten()]
    return {
        "residual": Residual(),
        "tokens": Tokens(),
        "group_norm": nn.Sequential(*group, nn.Linear(8, 4)),
        "pooled": nn.Sequential(*pooled, nn.Linear(392, 4)),
    }


def export(folder: Path, both: bool) -> list[str]:
    """Write the modules as torch's older exporter writes them, and the newer one where ``both``.

    Returns:
        The names of the files.
    """
    made = []
    torch.manual_seed(0)
    for name, module in _modules().items():
        for kind in ("script", "dynamo") if both else ("script",):
            file = f"torch_{name}_{kind}.onnx"
            images = (torch.zeros(1, 4, 16, 16),)
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                newer = kind == "dynamo"
                torch.onnx.export(module.eval(), images, folder / file, dynamo=newer, external_data=False)
            made.append(file)
    return made
