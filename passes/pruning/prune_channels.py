"""The prune-channels pass: a network without some of its channels, and its text form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.errors import InputError, did_you_mean
from passes.pruning.channels import WeightCut
from passes.pruning.groups import ChannelGroup, Dependencies, find_groups
from passes.pruning.remove import remove_channels
from passes.state import decline, state_of

_REMOVE = re.compile(r"(.+)/(\d+):(\d+(?:-\d+)?(?::\d+(?:-\d+)?)*)")
_KEEP = re.compile(r"(.+):(\d+)")


@dataclass(frozen=True)
class PruneChannels(Pass):
    """Take channels out of a network, and with them all that reads or makes them.

    1. Channels that can only go together are found first: of layers that an Add or a Mul joins, of a
       depthwise Conv and what it reads, at the same place of each group of a grouped one. They are called by
       the first layer that makes them. The network should be in canonical form.
    2. ``remove``: those at the places listed, ``conv_3/32:0:4-7`` of 32. Where as many as that are gone
       already, nothing happens.
    3. ``keep``: as many as ``conv_3:24`` stay; those whose weights are least go.
    4. Shapes, sizes of parts and groups are made to fit. Inputs, what the outputs hold, and what an operator
       reads that is not understood stays, with the reason.
    """

    name: ClassVar[str] = "prune-channels"
    remove: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    def requires(self, graph: gs.Graph) -> None:
        """A network that is not quantized: grids were found for the channels there were."""
        if state_of(graph).grids or any(node.op == "QuantizeLinear" for node in graph.nodes):
            raise self.broken(graph, "the network has integer grids", "prune before `quantize`")

    def run(self, graph: gs.Graph) -> bool:
        """Remove what was asked for."""
        found = find_groups(graph)
        for name, why in found.kept.items():
            decline(graph, self.name, name, f"channels stay: {why}")
        gone: set[int] = set()
        for text in self.remove:
            gone |= set(_removed(found, text))
        for text in self.keep:
            gone |= set(_surplus(graph, found, text))
        return remove_channels(graph, found, gone)


def removal(group: ChannelGroup, units: Iterable[int]) -> str:
    """Return the text that says in ``remove`` that ``units`` of ``group`` go."""
    places = sorted(group.units.index(unit) for unit in units)
    runs: list[list[int]] = []
    for place in places:
        if runs and runs[-1][1] == place - 1:
            runs[-1][1] = place
        else:
            runs.append([place, place])
    listed = [str(a) if a == b else f"{a}-{b}" for a, b in runs]
    return f"{group.name}/{len(group)}:" + ":".join(listed)


def magnitudes(graph: gs.Graph, found: Dependencies) -> dict[int, float]:
    """Return the sum of squares of the weights that make each channel, by its root."""
    nodes = {node.name: node for node in graph.nodes}
    sums: dict[int, float] = {}
    for site in found.channels.sites:
        if not (
            isinstance(site, WeightCut) and site.index == 1 and site.ids is found.channels.made.get(site.node)
        ):
            continue
        values = np.asarray(nodes[site.node].inputs[1].values, np.float64)
        squares = np.square(values).sum(axis=tuple(a for a in range(values.ndim) if a != site.axis))
        for root, square in zip(found.channels.roots(site.ids).tolist(), squares.tolist(), strict=True):
            sums[root] = sums.get(root, 0.0) + square
    return sums


def _removed(found: Dependencies, text: str) -> Sequence[int]:
    match = _REMOVE.fullmatch(text)
    if match is None:
        raise InputError(
            f"`remove` cannot be '{text}'", "say of how many which go: conv_3/32:0:4-7 removes 5 of 32"
        )
    group = _group(found, match[1], "remove")
    places: set[int] = set()
    for part in match[3].split(":"):
        first, _, last = part.partition("-")
        places |= set(range(int(first), int(last or first) + 1))
    count = int(match[2])
    if not places or max(places) >= count or len(places) >= count:
        raise InputError(
            f"`remove` {text}: of {count} channels these cannot go", "count from 0, and leave one at least"
        )
    if len(group) == count - len(places):
        return ()
    if len(group) != count:
        raise InputError(
            f"`remove` {text}: '{group.name}' has {len(group)} channels that may go, not {count}",
            "take the text for this network",
        )
    return [group.units[place] for place in places]


def _surplus(graph: gs.Graph, found: Dependencies, text: str) -> Sequence[int]:
    match = _KEEP.fullmatch(text)
    if match is None or int(match[2]) < 1:
        raise InputError(f"`keep` cannot be '{text}'", "say how many stay, 1 at least: conv_3:24")
    group = _group(found, match[1], "keep")
    sizes = magnitudes(graph, found)
    ranked = sorted(group.units, key=lambda unit: (sizes[unit], unit))
    return ranked[: max(0, len(group) - int(match[2]))]


def _group(found: Dependencies, name: str, option: str) -> ChannelGroup:
    group = found.group(name)
    if group is None:
        why = next(
            (found.kept[n] for n, short in found.short.items() if name in (n, short) and n in found.kept),
            None,
        )
        names = [group.name for group in found.groups]
        hint = did_you_mean(name, names) if names else "no channels of this network may go"
        raise InputError(
            f"`{option}`: '{name}' has no channels that may go" + (f": {why}" if why else ""), hint
        )
    return group
