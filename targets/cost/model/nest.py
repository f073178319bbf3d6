"""A layer as the engine sees it: a nest of loops, and which of them each operand depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """An axis of the input that two loops walk over: ``stride * outer + dilation * inner``.

    Attributes:
        outer: Loop over outputs, such as ``OX``.
        inner: Loop over the window, such as ``FX``.
        size: Elements the axis really has; padding is never fetched.
    """

    outer: str
    inner: str
    stride: int
    dilation: int
    size: int


@dataclass(frozen=True)
class LoopNest:
    """Loops of one layer and the operands they index.

    Attributes:
        loops: Names and sizes. The order decides ties when factors are merged, nothing else.
        operands: ``O`` first, then the one or two inputs; the order decides who may double-buffer first.
        relevant: Per operand, the loops that index it directly.
        windows: Axes of ``I`` indexed by two loops.
        bits: Bits per element of ``W``, ``I``, ``O`` (partial sums) and ``O_final``.
    """

    loops: tuple[tuple[str, int], ...]
    operands: tuple[str, ...]
    relevant: tuple[tuple[str, frozenset[str]], ...]
    windows: tuple[Window, ...]
    bits: tuple[tuple[str, int], ...]

    @property
    def operations(self) -> int:
        """Work in operations: the product of the loops."""
        return math.prod(size for _, size in self.loops)

    @property
    def sizes(self) -> dict[str, int]:
        """Loop sizes by name."""
        return dict(self.loops)


class Shape:
    """Index arithmetic of a nest: masks over its loops and the footprints of its operands.

    Attributes:
        index: Position of each loop by name.
        irrelevant: Per operand, which loops leave its data where it is.
        direct: Per operand, which loops index it directly and alone.
    """

    def __init__(self, nest: LoopNest) -> None:
        self.nest = nest
        self.names = tuple(name for name, _ in nest.loops)
        self.index = {name: i for i, name in enumerate(self.names)}
        self.bits = dict(nest.bits)
        relevant = dict(nest.relevant)
        windowed = {loop for w in nest.windows for loop in (w.outer, w.inner)}
        self.irrelevant: dict[str, NDArray[np.bool_]] = {}
        self.direct: dict[str, NDArray[np.bool_]] = {}
        for op in nest.operands:
            partly = windowed if op == "I" else set()
            self.direct[op] = np.array([n in relevant[op] and n not in partly for n in self.names], bool)
            self.irrelevant[op] = np.array(
                [n not in relevant[op] and n not in partly and size > 1 for n, size in nest.loops], bool
            )

    def footprint(self, operand: str, extents: Floats, fractions: bool = False) -> Floats:
        """Return the elements of ``operand`` that loops with these extents touch.

        Args:
            operand: ``W``, ``I`` or ``O``.
            extents: ``[..., loops]``, how far each loop runs; fractions stand for the mean of uneven tiles.
            fractions: Windows count them too, as the mean over the tiles; else they are rounded down there.

        Returns:
            ``[...]``. On a windowed axis, the number of different ``stride * a + dilation * b``, at most the
            elements the axis has; with fewer outputs than the dilation, some of the holes of the window too.
            Source: the closed form ZigZag uses, ``a*b - max(0, b - s)*(a - d)`` with stride and dilation
            divided by their greatest common divisor.
        """
        touched: Floats = extents[..., self.direct[operand]].prod(axis=-1)
        if operand == "I":
            for w in self.nest.windows:
                outer, inner = extents[..., self.index[w.outer]], extents[..., self.index[w.inner]]
                touched = touched * self.axis(w, outer, inner, fractions)
        return touched

    @staticmethod
    def axis(w: Window, outer: Floats, inner: Floats, fractions: bool = False) -> Floats:
        """Return the elements of an axis that ``outer`` x ``inner`` iterations of its two loops touch."""
        # Fractional extents round down in ZigZag; the small term undoes the rounding of products.
        a, b = (outer, inner) if fractions else (np.floor(outer + 1e-9), np.floor(inner + 1e-9))
        common = math.gcd(w.stride, w.dilation)
        overlap = np.maximum(0, b - w.stride // common) * (a - w.dilation // common)
        return np.asarray(np.minimum(w.size, a * b - overlap))
