"""Which values tensors have on images: their ranges, and how many lie in each of many equal bins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.runtime.sessions import Evaluator, batches
from passes.errors import InputError
from passes.progress import counting

Array = NDArray[Any]
Float32 = NDArray[np.float32]
# Bins, and where the first one begins and the last one ends.
Bins = tuple[int, tuple[float, float]]

# Values of all tensors that exist at once: more, and memory that is new each time takes longer than the sums.
_TAPPED_BYTES = 32 * 2**20
_PIECE = 64
_BLOCK = 1 << 15


@dataclass(frozen=True)
class Seen:
    """Values of a tensor on all images, or their sizes.

    Attributes:
        low: Least.
        high: Largest.
        counts: How many lie in each bin, [bins]; none where the range was all that was asked for.
        edges: Where bins begin and end, [bins + 1].
    """

    low: float
    high: float
    counts: Array
    edges: Array


@dataclass(frozen=True)
class Tapped:
    """A network whose inner tensors are outputs.

    Attributes:
        evaluator: Runs it.
        entry: Name of its input.
        names: Names of the outputs.
        sizes: Those of which the sizes of values count, not their signs.
        image_bytes: What one image takes in all of them.
    """

    evaluator: Evaluator
    entry: str
    names: Sequence[str]
    sizes: Collection[str]
    image_bytes: int

    def values(self, images: Float32) -> Iterator[tuple[str, Float32]]:
        """Yield the values of each tensor and of the input, a few images at a time."""
        piece = int(np.clip(_TAPPED_BYTES // max(1, self.image_bytes), 1, _PIECE))
        with counting("calibration images", len(images)) as count:
            for part in batches(len(images), min(piece, self.evaluator.batch)):
                given, found = {self.entry: images[part]}, []
                if self.names:
                    found = self.evaluator.session.run(list(self.names), given)
                for name, value in zip((self.entry, *self.names), (given[self.entry], *found), strict=True):
                    yield name, np.abs(value) if name in self.sizes else value
                count.add(len(given[self.entry]))


def look(
    tapped: Tapped, wanted: Collection[str], images: Float32, bins_of: Callable[[float, float], Bins | None]
) -> dict[str, Seen]:
    """Return what values the tensors in ``wanted`` have.

    The network runs twice, for the ranges and for the counts, or once where nothing is to be counted: values
    of few images exist at once.

    Args:
        tapped: The network.
        wanted: Names of its outputs, and of its input if that counts.
        images: Preprocessed, [N, …].
        bins_of: What is to be counted of values from the least to the largest; ``None``: nothing.

    Raises:
        InputError: A value that is not finite; the tensor is named.
    """
    ranges = _ranges(tapped, wanted, images)
    bins = {name: found for name, ends in ranges.items() if (found := bins_of(*ends)) is not None}
    counts = {name: np.zeros(count, np.int64) for name, (count, _) in bins.items()}
    if bins:
        for name, value in tapped.values(images):
            if name in bins:
                counts[name] += histogram(value, bins[name])
    nothing = np.zeros(0)
    return {
        name: Seen(
            *ends,
            counts.get(name, nothing),
            np.linspace(*bins[name][1], bins[name][0] + 1) if name in bins else nothing,
        )
        for name, ends in ranges.items()
    }


def _ranges(tapped: Tapped, wanted: Collection[str], images: Float32) -> Mapping[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for name, value in tapped.values(images):
        if name not in wanted:
            continue
        low, high = float(value.min()), float(value.max())  # NaN where any value is
        if not (np.isfinite(low) and np.isfinite(high)):
            raise InputError(
                f"'{name}' becomes NaN or infinite on training images",
                "check the preprocessing of the images and the weights of the network",
            )
        least, largest = found.get(name, (low, high))
        found[name] = (min(least, low), max(largest, high))
    return found


def histogram(values: Array, bins: Bins) -> NDArray[np.int64]:
    """Return how many of ``values`` lie in each bin, [bins]; none lies beyond the first or last one.

    As `numpy.histogram`, but for values that lie on an edge to float64's last digit, and in a third of the
    time: blocks stay in the cache of the processor.
    """
    count, (first, last) = bins
    # Widths between neighbouring float32, and between the largest of both signs, are no float32.
    factor = count / (last - first)
    found = np.zeros(count, np.int64)
    real, whole = np.empty(_BLOCK), np.empty(_BLOCK, np.intp)
    flat = values.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        part = flat[start : start + _BLOCK]
        scaled, index = real[: part.size], whole[: part.size]
        np.subtract(part, first, out=scaled, dtype=np.float64)
        np.multiply(scaled, factor, out=scaled)
        np.copyto(index, scaled, casting="unsafe")
        np.minimum(index, count - 1, out=index)
        found += np.bincount(index, minlength=count)
    return found
