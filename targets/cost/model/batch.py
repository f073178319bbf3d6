"""Many orders of the same temporal loops at once, as integer arrays over their prefixes."""

from __future__ import annotations

from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from targets.cost.model.nest import Floats, Ints, Shape

Bools = NDArray[np.bool_]


Entry = TypeVar("Entry", np.float64, np.int64)


def at(prefixes: NDArray[Entry], position: Ints) -> NDArray[Entry]:
    """Return ``prefixes[row, position[row]]``."""
    found: NDArray[Entry] = prefixes[np.arange(len(prefixes)), position]
    return found


class Batch:
    """N orders of n temporal loops; in arrays ``[N, n + 1]``, entry j is of the j innermost loops.

    Attributes:
        loops: ``[N, n]``, positions in the nest, innermost first.
        sizes: ``[N, n]``, their factors.
        cycles: ``[N, n + 1]``, iterations of each prefix.
    """

    def __init__(self, shape: Shape, loops: Ints, sizes: Ints) -> None:
        self.shape = shape
        self.loops = loops
        self.sizes = sizes
        self.count, self.length = loops.shape
        self.cycles = self._prefix_product(np.ones(loops.shape, bool))
        self._footprints: dict[tuple[str, bytes, bool], Floats] = {}

    def _prefix_product(self, chosen: Bools) -> Floats:
        products = np.ones((self.count, self.length + 1))
        np.cumprod(np.where(chosen, self.sizes, 1), axis=1, out=products[:, 1:])
        return products

    @cached_property
    def _direct(self) -> dict[str, Floats]:
        shape = self.shape
        return {op: self._prefix_product(shape.direct[op][self.loops]) for op in shape.nest.operands}

    @cached_property
    def _windows(self) -> list[tuple[Floats, Floats]]:
        index = self.shape.index
        return [
            (
                self._prefix_product(self.loops == index[w.outer]),
                self._prefix_product(self.loops == index[w.inner]),
            )
            for w in self.shape.nest.windows
        ]

    def footprint(self, operand: str, inside: Floats, fractions: bool = False) -> Floats:
        """Return the elements of ``operand`` each prefix touches on top of unrolled extents ``inside``.

        With ``fractions``, windows count those of the extents; see :meth:`Shape.footprint`.
        """
        key = (operand, inside.tobytes(), fractions)
        if key not in self._footprints:
            shape = self.shape
            touched = self._direct[operand] * inside[shape.direct[operand]].prod()
            if operand == "I":
                for window, (outer, inner) in zip(shape.nest.windows, self._windows, strict=True):
                    a, b = inside[shape.index[window.outer]], inside[shape.index[window.inner]]
                    touched = touched * shape.axis(window, outer * a, inner * b, fractions)
            # Means such as 27 / 7 leave rounding noise, which must not decide between equal allocations.
            self._footprints[key] = np.round(touched, 6)
        return self._footprints[key]

    @cached_property
    def irrelevant(self) -> dict[str, Bools]:
        """Per operand ``[N, n]``: the loop leaves its data where it is."""
        return {op: mask[self.loops] for op, mask in self.shape.irrelevant.items()}

    @cached_property
    def resume(self) -> dict[str, Ints]:
        """Per operand ``[N, n + 1]``: the first position from j on whose loop is not irrelevant, else n."""
        result = {}
        for op, irrelevant in self.irrelevant.items():
            position = np.full((self.count, self.length + 1), self.length)
            for j in range(self.length - 1, -1, -1):
                position[:, j] = np.where(irrelevant[:, j], position[:, j + 1], j)
            result[op] = position
        return result

    @cached_property
    def reduced_from(self) -> dict[str, Ints]:
        """Per operand ``[N]``: one more than the position of its outermost irrelevant loop; 0 without one."""
        positions = np.arange(1, self.length + 1)
        return {op: (mask * positions).max(axis=1, initial=0) for op, mask in self.irrelevant.items()}

    @cached_property
    def relevant_run(self) -> dict[str, Ints]:
        """Per operand ``[N, n + 1]``: where the run of directly relevant loops that ends at j starts."""
        return {op: self._run(self.shape.direct[op][self.loops]) for op in self.shape.nest.operands}

    @cached_property
    def irrelevant_run(self) -> dict[str, Ints]:
        """Per operand ``[N, n + 1]``: where the run of irrelevant loops that ends at j starts."""
        return {op: self._run(mask) for op, mask in self.irrelevant.items()}

    def _run(self, mask: Bools) -> Ints:
        start = np.zeros((self.count, self.length + 1), np.int64)
        for j in range(self.length):
            start[:, j + 1] = np.where(mask[:, j], start[:, j], j + 1)
        return start
