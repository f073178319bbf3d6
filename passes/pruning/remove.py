"""A network without some of its channels."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from passes.model.constants import is_symbolic
from passes.model.graph import infer_shapes
from passes.pruning.channels import Channels, Groups, Ids, Size, WeightCut, shape_of
from passes.pruning.groups import Dependencies
from passes.rewrite.names import Names

Array = NDArray[Any]


def remove_channels(graph: gs.Graph, found: Dependencies, units: Collection[int]) -> bool:
    """Take channels out of ``graph``, in place: of weights, of what stands per channel, of shapes.

    Names of nodes and tensors stay.

    Args:
        graph: What ``found`` was found in, or a copy.
        found: Its channels.
        units: Roots of those that go; of each group at least one has to stay.

    Returns:
        Whether anything went.

    Raises:
        ValueError: A unit of no group, or no unit of a group stays.
    """
    gone = set(units)
    if not gone:
        return False
    if gone - {unit for group in found.groups for unit in group.units}:
        raise ValueError("some of the channels cannot go")
    for group in found.groups:
        if gone.issuperset(group.units):
            raise ValueError(f"no channel of '{group.name}' would stay")
    _Removal(graph, found.channels, gone).run()
    infer_shapes(graph)
    return True


class _Removal:
    def __init__(self, graph: gs.Graph, channels: Channels, gone: set[int]) -> None:
        self._channels, self._gone = channels, np.array(sorted(gone))
        self._nodes = {node.name: node for node in graph.nodes}
        self._names = Names(graph)
        self._made: dict[tuple[str, bytes], gs.Constant] = {}

    def run(self) -> None:
        cuts: dict[tuple[str, int], list[WeightCut]] = {}
        sizes: dict[str, list[Size]] = {}
        for site in self._channels.sites:
            if self._stays(site.ids).all():
                continue
            if isinstance(site, WeightCut):
                cuts.setdefault((site.node, site.index), []).append(site)
            elif isinstance(site, Size):
                sizes.setdefault(site.node, []).append(site)
            elif isinstance(site, Groups):
                self._nodes[site.node].attrs["group"] = int(self._stays(site.ids).sum())
        for (name, index), of_input in cuts.items():
            self._cut(self._nodes[name], index, of_input)
        for name, of_node in sizes.items():
            self._resize(self._nodes[name], of_node)

    def _stays(self, ids: Ids) -> NDArray[np.bool_]:
        return ~np.isin(self._channels.roots(ids), self._gone)

    def _cut(self, node: gs.Node, index: int, cuts: Iterable[WeightCut]) -> None:
        old = node.inputs[index]
        values = old.values
        kept = [(cut.axis, np.flatnonzero(self._stays(cut.ids))) for cut in cuts]
        key = (old.name, b"|".join(f"{axis}".encode() + places.tobytes() for axis, places in kept))
        if key not in self._made:
            for axis, places in kept:
                if is_symbolic(values):
                    shape = [len(places) if a == axis else d for a, d in enumerate(values.shape)]
                    values = np.broadcast_to(np.ones((), values.dtype), shape)
                else:
                    values = np.ascontiguousarray(values.take(places, axis))
            self._made[key] = self._constant(old, values)
        node.inputs[index] = self._made[key]

    def _constant(self, old: gs.Constant, values: Array) -> gs.Constant:
        """Return a constant for one reader; it takes over the name where nobody else reads it."""
        if len(old.outputs) == 1:
            name, old.name = old.name, self._names.fresh(f"{old.name}_unpruned")
            return gs.Constant(name, values)
        return gs.Constant(self._names.fresh(f"{old.name}_pruned"), values)

    def _resize(self, node: gs.Node, sizes: Iterable[Size]) -> None:
        if node.op == "Split":
            axis = int(node.attrs.get("axis", 0))
            told = [shape_of(t)[axis] for t in node.outputs]
            node.attrs.pop("num_outputs", None)
        else:
            after = shape_of(node.outputs[0])
            old = [int(v) for v in np.asarray(node.inputs[1].values).ravel()]
            # 0 repeats what is read there, which may be fewer now; at the batch it is meant
            told = [after[entry] if v == 0 and entry else v for entry, v in enumerate(old)]
        for size in sizes:
            told[size.entry] = int(self._stays(size.ids).sum())
        if len(node.inputs) > 1:
            del node.inputs[1]
        node.inputs.append(gs.Constant(self._names.fresh(f"{node.name}_sizes"), np.array(told, np.int64)))
