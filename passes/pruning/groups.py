"""Channels that can only go together, found over a whole network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from passes.model.graph import reads
from passes.operator_sets import ACTIVATIONS, ELEMENTWISE, POOLS, RESHAPES
from passes.pruning import follow_layers, follow_moves, follow_values
from passes.pruning.channels import Channels

Follow = Callable[[Channels, gs.Node], str | None]
# What computes each value from one value, beside activations.
_UNARY = frozenset({
    "Abs", "Cast", "Ceil", "Dropout", "Erf", "Exp", "Floor", "Identity", "Log", "Neg", "Reciprocal", "Round",
    "Sign", "Sqrt",
})  # fmt: skip
_REDUCTIONS = ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceProd")
# Those that make channels, so that they are followed whatever they read.
MAKERS: Mapping[str, Follow] = {
    "Conv": follow_layers.conv,
    "ConvTranspose": follow_layers.conv_transpose,
    "Gemm": follow_layers.gemm,
    "MatMul": follow_layers.matmul,
}
_RULES: Mapping[str, Follow] = {
    **MAKERS,
    **dict.fromkeys(sorted((ACTIVATIONS | _UNARY) - {"PRelu"}), follow_values.unary),
    **dict.fromkeys(sorted(ELEMENTWISE | {"Sum"}), follow_values.elementwise),
    **dict.fromkeys(sorted(POOLS), follow_values.pool),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization"), follow_values.normalization),
    **dict.fromkeys(("Softmax", "LogSoftmax", "LayerNormalization"), follow_values.over_axis),
    **dict.fromkeys(_REDUCTIONS, follow_values.reduction),
    "Pad": follow_values.pad,
    "Resize": follow_values.resize,
    "Transpose": follow_moves.transpose,
    **dict.fromkeys(sorted(RESHAPES), follow_moves.view),
    "Concat": follow_moves.concat,
    "Split": follow_moves.split,
    "Slice": follow_moves.selection,
    "Gather": follow_moves.selection,
}


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that are made by the same layers and read at the same places, so that any of them may go.

    Attributes:
        name: Short name of the first layer that makes them: ``conv_3`` is the fourth Conv of the network.
        makers: Names of all nodes that make them: those that an Add joins make some together.
        units: Roots of the channels. A unit is what goes at once: several channels where layers have groups.
    """

    name: str
    makers: tuple[str, ...]
    units: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.units)


@dataclass(frozen=True)
class Dependencies:
    """The channels of a network.

    Attributes:
        groups: Those that may go, in the order of the network.
        kept: Name of a node -> why some or all of the channels that it makes must stay.
        made: Name of a node -> roots of the channels that it makes, in the order of its outputs.
        short: Name of a node -> its short name.
        channels: How they were followed.
    """

    groups: tuple[ChannelGroup, ...]
    kept: Mapping[str, str]
    made: Mapping[str, tuple[int, ...]]
    short: Mapping[str, str]
    channels: Channels

    def group(self, name: str) -> ChannelGroup | None:
        """Return the group of this name, or that of the node of this name or short name, if it is one."""
        found = [group for group in self.groups if group.name == name]
        nodes = {node for node, short in self.short.items() if name in (node, short)}
        found = found or [group for group in self.groups if nodes.intersection(group.makers)]
        return found[0] if len(found) == 1 else None


def find_groups(graph: gs.Graph) -> Dependencies:
    """Return which channels of ``graph`` can go, and with which others.

    Inputs of the network and what its outputs hold always stay; so does all that an operator reads which is
    not understood, or weighs channels against each other.

    Args:
        graph: Flat, with static shapes; best in canonical form with normalizations folded.
    """
    channels = Channels()
    for node in graph.nodes:
        read = [t for t in reads(node) if t.name in channels.of]
        rule = _RULES.get(node.op, _unknown)
        if not read and node.op not in MAKERS:
            continue
        problem = rule(channels, node)
        if problem is not None:
            channels.freeze_tensors(read, problem)
            if node.op in MAKERS:
                channels.left[node.name] = problem
            for tensor in node.outputs:
                channels.of.pop(tensor.name, None)
    channels.freeze_tensors(graph.outputs, "they are what the network answers")
    return _grouped(channels, _short_names(graph))


def _short_names(graph: gs.Graph) -> dict[str, str]:
    counts: dict[str, int] = {}
    found: dict[str, str] = {}
    for node in (node for node in graph.nodes if node.op in MAKERS):
        number = counts.get(node.op, 0)
        counts[node.op] = number + 1
        found[node.name] = f"{node.op.lower()}_{number}"
    return found


def _unknown(channels: Channels, node: gs.Node) -> str:  # noqa: ARG001, one form for all rules
    return f"it is not known what {node.op} '{node.name}' does with channels"


def _grouped(channels: Channels, short: Mapping[str, str]) -> Dependencies:
    made = {name: tuple(channels.roots(ids).tolist()) for name, ids in channels.made.items()}
    makers: dict[int, dict[str, None]] = {}
    for name, roots in made.items():
        for root in roots:
            makers.setdefault(root, {})[name] = None
    places: dict[int, list[int]] = {}
    for number, site in enumerate(channels.sites):
        for root in np.unique(channels.roots(site.ids)).tolist():
            places.setdefault(root, []).append(number)
    alike: dict[tuple[int, ...], list[int]] = {}
    kept = dict(channels.left)
    for root, names in makers.items():
        why = channels.why(root)
        if why is None:
            alike.setdefault(tuple(places[root]), []).append(root)
        else:
            for name in names:
                kept.setdefault(name, why)
    groups: list[ChannelGroup] = []
    taken: set[str] = set()
    for units in alike.values():
        made_by = tuple(makers[units[0]])
        name = first = next((short[n] for n in made_by if short[n] not in taken), short[made_by[0]])
        number = 2
        while name in taken:
            name, number = f"{first}.{number}", number + 1
        taken.add(name)
        groups.append(ChannelGroup(name, made_by, tuple(units)))
    return Dependencies(tuple(groups), kept, made, short, channels)
