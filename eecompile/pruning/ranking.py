"""Channels in the order in which they may go, and networks without the first of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from eecompile.pruning.plan import Counts, PrunableGroup
from passes.pruning.groups import Dependencies
from passes.pruning.prune_channels import removal
from passes.pruning.remove import remove_channels
from passes.state import copy_graph


@dataclass(frozen=True)
class Ranking:
    """The channels of a network in the order in which they may go.

    Attributes:
        graph: The network.
        found: Its channels.
        losses: Root of a channel -> what its removal adds to the loss.
    """

    graph: gs.Graph
    found: Dependencies
    losses: Mapping[int, float]

    def order(self, name: str) -> list[int]:
        """Return the units of a group, those that are missed least first; equal ones as they lie."""
        group = next(group for group in self.found.groups if group.name == name)
        return sorted(group.units, key=lambda unit: (self.losses[unit], group.units.index(unit)))

    @property
    def groups(self) -> list[PrunableGroup]:
        """The groups of more than one channel, as the plan sees them."""
        return [
            PrunableGroup(group.name, tuple(self.losses[unit] for unit in self.order(group.name)))
            for group in self.found.groups
            if len(group) > 1
        ]

    def texts(self, counts: Counts) -> tuple[str, ...]:
        """Return what `prune-channels` removes where so many channels stay."""
        found = {group.name: group for group in self.found.groups}
        gone = self.gone(counts)
        going = {name: [unit for unit in found[name].units if unit in gone] for name in counts}
        return tuple(removal(found[name], units) for name, units in going.items() if units)

    def gone(self, counts: Counts) -> set[int]:
        """Return the units that go where so many channels stay."""
        orders = {name: self.order(name) for name in counts}
        return {unit for name, count in counts.items() for unit in orders[name][: len(orders[name]) - count]}

    def shape(self, counts: Counts) -> gs.Graph:
        """Return a copy of the network with so many channels."""
        pruned = copy_graph(self.graph)
        remove_channels(pruned, self.found, self.gone(counts))
        return pruned
