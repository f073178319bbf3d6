"""Channels by one number each, wherever they pass, and where the weights of a graph stand for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Along:
    """The channels of a tensor: they lie along ``axis``, the one at position i is ``ids[i]``.

    What lies along the other axes is of the same channel. A channel may stand at several positions: behind a
    Flatten at one per pixel.
    """

    axis: int
    ids: Ids


@dataclass(frozen=True)
class WeightCut:
    """An input of a node that is constant and has, along ``axis``, one part for each position of ``ids``."""

    node: str
    index: int
    axis: int
    ids: Ids


@dataclass(frozen=True)
class Size:
    """A number in a constant input of a node that is how many positions ``ids`` has: of a shape or part."""

    node: str
    index: int
    entry: int
    ids: Ids


@dataclass(frozen=True)
class Groups:
    """The attribute ``group`` of a node, which is how many positions ``ids`` has."""

    node: str
    ids: Ids


Site = WeightCut | Size | Groups


@dataclass
class Channels:
    """Channels while they are followed through a graph.

    Two that cannot go one without the other are made one (:meth:`join`), one that must stay is frozen.

    Attributes:
        of: Tensor name -> its channels; a tensor without is one whose every part must stay.
        made: Name of a node that makes channels -> those it makes, in the order of its outputs.
        sites: Where numbers of the graph stand for channels.
        left: Name of a node that makes channels, but is not followed -> why.
    """

    of: dict[str, Along] = field(default_factory=dict)
    made: dict[str, Ids] = field(default_factory=dict)
    sites: list[Site] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    _parent: list[int] = field(default_factory=list)
    _why: dict[int, str] = field(default_factory=dict)

    def fresh(self, count: int) -> Ids:
        """Return ``count`` new channels, [count]."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return np.arange(start, start + count, dtype=np.int64)

    def root(self, channel: int) -> int:
        """Return what all channels that ``channel`` is one with have in common."""
        while self._parent[channel] != channel:
            self._parent[channel] = self._parent[self._parent[channel]]
            channel = self._parent[channel]
        return channel

    def roots(self, ids: Ids) -> Ids:
        """Return the root of each position."""
        distinct, where = np.unique(ids, return_inverse=True)
        found = np.array([self.root(int(i)) for i in distinct], np.int64)
        return found[where.reshape(ids.shape)] if len(distinct) else ids

    def join(self, some: Ids, others: Ids) -> None:
        """Make channels one position by position; what must stay stays with all it is one with."""
        for a, b in {*zip(some.ravel().tolist(), others.ravel().tolist(), strict=True)}:
            low, high = sorted((self.root(a), self.root(b)))
            if low == high:
                continue
            self._parent[high] = low
            if high in self._why:
                self._why.setdefault(low, self._why.pop(high))

    def freeze(self, ids: Ids, why: str) -> None:
        """Let channels stay; the first reason is the one that is told."""
        for channel in np.unique(ids).tolist():
            self._why.setdefault(self.root(channel), why)

    def freeze_tensors(self, tensors: Iterable[gs.Tensor], why: str) -> None:
        """Let all channels of tensors stay."""
        for tensor in tensors:
            if tensor.name in self.of:
                self.freeze(self.of[tensor.name].ids, why)

    def why(self, channel: int) -> str | None:
        """Return why a channel must stay; ``None`` if it need not."""
        return self._why.get(self.root(channel))


def shape_of(tensor: gs.Tensor) -> tuple[int, ...]:
    """Return the static shape of a tensor."""
    return tuple(int(d) for d in tensor.shape)


def is_constant(node: gs.Node, index: int) -> bool:
    """Return whether input ``index`` of a node is there and constant."""
    return index < len(node.inputs) and isinstance(node.inputs[index], gs.Constant)


def values_of(node: gs.Node, index: int) -> list[int] | None:
    """Return a list of whole numbers that is a constant input of a node, or ``None``."""
    if not is_constant(node, index):
        return None
    values: NDArray[Any] = np.asarray(node.inputs[index].values)
    return [int(v) for v in values.ravel()]
