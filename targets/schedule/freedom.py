"""What a scheduler may do, and what users call it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Freedom:
    """What the scheduler may do.

    Attributes:
        split: Layers may be cut into parts that run on several cores.
        fuse: Layers may be fused: tiles of rows flow through several of them.
        hold: Tensors may stay on chip; else every layer reads and writes off chip.
        rows: Groups of layers may run row by row, with all that lies between them on chip; around every other
            layer nothing stays there.
    """

    split: bool = True
    fuse: bool = True
    hold: bool = True
    rows: bool = False


LAYERS, SPLIT, FUSED, ROWS = "layers", "split", "fused", "rows"
# All modes a schedule can have, each as the end of a sentence. Which of them a target takes it says itself.
MODES: Mapping[str, str] = {
    LAYERS: "each layer whole on one core",
    SPLIT: "layers may be split over cores",
    FUSED: "layers may be split over cores and fused depth first",
    ROWS: "groups of layers may run row by row, on several cores at once; each other layer whole on one core",
}
