"""A beam of partial schedules: layer by layer, the most promising are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from targets.schedule.machine import OUTER
from targets.schedule.network import has_weights, weights_name
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import LayerChoice, NoOptionError, Plan, Segment, place_segment
from targets.schedule.search.candidates import Candidates, single
from targets.schedule.search.estimate import Estimate
from targets.schedule.state import State
from targets.schedule.tiles import Cut

# Partial schedules kept per position, where the network is small enough.
WIDEST = 3
# Tiles placed: some 10,000 take a second.
BEAM_TILES = 3000


@dataclass(frozen=True)
class _Partial:
    state: State
    plan: Plan
    key: tuple[float, float]


class Beam:
    """Looks for a good plan.

    Args:
        candidates: Ways to run layers.
        estimate: Ranks partial schedules.
        split: Layers may be cut over cores.
        only: The one cut that is tried, wherever a layer has it.
    """

    def __init__(
        self, candidates: Candidates, estimate: Estimate, split: bool, only: Cut | None = None
    ) -> None:
        self.only = only
        self.candidates = candidates
        self.network = network = candidates.network
        self.estimate = estimate
        self.splits = {index: self._worthwhile(index, split) for index in network.order}
        tiles = sum(1 + sum(c.cut.parts for c in splits) for splits in self.splits.values())
        self.width = 1 if only else max(1, min(WIDEST, BEAM_TILES // max(1, tiles)))
        self._obstacle: NoRoomError | None = None

    def plan(self, start: State) -> tuple[Plan, State]:
        """Return the best plan found and its schedule, the last stage not ended.

        Raises:
            NoRoomError: At some layer no way fits the memories.
        """
        order = self.network.order
        beams: list[list[_Partial]] = [[] for _ in range(len(order) + 1)]
        beams[0] = [_Partial(start, (), (0.0, 0.0))]
        for position in range(len(order)):
            kept = self._kept(beams[position])
            beams[position] = []
            for partial in kept:
                for segment in self._segments(partial.state, position):
                    beams[position + 1] += self._grown(partial, segment)
        if not beams[-1]:
            raise self._obstacle or NoRoomError("", 0, self.network.layer(order[0]).name, 0)
        best = self._kept(beams[-1])[0]
        return best.plan, best.state

    def _kept(self, partials: list[_Partial]) -> list[_Partial]:
        return sorted(partials, key=lambda partial: partial.key)[: self.width]

    def _grown(self, partial: _Partial, segment: Segment) -> Iterator[_Partial]:
        """Yield the schedule with one more segment, if there is room and every tile has a mapping."""
        state = partial.state.copy()
        try:
            place_segment(state, segment)
        except NoOptionError:
            return
        except NoRoomError as error:
            self._obstacle = error
            return
        reached = self.network.position[segment.layers[-1]] + 1
        key = self.estimate.partial(state, reached), state.energy_pj
        yield _Partial(state, (*partial.plan, segment), key)

    def _segments(self, state: State, position: int) -> Iterator[Segment]:
        """Yield what may be placed next."""
        index = self.network.order[position]
        fixed = [choice for choice in self.splits[index] if choice.cut == self.only]
        if fixed:
            yield from (single(index, choice) for choice in fixed)
            return
        for choice in self.candidates.whole(index):
            group = next(g for g in self.candidates.groups(index) if choice.cores[0] in g)
            for core in self._promising(state, index, group):
                yield single(index, choice._replace(cores=(core,)))
        for choice in self.splits[index]:
            yield single(index, choice)

    def _promising(self, state: State, index: int, group: tuple[str, ...]) -> list[str]:
        """Return of alike cores the one that is free first and the one with most of the inputs."""
        if len(group) == 1:
            return list(group)
        near: dict[str, int] = dict.fromkeys(group, 0)
        for operand in self.network.layer(index).inputs:
            for copy in state.copies.of(operand.name):
                for core in group:
                    if copy.store == self.network.machine.store_of(core, "I"):
                        near[core] += copy.region.cells
        free = {core: state.resources[core].last_end for core in group}
        first = min(group, key=lambda core: (free[core], -near[core], core))
        nearest = min(group, key=lambda core: (-near[core], free[core], core))
        return list(dict.fromkeys((nearest, first)))

    def _worthwhile(self, index: int, split: bool) -> tuple[LayerChoice, ...]:
        """Return the splits of a layer the beam tries: all in small networks, else the most promising."""
        if not split and self.candidates.whole(index):
            return ()
        splits = self.candidates.split(index)
        if self.only is not None and self.candidates.whole(index):
            return tuple(choice for choice in splits if choice.cut == self.only)
        allowance = BEAM_TILES // 2 // len(self.network.order)
        found: list[LayerChoice] = []
        for choice in sorted(splits, key=lambda c: (self._duration(index, c), c.cut.parts, c.cut.axis)):
            if choice.cut.parts <= allowance or not (found or self.candidates.whole(index)):
                found.append(choice)
                allowance -= choice.cut.parts
        return tuple(found)

    def _duration(self, index: int, choice: LayerChoice) -> float:
        """Return about how long a split layer takes: its cores, or fetching the weights for each of them."""
        machine, layer = self.network.machine, self.network.layer(index)
        turns = -(-choice.cut.parts // len(set(choice.cores)))
        cycles = turns * self.candidates.cost(index, choice, 0).latency_cycles
        routes = machine.routes.get((OUTER, machine.store_of(choice.cores[0], "W")), ())
        if not has_weights(layer) or not routes:
            return cycles
        extent = self.network.extents[weights_name(layer)]
        times = len(set(choice.cores)) if choice.cut.axis == "OY" else 1
        return max(cycles, times * extent.bits_of(extent.whole) / routes[0].bandwidth_bits_per_cycle)
