"""What stages and heads of a supernet cost, so that the cost of every network in it is a sum.

Schedules of networks with one exit each, and those that it reads, say it: the way to a mount, and what a head
adds. On targets whose layers run whole and one after the other the sums are exact; elsewhere layers of a
network win or lose from each other, and what is found is scheduled again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.exits.additive_costs import AdditiveCosts
from eecompile.exits.subset_costs import SubsetCosts
from eecompile.search.backbones.final_head import FinalHead, split_finals
from passes.exits.chain import keep_exits
from passes.state import state_of
from targets.evaluation.paths import Cost
from targets.evaluation.report import CostReport
from targets.schedule.machine import OUTER

Float64 = NDArray[np.float64]
EDP, LATENCY, ENERGY, MACS = "edp", "latency", "energy", "macs"
_J_PER_PJ = 1e-12


@dataclass(frozen=True)
class PartCosts:
    """Costs of the parts of a supernet.

    Attributes:
        mounts: Of each early exit the number of its mount, not falling.
        figures: edp (J·cycles), latency (cycles), energy (pJ) and macs, as sums over the parts.
        statics: Of the network without early exits, with each final head.
        memory: Bytes that lie in all stores of the chip together at most: of the network with each exit, what
            that reads, and the final head that needs least. Of several exits it is taken to be the largest
            of theirs.
        final_memory: The same of the network without early exits, with each final head.
    """

    mounts: tuple[int, ...]
    figures: dict[str, AdditiveCosts]
    statics: tuple[Cost, ...]
    memory: tuple[float, ...]
    final_memory: tuple[float, ...]

    @property
    def static(self) -> Cost:
        """Of the network without early exits, with the first final head."""
        return self.statics[0]

    def memory_of(self, kept: Sequence[int], final: int = 0) -> float:
        """Return the bytes that a network with some of the exits needs."""
        return max((self.final_memory[final], *(self.memory[k] for k in kept)))

    @property
    def worst(self) -> dict[str, float]:
        """What of each figure the networks without early exits cost at most, as it stands in files."""
        figures = [cost_figures(cost) for cost in self.statics]
        return {key: max(found[key] for found in figures) for key in figures[0]}

    def to_json(self) -> dict[str, Any]:
        """Return it as the cache keeps it."""
        parts = {
            name: [part.tolist() for part in (costs.stages, costs.heads, costs.finals)]
            for name, costs in self.figures.items()
        }
        return {
            "mounts": list(self.mounts),
            "figures": parts,
            "statics": [asdict(cost) for cost in self.statics],
            "memory": list(self.memory),
            "final_memory": list(self.final_memory),
        }

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> PartCosts:
        """Return what :meth:`to_json` wrote."""
        figures = {
            name: AdditiveCosts(*(np.array(part, np.float64) for part in parts))
            for name, parts in found["figures"].items()
        }
        statics = tuple(Cost(**cost) for cost in found["statics"])
        memory, final_memory = tuple(found["memory"]), tuple(found["final_memory"])
        return PartCosts(tuple(found["mounts"]), figures, statics, memory, final_memory)


def cost_figures(cost: Cost) -> dict[str, float]:
    """Return a cost as it stands in files; in seconds too, where there is a clock."""
    found = {
        "edp_j_cycles": cost.edp_j_cycles,
        "energy_pj": cost.energy_pj,
        "latency_cycles": cost.latency_cycles,
        "macs": cost.macs,
    }
    in_seconds = {"edp_js": cost.edp_js, "latency_s": cost.latency_s}
    return found | {key: value for key, value in in_seconds.items() if value is not None}


def expected_figures(report: CostReport, ratios: Sequence[float]) -> dict[str, float]:
    """Return what a network costs as it stands in files: on average, and for an image that leaves last.

    Args:
        report: Of its schedule.
        ratios: Share of the images that leave at each exit, the final one last.
    """
    found = cost_figures(Cost.mean([path.cost for path in report.exits], ratios))
    found["worst_latency_cycles"] = float(report.total.latency_cycles)
    if report.total.latency_s is not None:
        found["worst_latency_s"] = report.total.latency_s
    return found


def part_costs(
    graph: gs.Graph, cost: Callable[[gs.Graph], CostReport], final_heads: Sequence[FinalHead] = (None,)
) -> PartCosts:
    """Return what the parts of a supernet cost.

    Args:
        graph: The network with all exits.
        cost: Schedules a network.
        final_heads: Those among its exits.

    Raises:
        NoSolutionError: The target cannot run one of them.
    """
    exits, closing = split_finals(state_of(graph).exits, final_heads)
    tensors = list(dict.fromkeys(item.mount for item in exits))
    mounts = tuple(tensors.index(item.mount) for item in exits)
    closed = [cost(keep_exits(graph, [], item.name)) for item in closing]
    final_memory, statics = [peak_bytes(report) for report in closed], [report.total for report in closed]
    least = closing[int(np.argmin(final_memory))]
    names = [item.name for item in exits]
    network = keep_exits(graph, names, least.name)
    reads = [names.index(item.reads) if item.reads else None for item in exits]
    costs = SubsetCosts(network, reads, lambda some, _ratios, _speculate: cost(some))
    memory = []
    wholes = np.array([_amounts(total) for total in statics])
    whole = _amounts(costs.of(()).total)
    heads, ways = np.zeros((len(exits), 3)), np.zeros((len(exits), 3))
    for k in range(len(exits)):
        chain = costs.with_read(k)
        alone, total = (_amounts(path.cost) for path in costs.of(chain).exits[-2:])
        memory.append(peak_bytes(costs.of(chain)))
        before = heads[list(chain[:-1])].sum(axis=0)
        heads[k] = np.maximum(total - whole - before, 0.0)
        ways[k] = np.maximum(alone - heads[k] - before, 0.0)
    reached = np.zeros((len(tensors) + 1, 3))
    for number in range(len(tensors)):
        reached[number] = ways[[k for k, at in enumerate(mounts) if at == number]].min(axis=0)
    reached[-1] = wholes.min(axis=0)  # with as much of a final head as all have
    reached = np.minimum(np.maximum.accumulate(reached, axis=0), reached[-1])
    stages = np.diff(reached, axis=0, prepend=0.0)
    finals = wholes - reached[-1]

    def summed(*columns: int, scale: float = 1.0) -> AdditiveCosts:
        scales = np.array([scale] + [1.0] * (len(columns) - 1))
        parts = [part[:, columns] * scales for part in (stages, heads, finals)]
        return AdditiveCosts(*(part.reshape(len(part), len(columns)) for part in parts))

    return PartCosts(
        mounts,
        {
            MACS: summed(0),
            LATENCY: summed(1),
            ENERGY: summed(2),
            EDP: summed(2, 1, scale=_J_PER_PJ),
        },
        tuple(statics),
        tuple(memory),
        tuple(final_memory),
    )


def _amounts(cost: Cost) -> Float64:
    return np.array([cost.macs, cost.latency_cycles, cost.energy_pj], np.float64)


def peak_bytes(report: CostReport) -> float:
    """Return the bytes that lie in the stores of the chip at most, each at its own worst moment."""
    stores = report.schedule.memories.items()
    return sum(profile.peak_bits for name, profile in stores if name != OUTER) / 8
