"""Groups of layers that run row by row, where that pays; every other layer whole, one after another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from targets.network.layer import Layer
from targets.network.workload import Workload
from targets.objective import Objective
from targets.schedule.freedom import Freedom
from targets.schedule.network import ALL_HELD, Network
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import LayerChoice, NoOptionError, Plan, Segment, cut_tiles, place_segment
from targets.schedule.result import Move, Run, Schedule
from targets.schedule.search.candidates import Candidates, single
from targets.schedule.search.fusion import runs as stretches
from targets.schedule.search.fusion import tile_counts
from targets.schedule.state import State
from targets.schedule.tiles import WHOLE, Cut, Tile, cuttable

# Beginnings of a plan that are kept at each position of the order.
BEGINNINGS = 4
# Tiles of a group that are still worth their scheduling time.
MOST_TILES = 1000

ALONE = Freedom(split=False, fuse=False, hold=False, rows=True)


class RowModel(Protocol):
    """What a target tells of groups of layers that run row by row."""

    @property
    def caution(self) -> str:
        """What users should know of figures with rows, as a sentence without a full stop."""

    def network(self, workload: Workload) -> Network:
        """Return ``workload`` as it is scheduled: layers with all held run as rows, with nothing held whole.

        Nothing runs or moves beside a layer that runs whole.
        """

    def together(self, layers: Sequence[Layer]) -> bool:
        """Whether what stays in the cores for all of ``layers`` does so at once."""

    def energy_pj(self, runs: Sequence[Run], moves: Sequence[Move]) -> float:
        """Return the energy of what runs and moves, side by side as it is."""

    def settled(self, schedule: Schedule) -> Schedule:
        """Return ``schedule`` with that energy, shared among its runs."""


class _Beginning(NamedTuple):
    """A plan up to some layer.

    Attributes:
        counted: What the stages that are over add to the expected cost.
    """

    cycles: int
    energy_pj: float
    counted: float
    stage: int
    plan: Plan
    state: State


class _Taken(NamedTuple):
    """What a step of a plan takes, and the state behind it."""

    cycles: int
    energy_pj: float
    state: State


class RowSearch:
    """Finds which layers run row by row, and how high their tiles are, for the least expected cost.

    A plan is a path over the positions of the order, each step a layer alone or a group. What a step takes is
    that of the step on its own, because nothing runs beside it but what it fetches ahead.

    Args:
        model: How rows run.
        network: As ``model`` tells it.
        objective: What is minimised.
        ratios: Share of inputs that leave at each exit.
    """

    def __init__(
        self, model: RowModel, network: Network, objective: Objective, ratios: Sequence[float]
    ) -> None:
        self._model, self._network = model, network
        self._objective, self._ratios = objective, ratios
        self._candidates = Candidates(network, ALONE)
        self._work: dict[tuple[int, LayerChoice], int] = {}

    def best(self) -> Plan | None:
        """Return the best plan found; ``None`` where no way leads to the last layer."""
        order = self._network.order
        groups = stretches(self._network)
        try:
            first = State(self._network)
        except NoRoomError:
            return None
        at: list[list[_Beginning]] = [[] for _ in range(len(order) + 1)]
        at[0] = [_Beginning(0, 0.0, 0.0, 0, (), first)]
        for position, index in enumerate(order):
            kept = self._kept(at[position])
            if not kept:
                continue
            for segment, taken in self._steps(kept[0].state, position, index, groups.get(position, [])):
                cycles, energy_pj, state = taken
                at[position + len(segment.layers)] += [
                    self._extended(before, segment, cycles, energy_pj, state) for before in kept
                ]
        ends = at[-1]
        return min(ends, key=self._value).plan if ends else None

    def _steps(
        self, before: State, position: int, index: int, ends: Sequence[int]
    ) -> Iterator[tuple[Segment, _Taken]]:
        """Yield the steps from ``position`` with what they take, groups in all heights of tiles worth it.

        Finer tiles are more work: they are left out where the busiest core takes as long as coarser ones.
        """
        for choice in self._candidates.whole(index):
            segment = single(index, choice)
            if taken := self._taken(before, segment):
                yield segment, taken
        for end in ends:
            layers = self._network.order[position:end]
            if not self._model.together([self._network.layer(i) for i in layers]):
                continue
            least: float = math.inf
            for count in (1, *reversed(tile_counts(self._network, layers, MOST_TILES))):
                group = self._group(layers, count)
                if group is None or self._busiest_cycles(group) >= least:
                    continue
                if taken := self._taken(before, group):
                    least = min(least, taken.cycles)
                    yield group, taken

    def _busiest_cycles(self, group: Segment) -> int:
        """Return how long the core works that has most to do for a group."""
        work: dict[str, int] = {}
        for index, choice in zip(group.layers, group.choices, strict=True):
            key = (index, choice)
            if key not in self._work:
                self._work[key] = sum(
                    self._candidates.cost(index, choice, n).latency_cycles for n in range(choice.cut.parts)
                )
            work[choice.cores[0]] = work.get(choice.cores[0], 0) + self._work[key]
        return max(work.values())

    def _group(self, layers: Sequence[int], count: int) -> Segment | None:
        """Return a group cut into ``count`` tiles, each layer on the last core that takes it."""
        choices = []
        for index in layers:
            layer = self._network.layer(index)
            cut = Cut("OY", min(count, cuttable(layer, "OY"))) if count > 1 else WHOLE
            cores = self._network.costs.cores(layer)
            tile = cut_tiles(layer, cut)[0]
            fitting = [core for core in cores if self._runs(index, tile, core)]
            if not fitting:
                return None
            choices.append(LayerChoice((fitting[-1],) * cut.parts, cut))
        return Segment(tuple(layers), tuple(choices))

    def _runs(self, index: int, tile: Tile, core: str) -> bool:
        fits = self._candidates.fits(index, tile, core, ALL_HELD)
        return fits and self._candidates.option(tile, core, ALL_HELD) is not None

    def _taken(self, before: State, segment: Segment) -> _Taken | None:
        """Return what a step adds, and the state behind it; ``None`` where it does not fit."""
        state = before.copy()
        try:
            place_segment(state, segment)
        except (NoRoomError, NoOptionError):
            return None
        runs = list(state.runs)[len(list(before.runs)) :]
        moves = list(state.moves)[len(list(before.moves)) :]
        return _Taken(state.end - before.end, self._model.energy_pj(runs, moves), state)

    def _extended(
        self, before: _Beginning, segment: Segment, cycles: int, energy_pj: float, state: State
    ) -> _Beginning:
        stage = self._network.stage_of[segment.layers[0]]
        over = range(before.stage, stage)
        counted = before.counted + sum(self._cost(before, self._ratios[s]) for s in over)
        return _Beginning(
            before.cycles + cycles,
            before.energy_pj + energy_pj,
            counted,
            stage,
            (*before.plan, segment),
            state,
        )

    def _cost(self, beginning: _Beginning, share: float) -> float:
        return self._objective.value(beginning.energy_pj, float(beginning.cycles), share)

    def _value(self, beginning: _Beginning) -> float:
        """Return the expected cost if all that goes on left here."""
        return beginning.counted + self._cost(beginning, sum(self._ratios[beginning.stage :]))

    def _kept(self, beginnings: Sequence[_Beginning]) -> list[_Beginning]:
        """Return the best of those of which no other is better in all."""
        found: list[_Beginning] = []
        for one in sorted(beginnings, key=self._value):
            better = (o[0] <= one[0] and o[1] <= one[1] and o[2] <= one[2] for o in found)
            if not any(better):
                found.append(one)
        return found[:BEGINNINGS]
