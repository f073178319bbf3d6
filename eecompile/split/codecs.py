"""Codecs that a cut may have, fitted on training images: channels that matter, grids, coders."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.runtime.split.coding import CODERS
from eecompile.runtime.split.feature_codec import BITS, FLOAT_BITS, FeatureCodec
from eecompile.split.device_costs import CutPlace
from eecompile.split.parts import CutParts

Array = NDArray[Any]
Float64 = NDArray[np.float64]

SHARES = (1.0, 0.75, 0.5, 0.25)
"""Of the channels that are kept."""
_SHARES_KEPT = np.linspace(1.0, 0.3, 15)
_RANKED, _FITTED, _CODED = 64, 64, 16
"""Training images that say which channels matter, what the grids are, and which coder is shortest."""


@dataclass(frozen=True)
class FittedCodec:
    """A codec with what it does to training images.

    Attributes:
        codec: It.
        mean_bytes: Of the bodies of some training images.
        agree: Share of training images whose answer it leaves as it is.
    """

    codec: FeatureCodec
    mean_bytes: float
    agree: float


def fitted_codecs(
    place: CutPlace, parts: CutParts, features: Array, axis: int, limits: tuple[Array, Array] | None
) -> list[FittedCodec]:
    """Return the codecs of a cut that are worth a look: none has another that is shorter and agrees as often.

    Args:
        place: The cut.
        parts: Both sides of it.
        features: Of training images, [N, ...].
        axis: Along which channels lie.
        limits: Least and largest value per channel where they are known (images); else from ``features``.
    """
    right = parts.logits(features)
    means = np.moveaxis(features.astype(np.float64), axis, 0).reshape(features.shape[axis], -1).mean(1)
    order = channels_by_worth(parts, features[:_RANKED], axis, means, right[:_RANKED])
    found: list[FittedCodec] = []
    for bits in BITS:
        if bits == FLOAT_BITS and features.dtype != np.float32:
            continue  # they are integers of 8 bits as they are
        grid = None if bits == FLOAT_BITS else grids(features[:_FITTED], axis, bits, limits)
        for count in dict.fromkeys(max(1, round(share * len(order))) for share in SHARES):
            codec = _codec(place, bits, np.sort(order[:count]), means, axis, grid)
            made = parts.logits(codec.restored(codec.codes(features)))
            agree = float((made.argmax(1) == right.argmax(1)).mean())
            found.append(shortest(codec, features[:_CODED], agree))
    return [one for one in found if not any(_is_better(other, one) for other in found)]


def shortest(codec: FeatureCodec, features: Array, agree: float = 1.0) -> FittedCodec:
    """Return a codec with the coder that makes the fewest bytes of ``features`` [N, ...]."""
    plain = codec.bits == FLOAT_BITS
    tried = [
        replace(codec, coder=coder, differences=differences)
        for coder in CODERS
        for differences in ((False,) if plain or coder == "none" else (False, True))
    ]
    sizes = [np.mean([len(one.body(f[None])[1]) for f in features]) for one in tried]
    best = int(np.argmin(sizes))
    return FittedCodec(tried[best], float(sizes[best]), agree)


def channels_by_worth(
    parts: CutParts, features: Array, axis: int, means: Float64, right: Array
) -> NDArray[np.int64]:
    """Return all channels, those first whose mean in their place changes the logits most."""
    change = np.empty(features.shape[axis])
    for channel in range(len(change)):
        without = features.copy()
        view = np.moveaxis(without, axis, 0)
        view[channel] = np.rint(means[channel]) if features.dtype.kind != "f" else means[channel]
        change[channel] = float(((parts.logits(without) - right) ** 2).mean())
    return np.argsort(-change, kind="stable")


def grids(
    values: Array, axis: int, bits: int, limits: tuple[Array, Array] | None = None
) -> tuple[Float64, Float64]:
    """Return least value and step of each channel, clipped where the squared error is least.

    Integers of 8 bits keep their own grid at 8 bits: nothing is lost.

    Args:
        values: Of training images, [N, ...].
        axis: Along which channels lie.
        bits: 8, 4 or 2.
        limits: Least and largest value per channel, which then are not clipped.
    """
    by_channel = np.moveaxis(values.astype(np.float64), axis, 0).reshape(values.shape[axis], -1)
    top = 2**bits - 1
    if values.dtype.kind != "f" and bits == 8:
        low = np.full(len(by_channel), float(np.iinfo(values.dtype).min))
        return low, np.ones(len(by_channel))
    if limits is not None:
        low, high = limits[0].astype(np.float64), limits[1].astype(np.float64)
        return low, np.where(high > low, (high - low) / top, 1.0)
    low, high = by_channel.min(1), by_channel.max(1)
    reach = np.where(high > low, high - low, 1.0)
    error, step = np.full(len(low), np.inf), reach / top
    for clip in _SHARES_KEPT:
        tried = reach * clip / top
        codes = np.clip(np.rint((by_channel - low[:, None]) / tried[:, None]), 0, top)
        now = ((low[:, None] + codes * tried[:, None] - by_channel) ** 2).mean(1)
        better = now < error
        error, step = np.where(better, now, error), np.where(better, tried, step)
    return low, step


def entropy_bytes(codes: Array, axis: int) -> float:
    """Return the mean bytes of an image in the empirical entropy of its codes, channel by channel.

    No code without memory that knows each channel's shares needs fewer on these images; one that sees
    neighbours may.

    Args:
        codes: Integers of N images, [N, ...].
        axis: Along which channels lie.
    """
    channels = np.moveaxis(codes, axis, 0)
    bits = 0.0
    for channel in channels:
        counts = np.bincount(channel.reshape(-1), minlength=1)
        counts = counts[counts > 0]
        bits -= float((counts * np.log2(counts / counts.sum())).sum())
    return bits / 8 / len(codes)


def _codec(
    place: CutPlace,
    bits: int,
    kept: NDArray[np.int64],
    means: Float64,
    axis: int,
    grid: tuple[Float64, Float64] | None,
) -> FeatureCodec:
    low, step = (np.zeros(0), np.zeros(0)) if grid is None else grid
    dropped = np.setdiff1d(np.arange(len(means)), kept)

    def of_kept(values: Float64) -> tuple[float, ...]:
        return tuple(float(np.float32(values[c])) for c in kept) if len(values) else ()

    return FeatureCodec(
        place.dtype, place.shape, axis, bits, tuple(int(c) for c in kept), of_kept(low), of_kept(step),
        tuple(float(np.float32(means[c])) for c in dropped),
    )  # fmt: skip


def _is_better(one: FittedCodec, than: FittedCodec) -> bool:
    no_worse = one.mean_bytes <= than.mean_bytes and one.agree >= than.agree
    return no_worse and (one.mean_bytes, -one.agree) != (than.mean_bytes, -than.agree)
