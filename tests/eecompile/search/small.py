"""A small space and images that its networks can learn to tell apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from eecompile.search.worth.evaluation import Question

SPACE = """
[backbone]
family = "resnet"
width = [2, 4]
blocks = 1
stages = 2
[exits]
heads = ["linear", "mlp"]
[training]
epochs = 3
final_epochs = 1
finalists = 2
quantize = "ptq"
"""
GENES: dict[str, str | int | float | bool] = {
    "backbone.width": 4, "backbone.blocks": 1, "backbone.stages": 2, "backbone.kernel": 3,
    "precision.backbone": "usual", "precision.heads": "usual", "precision.placement": "auto",
    "pruning.goal": "none",
}  # fmt: skip


def write_images(folder: Path, train: int = 256, held: int = 96) -> Path:
    """Write grey images [8, 8] of three classes, which are where they are bright."""
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {}
    for name, count in (("train", train), ("val", held), ("test", held)):
        y = np.arange(count) % 3
        x = rng.integers(0, 140, (count, 8, 8))
        for k in range(3):
            x[y == k, 2 * k : 2 * k + 3] += 70
        found |= {f"{name}_x": x.astype(np.uint8), f"{name}_y": y}
    path = folder / "images.npz"
    np.savez(path, **found)
    return path


def question(folder: Path, space: str = SPACE, *, target: str = "diana", **others: bool) -> Question:
    """Return a question about a small space; its files are in ``folder``."""
    path = folder / "space.toml"
    path.write_text(space)
    images = folder / "images.npz"
    data = images if images.exists() else write_images(folder)
    return Question(path, target, str(data), "auto", 0, folder / "cache", 10**9, **others)
