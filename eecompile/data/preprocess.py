"""Stored images → the float32 batch the model takes: pixel rule, channel order, axis order.

A rule is a mean and a standard deviation per channel on the pixel scale 0..255. Images stored as
floats in 0..1 are brought to that scale first (``white``), so that every rule means the same on them.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from eecompile.data.dataset import Images, evenly
from eecompile.runtime.preprocess import PIXEL_WHITE, Channels, Layout, Preprocess, axis_orders
from passes.errors import InputError, did_you_mean

RAW: Final = "raw"
_LOOKED_AT = 2048


def _of_unit(mean: Channels, std: Channels) -> tuple[Channels, Channels]:
    return tuple(PIXEL_WHITE * m for m in mean), tuple(PIXEL_WHITE * s for s in std)


# From the simplest to the least simple: `auto` takes the earliest of equals. Imagenet's and CIFAR-10's
# figures are those of torchvision's reference scripts and of most CIFAR-10 training code.
RULES: Final[dict[str, tuple[Channels, Channels]]] = {
    RAW: ((0.0,), (1.0,)),
    "unit": ((0.0,), (PIXEL_WHITE,)),
    "pixels": ((0.0,), (1.0,)),
    "signed": ((127.5,), (127.5,)),
    "imagenet": _of_unit((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar": _of_unit((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
}


def parse_rule(text: str) -> tuple[str, Channels, Channels]:
    """Read a rule: a name of `RULES`, or ``mean=…,std=…`` with one number or one per channel.

    Numbers are on the scale 0..1, as in torchvision; if any of them is above 1, all are on 0..255.

    Returns:
        Canonical text form, mean and std on the pixel scale 0..255.

    Raises:
        InputError: Unknown name, or not numbers, or a standard deviation that is not positive.
    """
    text = text.strip()
    if text in RULES:
        return (text, *RULES[text])
    if not text.startswith("mean=") or ",std=" not in text:
        raise InputError(
            f"unknown preprocessing {text!r}", did_you_mean(text, ["auto", "mean=…,std=…", *RULES])
        )
    mean_text, std_text = text.removeprefix("mean=").split(",std=", 1)
    try:
        mean, std = (tuple(float(v) for v in part.split(",")) for part in (mean_text, std_text))
    except ValueError as error:
        raise InputError(
            f"preprocessing {text!r}: {error}", "write numbers, e.g. mean=0.49,0.48,0.45,std=0.25,0.24,0.26"
        ) from error
    if not all(math.isfinite(v) for v in mean + std) or min(std) <= 0:
        raise InputError(
            f"preprocessing {text!r}: mean must be finite and std positive", "correct the numbers"
        )
    canonical = f"mean={','.join(map(repr, mean))},std={','.join(map(repr, std))}"
    on_pixel_scale = max(abs(v) for v in mean + std) > 1
    return (canonical, mean, std) if on_pixel_scale else (canonical, *_of_unit(mean, std))


def standardizing(x: Images) -> str:
    """Return the rule by which images ``x`` have mean 0 and deviation 1, for a network that is yet to learn.

    Floats that are no pixels are taken as they are.
    """
    white = white_of(x)
    if white is None:
        return RAW
    some = evenly(x, _LOOKED_AT) / white
    return f"mean={float(some.mean()):.4f},std={max(float(some.std()), 1e-3):.4f}"


def white_of(x: Images) -> float | None:
    """Return the stored value that means white: 255, 1, or ``None`` for floats that are no longer pixels."""
    if x.dtype == np.uint8:
        return PIXEL_WHITE
    low, high = float(x.min()), float(x.max())
    if low < 0 or high > PIXEL_WHITE:
        return None
    return 1.0 if high <= 1 else PIXEL_WHITE


def layouts_of(input_shape: tuple[int, ...]) -> list[Layout]:
    """Return where a model's input [1, …] may have its channels: the shorter end; both if they are equal."""
    sample = input_shape[1:]
    if len(sample) != 3:
        return ["flat"]
    if sample[0] == sample[2]:
        return ["NCHW", "NHWC"]
    return ["NCHW"] if sample[0] < sample[2] else ["NHWC"]


def preprocesses(rule_text: str, x: Images, input_shape: tuple[int, ...]) -> list[Preprocess]:
    """Return the rule as a `Preprocess` for images like ``x``, once per axis order and layout that fit.

    Returns:
        Simplest first; empty if the rule has a number of channels that the model's input has not.

    Raises:
        InputError: A rule on pixels for floats that are no longer pixels.
    """
    rule, mean, std = parse_rule(rule_text)
    shape, white = tuple(x.shape[1:]), white_of(x)
    if rule != RAW:
        if white is None:
            raise InputError(
                f"preprocessing {rule!r} is for pixels, the images already hold values outside 0..255",
                "use `preprocess` raw for images that are already normalized",
            )
        # (x * 255 / white - mean) / std, with the scale moved into mean and std.
        mean, std = (tuple(v * white / PIXEL_WHITE for v in values) for values in (mean, std))
    found = []
    for order in axis_orders(shape, tuple(input_shape[1:])):
        for layout in layouts_of(input_shape):
            channels = 1 if layout == "flat" else input_shape[1 if layout == "NCHW" else -1]
            if {len(mean), len(std)} <= {1, channels}:
                found.append(Preprocess(rule, mean, std, order, layout, shape=shape, white=white))
    return found
