"""Stored images as pixels to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.runtime.preprocess import PIXEL_WHITE, Preprocess

Pixels = NDArray[np.uint8]

MAX_SIDE = 64
"""Larger images are made smaller, so that a page of them stays small."""
MIN_SIDE = 4
MAX_ASPECT = 4
"""What is smaller, or longer for its width, is a series rather than an image."""


def drawable(images: NDArray[Any], rule: Preprocess) -> tuple[Pixels, str]:
    """Return stored images [K, …] as pixels [K, H, W, 1 or 3], and what was done to them.

    Args:
        images: As they are stored, uint8 or float32.
        rule: How they become the network's input: it knows where their channels are and what white is.

    Returns:
        No pixels [0, 1, 1, 1], with the reason, where they are no images; else a note, which may be empty.
    """
    last = _channels_last(images, rule)
    if isinstance(last, str):
        return np.zeros((0, 1, 1, 1), np.uint8), last
    stretched = last.dtype != np.uint8 and rule.white is None
    if stretched:
        low, high = last.min(), last.max()
        scaled = (last - low) * (PIXEL_WHITE / ((high - low) or 1))
    elif last.dtype != np.uint8:
        scaled = last * (PIXEL_WHITE / (rule.white or PIXEL_WHITE))
    else:
        scaled = last
    factor = -(-max(last.shape[1:3]) // MAX_SIDE)
    small = _averaged(scaled, factor)
    notes = []
    if factor > 1:
        notes.append(f"made {factor} times smaller, from {last.shape[1]} x {last.shape[2]} pixels")
    if stretched:
        notes.append(
            "stored as normalized values, drawn from the least (black) to the largest (white) of them"
        )
    return np.rint(small.clip(0, PIXEL_WHITE)).astype(np.uint8), "; ".join(notes)


def _channels_last(images: NDArray[Any], rule: Preprocess) -> NDArray[Any] | str:
    if images.ndim != 4:
        return f"The data are vectors of {images[0].size} numbers, not images."
    shape = images.shape[1:]
    if rule.order == "same":
        first = rule.layout == "NCHW"
    elif rule.order in ("NHWC->NCHW", "NCHW->NHWC"):
        first = rule.order.startswith("NCHW")
    else:  # a network without channels
        first = shape[0] in (1, 3)
    last = images.transpose(0, 2, 3, 1) if first else images
    height, width, channels = last.shape[1:]
    if channels not in (1, 3):
        return f"The data have {channels} channels, which is neither grey nor colour."
    if min(height, width) < MIN_SIDE or max(height, width) > MAX_ASPECT * min(height, width):
        return f"The data of {height} x {width} values look like series, not images."
    return last


def _averaged(images: NDArray[Any], factor: int) -> NDArray[Any]:
    """Return images made smaller by the mean over squares of ``factor``; what is left over goes."""
    if factor == 1:
        return images
    count, height, width, channels = images.shape
    rows, columns = height // factor, width // factor
    cut = images[:, : rows * factor, : columns * factor].astype(np.float32)
    mean: NDArray[Any] = cut.reshape(count, rows, factor, columns, factor, channels).mean(axis=(2, 4))
    return mean
