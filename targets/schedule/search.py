"""The default scheduler: list scheduling with a beam of partial schedules, then local search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from targets.schedule.candidates import Candidates, single
from targets.schedule.fusion import PATTERNS, fused, runs, tile_counts
from targets.schedule.improve import BUDGET_TILES, Improver
from targets.schedule.jobs import Network
from targets.schedule.objective import expected
from targets.schedule.plan import NoOptionError, Plan, Resident, Segment, place_segment
from targets.schedule.state import NoRoomError, State

# Partial schedules kept per position.
BEAM = 3


@dataclass(frozen=True)
class _Partial:
    state: State
    plan: Plan


class Search:
    """Looks for the plan with the least expected cost."""

    def __init__(
        self,
        candidates: Candidates,
        objective: str,
        ratios: Sequence[float],
        resident: Resident | None = None,
        beam: int = BEAM,
        budget_tiles: int = BUDGET_TILES,
    ) -> None:
        network = candidates.network
        self.candidates = candidates
        self.network = network
        self.freedom = candidates.freedom
        self.resident = resident
        self.budget_tiles = budget_tiles
        self._obstacle: NoRoomError | None = None
        self.objective = objective
        self.ratios = ratios
        self.beam = beam
        self.runs = runs(network)
        # By the position where groups end, into how many tiles and in which pattern the longest is best cut.
        self._best_way: dict[int, tuple[int, str]] = {}
        self.tail = self._tails()
        self.rest_pj, self.rest_cycles = self._rests()

    def _cheapest(self, index: int) -> tuple[int, float]:
        found = [self.candidates.cost(index, c, 0) for c in self.candidates.whole(index)]
        return (
            min((c.latency_cycles for c in found), default=0),
            min((c.energy_pj for c in found), default=0.0),
        )

    def _tails(self) -> dict[int, int]:
        """Return the least cycles from the start of each layer to the end of its stage."""
        network = self.network
        tail: dict[int, int] = {}
        for index in reversed(network.order):
            after = [
                tail[r]
                for t in network.layer(index).outputs
                for r in network.consumers.get(t.name, ())
                if network.stage_of[r] == network.stage_of[index]
            ]
            tail[index] = self._cheapest(index)[0] + max(after, default=0)
        return tail

    def _rests(self) -> tuple[list[float], list[int]]:
        """Return the least energy behind each position of the order, and the least cycles of later stages."""
        order, stage_of = self.network.order, self.network.stage_of
        energy = [0.0] * (len(order) + 1)
        for position in range(len(order) - 1, -1, -1):
            energy[position] = energy[position + 1] + self._cheapest(order[position])[1]
        longest: dict[int, int] = {}
        for index in order:
            longest[stage_of[index]] = max(longest.get(stage_of[index], 0), self.tail[index])
        later = [0] * (len(order) + 1)
        for position, index in enumerate(order):
            later[position] = sum(c for stage, c in longest.items() if stage > stage_of[index])
        return energy, later

    def estimate(self, state: State, position: int) -> float:
        """Return what a partial schedule is likely to end at, for ranking."""
        network = self.network
        cycles = state.end
        if position < len(network.order):
            stage = network.stage_of[network.order[position]]
            begin = state.floor if len(state.stage_ends) >= stage else state.end
            for index in network.order[position:]:
                if network.stage_of[index] > stage:
                    break
                ready = begin
                for operand in network.layer(index).inputs:
                    for copy in state.copies.of(operand.name):
                        ready = max(ready, copy.ready)
                cycles = max(cycles, ready + self.tail[index])
            cycles += self.rest_cycles[position]
        if self.objective == "latency":
            return float(cycles)
        energy = state.energy_pj + self.rest_pj[position]
        return energy if self.objective == "energy" else energy * cycles

    def value(self, state: State) -> float:
        """Return the expected cost of a complete schedule."""
        energies = state.stage_energies
        return expected(self.objective, self.ratios, state.stage_ends, energies)

    def run(self) -> tuple[Plan, State]:
        """Return the best plan found and its schedule.

        Raises:
            NoRoomError: At some layer no way fits the memories.
        """
        return self.improve(self._beam(State(self.network, self.resident)))

    def improve(self, plan: Plan) -> tuple[Plan, State]:
        """Return ``plan`` with what local search makes better."""
        start = State(self.network, self.resident)
        return Improver(self.candidates, self.value, start, self.budget_tiles).improve(plan)

    def _beam(self, start: State) -> Plan:
        order = self.network.order
        beams: list[list[tuple[tuple[float, float], _Partial]]] = [[] for _ in range(len(order) + 1)]
        beams[0] = [((0.0, 0.0), _Partial(start, ()))]
        for position in range(len(order)):
            kept = self._kept(beams[position])
            beams[position] = []
            for _, partial in kept:
                for segment in self.segments(partial.state, position):
                    grown = self._grown(partial, segment)
                    if grown is not None:
                        beams[position + 1].append((self._key(grown, position + 1), grown))
            if kept and self.freedom.fuse and self.freedom.hold and position in self.runs:
                for grown, reached in self._fused(kept[0][1], position):
                    beams[reached].append((self._key(grown, reached), grown))
        if not beams[-1]:
            raise self._obstacle or NoRoomError("", 0, self.network.layer(order[0]).name, 0)
        return self._kept(beams[-1])[0][1].plan

    def _key(self, partial: _Partial, position: int) -> tuple[float, float]:
        return self.estimate(partial.state, position), partial.state.energy_pj

    def _fused(self, partial: _Partial, position: int) -> Iterator[tuple[_Partial, int]]:
        """Yield groups of layers from a position on.

        The longest is tried in every way; those that begin later or end earlier in the best of these ways.
        """
        order = self.network.order
        ends = self.runs[position]
        longest = order[position : ends[-1]]
        if ends[-1] not in self._best_way:
            ways: list[tuple[tuple[float, float], int, str]] = []
            for count in tile_counts(self.network, longest):
                for pattern in PATTERNS:
                    for grown in self._group(partial, longest, count, pattern):
                        ways.append((self._key(grown, ends[-1]), count, pattern))
                        yield grown, ends[-1]
            if not ways:
                return
            self._best_way[ends[-1]] = min(ways)[1:]
            ends = ends[:-1]
        for end in ends:
            for grown in self._group(partial, order[position:end], *self._best_way[self.runs[position][-1]]):
                yield grown, end

    def _group(
        self, partial: _Partial, layers: Sequence[int], count: int, pattern: str
    ) -> Iterator[_Partial]:
        for segment in fused(self.candidates, layers, count, pattern):
            grown = self._grown(partial, segment)
            if grown is not None:
                yield grown

    def _kept(
        self, partials: list[tuple[tuple[float, float], _Partial]]
    ) -> list[tuple[tuple[float, float], _Partial]]:
        return sorted(partials, key=lambda entry: entry[0])[: self.beam]

    def _grown(self, partial: _Partial, segment: Segment) -> _Partial | None:
        state = partial.state.copy()
        try:
            place_segment(state, segment)
        except NoOptionError:
            return None
        except NoRoomError as error:
            self._obstacle = error
            return None
        return _Partial(state, (*partial.plan, segment))

    def segments(self, state: State, position: int) -> Iterator[Segment]:
        """Yield what may be placed next."""
        index = self.network.order[position]
        for choice in self.candidates.whole(index):
            group = next(g for g in self.candidates.groups(index) if choice.cores[0] in g)
            for core in self._promising(state, index, group):
                yield single(index, choice._replace(cores=(core,)))
        for choice in self.candidates.split(index):
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
