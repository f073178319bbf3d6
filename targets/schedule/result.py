"""A schedule: what runs and moves when, and what lies where meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from targets.cost.layer_cost import LayerCost
from targets.schedule.network import Held, Read
from targets.schedule.regions import Region

Uses = tuple[tuple[str, float], ...]
Purpose = Literal["weights", "input", "activations", "spill", "output"]


class Run(NamedTuple):
    """A tile at work.

    Attributes:
        name: Unique name of the tile.
        layer: Index in the workload.
        core: Where.
        start: First cycle.
        end: First cycle after it.
        stage: The exit path it belongs to.
        uses: Resources it takes meanwhile.
        cost: What it costs; its latency is ``end - start``.
        held: Operands whose whole tensors lie in the stores of the core.
        reads: What it reads, weights left out.
        weights: Output channels whose weights it reads; ``None`` without weights.
        output: Part of the first output it writes.
        cut: Number and count of the tile.
    """

    name: str
    layer: int
    core: str
    start: int
    end: int
    stage: int
    uses: Uses
    cost: LayerCost
    held: Held
    reads: tuple[Read, ...]
    weights: Region | None
    output: Region
    cut: tuple[int, int]


class Move(NamedTuple):
    """A part of a tensor on its way between stores.

    Attributes:
        layer: Index of the layer it is for: the one that reads, or that wrote what leaves.
        read_pj: Energy of reading the source.
        wire_pj: Energy of the links.
        write_pj: Energy of writing the destination.
    """

    tensor: str
    region: Region
    source: str
    destination: str
    start: int
    end: int
    stage: int
    uses: Uses
    bits: int
    layer: int
    purpose: Purpose
    read_pj: float
    wire_pj: float
    write_pj: float

    @property
    def energy_pj(self) -> float:
        """Energy of all of it."""
        return self.read_pj + self.wire_pj + self.write_pj

    def at_energy(self, scale: float) -> Move:
        """Return the move where every energy is ``scale`` times as large."""
        return self._replace(
            read_pj=self.read_pj * scale, wire_pj=self.wire_pj * scale, write_pj=self.write_pj * scale
        )


class Stay(NamedTuple):
    """Data, or room kept for it, in a store from ``start`` up to ``end``; ``None`` is for good."""

    store: str
    tensor: str
    region: Region
    bits: int
    start: int
    end: int | None


@dataclass(frozen=True)
class Schedule:
    """Runs and moves by start, stays by store and start.

    Attributes:
        stage_end_cycles: When everything an exit path needs is over, per exit.
        resident: Names of weights that stay on chip between inferences.
        speculative: Exits behind which the next stage starts while the head decides.
    """

    runs: tuple[Run, ...]
    moves: tuple[Move, ...]
    stays: tuple[Stay, ...]
    stage_names: tuple[str, ...]
    stage_end_cycles: tuple[int, ...]
    resident: frozenset[str] = frozenset()
    speculative: frozenset[int] = frozenset()

    @property
    def latency_cycles(self) -> int:
        """When all is over."""
        return max(self.stage_end_cycles, default=0)

    @property
    def energy_pj(self) -> float:
        """Energy of all runs and moves."""
        return sum(run.cost.energy_pj for run in self.runs) + sum(move.energy_pj for move in self.moves)

    def at_energy(self, scale: float) -> Schedule:
        """Return the schedule where every energy is ``scale`` times as large."""
        if scale == 1.0:
            return self
        runs = tuple(run._replace(cost=run.cost.at_energy(scale)) for run in self.runs)
        return replace(self, runs=runs, moves=tuple(move.at_energy(scale) for move in self.moves))

    def energy_until(self, stage: int) -> float:
        """Return the energy of an exit path: of all runs and moves of stages up to ``stage``."""
        runs = sum(run.cost.energy_pj for run in self.runs if run.stage <= stage)
        return runs + sum(move.energy_pj for move in self.moves if move.stage <= stage)

    def wasted_pj(self, stage: int) -> float:
        """Return the energy of what later stages have begun when the decision at an exit is taken."""
        decided = self.stage_end_cycles[stage]
        runs = sum((r.cost.energy_pj for r in self.runs if r.stage > stage and r.start < decided), 0.0)
        return runs + sum(m.energy_pj for m in self.moves if m.stage > stage and m.start < decided)
