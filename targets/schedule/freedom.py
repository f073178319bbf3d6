"""What a scheduler may do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Freedom:
    """What the scheduler may do.

    Attributes:
        split: Layers may be cut into parts that run on several cores.
        fuse: Layers may be fused: tiles of rows flow through several of them.
        hold: Tensors may stay on chip; else every layer reads and writes off chip.
    """

    split: bool = True
    fuse: bool = True
    hold: bool = True
