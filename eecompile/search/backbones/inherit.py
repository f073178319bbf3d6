"""Weights of a trained network for a sibling of its family, which is narrower, wider, deeper or the like."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from passes.operator_sets import FLOAT_LINEAR
from passes.pruning.channels import Ids, WeightCut, shape_of
from passes.pruning.groups import Dependencies, find_groups
from passes.state import state_of

Array = NDArray[Any]
# What a channel of the target is in the source: the root it has there. One that is not in it is new.
Origins = Mapping[int, int]


def inherit(target: gs.Graph, source: gs.Graph) -> tuple[str, ...]:
    """Give ``target`` the weights of ``source`` for all layers of the same name, cut to size, in place.

    * Of channels that are too many those stay whose weights are largest (sum of absolute values over all
      layers that make them together), in their order.
    * Channels, places of kernels and residual blocks that are new take part in nothing at first: weights
      that read new channels for old ones are 0, kernels have 0 around them, a new block ends in 0. So a
      network that only grew answers as the source did.
    * A layer that reads what its namesake did not read, or has another stride or groups, stays as it is.

    Args:
        target: A network with weights, freshly drawn.
        source: A trained one of the same family, flat and canonical; it is not changed.

    Returns:
        Names of the layers that inherited, in the order of the network.

    Raises:
        ValueError: One of them has no weights (they are symbolic).
    """
    for graph, which in ((target, "target"), (source, "source")):
        if state_of(graph).symbolic:
            raise ValueError(f"the {which} has no weights")
    theirs = {node.name: node for node in source.nodes}
    found, given = find_groups(target), find_groups(source)
    origins = _origins(found, given, _sizes(source, given))
    ours, their_sites = _sites(found), _sites(given)
    inherited = []
    for node in target.nodes:
        namesake = theirs.get(node.name)
        if namesake is None or not _alike(node, namesake):
            continue
        values = {}
        for index, tensor in enumerate(node.inputs):
            if isinstance(tensor, gs.Constant) and tensor.values.dtype.kind == "f" and tensor.values.ndim:
                places = _Places(
                    ours.get((node.name, index), {}), their_sites.get((node.name, index), {}),
                    found, given, origins,
                )  # fmt: skip
                values[index] = _cut(node, index, namesake.inputs[index].values, places)
        if values and all(value is not None for value in values.values()):
            for index, value in values.items():
                node.inputs[index].values = value
            inherited.append(node.name)
    _silence(target, theirs)
    return tuple(inherited)


def _alike(node: gs.Node, other: gs.Node) -> bool:
    """Whether two nodes are the same layer but for sizes."""
    groups = [int(n.attrs.get("group", 1)) for n in (node, other)]
    return (
        node.op == other.op
        and node.attrs.get("strides") == other.attrs.get("strides")
        and len(node.inputs) == len(other.inputs)
        and (groups[0] > 1) == (groups[1] > 1)
    )


def _sizes(graph: gs.Graph, channels: Dependencies) -> dict[int, float]:
    """Return root of a channel -> the sum of the absolute values of all weights that make it."""
    found: dict[int, float] = {}
    nodes = {node.name: node for node in graph.nodes}
    for name, roots in channels.made.items():
        node = nodes[name]
        weights = np.abs(np.asarray(node.inputs[1].values, np.float64))
        axis = _made_along(node)
        sums = weights.sum(axis=tuple(a for a in range(weights.ndim) if a != axis))
        for root, size in zip(roots, sums.tolist(), strict=True):
            found[root] = found.get(root, 0.0) + size
    return found


def _made_along(node: gs.Node) -> int:
    """Return the axis of the weights of a layer along which what it makes lies."""
    if node.op == "Conv" or (node.op == "Gemm" and node.attrs.get("transB", 0)):
        return 0
    return 1


def _origins(found: Dependencies, given: Dependencies, sizes: Mapping[int, float]) -> Origins:
    """Return for channels of the target those of the source that they are."""
    origins: dict[int, int] = {}
    seen: set[int] = set()
    for name, roots in found.made.items():
        if name not in given.made or seen.intersection(roots):
            continue
        seen.update(roots)
        there = given.made[name]
        count = len(roots)
        if count < len(there):
            largest = sorted(range(len(there)), key=lambda place: (-sizes[there[place]], place))[:count]
            there = tuple(there[place] for place in sorted(largest))
        origins.update(zip(roots, there, strict=False))
    return origins


def _sites(channels: Dependencies) -> dict[tuple[str, int], dict[int, Ids]]:
    """Return (node, input) -> axis -> roots of the channels along it."""
    found: dict[tuple[str, int], dict[int, Ids]] = {}
    for site in channels.channels.sites:
        if isinstance(site, WeightCut):
            roots = channels.channels.roots(site.ids)
            found.setdefault((site.node, site.index), {})[site.axis] = roots
    return found


class _Places:
    """Where along axes of weights of the source the parts for those of the target lie; -1 for new ones."""

    def __init__(
        self,
        ours: Mapping[int, Ids],
        theirs: Mapping[int, Ids],
        found: Dependencies,
        given: Dependencies,
        origins: Origins,
    ) -> None:
        self._ours, self._theirs = ours, theirs
        self._made = {root for roots in given.made.values() for root in roots}
        self._known = {root for roots in found.made.values() for root in roots}
        self._origins = origins

    def along(self, axis: int, size: int, theirs: int, *, spatial: bool) -> Array | None:
        """Return int64 [size], or ``None`` where the two have nothing to do with each other."""
        if axis not in self._ours or axis not in self._theirs:
            if size == theirs:
                return np.arange(size)
            if not spatial:
                return None
            places = np.arange(size) - (size - 1) // 2 + (theirs - 1) // 2
            return np.where((places >= 0) & (places < theirs), places, -1)
        where: dict[int, list[int]] = {}
        for place, root in enumerate(self._theirs[axis].tolist()):
            where.setdefault(root, []).append(place)
        taken: dict[int, int] = {}
        found = np.full(size, -1, np.int64)
        for place, root in enumerate(self._ours[axis].tolist()):
            origin = self._origins.get(root)
            if origin is None:
                continue
            if origin not in where or taken.get(origin, 0) >= len(where[origin]):
                return None
            found[place] = where[origin][taken.get(origin, 0)]
            taken[origin] = taken.get(origin, 0) + 1
        return found if (found >= 0).any() else None


def _cut(node: gs.Node, index: int, source: Array, places: _Places) -> Array | None:
    """Return what an input of a layer becomes, or ``None`` if it cannot inherit."""
    own = np.array(node.inputs[index].values, np.float32)
    source = np.asarray(source, np.float32)
    if own.ndim != source.ndim:
        return None
    made_along = _made_along(node) if own.ndim > 1 else own.ndim - 1
    along = []
    for axis, (size, theirs) in enumerate(zip(own.shape, source.shape, strict=True)):
        spatial = node.op == "Conv" and axis > 1
        found = places.along(axis, size, theirs, spatial=spatial)
        if found is None:
            return None
        along.append(found)
    old = [found >= 0 for found in along]
    own[
        np.ix_(*(mask if axis == made_along else np.full(len(mask), True) for axis, mask in enumerate(old)))
    ] = 0
    own[np.ix_(*old)] = source[np.ix_(*(found[mask] for found, mask in zip(along, old, strict=True)))]
    return own


def _silence(target: gs.Graph, theirs: Mapping[str, gs.Node]) -> None:
    """Let blocks that the source does not have add nothing to what goes around them."""
    for node in target.nodes:
        if node.op != "Add" or node.name in theirs:
            continue
        writers = [tensor.inputs[0] for tensor in node.inputs if tensor.inputs]
        new = [n for n in writers if n.op in FLOAT_LINEAR and n.name not in theirs]
        if len(new) == 1 and len(writers) == len(node.inputs):
            for tensor in new[0].inputs[1:]:
                tensor.values = np.zeros(shape_of(tensor), np.float32)


def nearest(values: Mapping[str, float], others: Sequence[Mapping[str, float]]) -> int:
    """Return which of ``others`` is nearest: values of genes of one family each.

    Distances are those of logarithms of the genes, added up; of several as near the first, so the caller's
    order decides.

    Raises:
        ValueError: There are none.
    """
    if not others:
        raise ValueError("there is no sibling")

    def distance(number: int) -> float:
        other = others[number]
        return sum(abs(math.log(value / other[name])) for name, value in values.items())

    return min(range(len(others)), key=lambda number: (distance(number), number))
