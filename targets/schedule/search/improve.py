"""Local search: one decision of a plan is changed at a time, and kept where the schedule gets better."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import LayerChoice, NoOptionError, Plan, Segment, cut_tiles, ended, place_segment
from targets.schedule.search.candidates import Candidates
from targets.schedule.search.estimate import Estimate
from targets.schedule.search.fusion import PATTERNS, PIPELINE, fused, runs, tile_counts
from targets.schedule.state import State

# Tiles placed anew before the search ends, for fusing and for all else; some 10,000 are placed in a second.
FUSE_TILES = 4000
IMPROVE_TILES = 1000
# Tiles of a group whose layers are tried on other cores one by one: with more, the budget ends after a few.
SMALL_GROUP = 100


class Improver:
    """Improves a plan; equal questions get equal answers, whatever the machine does.

    Attributes:
        plan: The best plan so far.
        best: Its schedule.
    """

    def __init__(self, candidates: Candidates, estimate: Estimate, start: State, plan: Plan) -> None:
        self.candidates = candidates
        self.estimate = estimate
        self.plan = plan
        self._states = _states(start, plan)
        self.best = ended(self._states[-1].copy())
        self._worth = estimate.value(self.best)
        self._budget = 0

    def fuse(self) -> None:
        """Fuse layers where it helps.

        Stretches of layers are tried from the first on, the longest first: in all patterns with the finest
        tiles, then with coarser ones while they are better. Shorter ones are tried in the way that came
        nearest. A network in which a third of the budget has gained nothing is left as it is.
        """
        before, spent = self._worth, 0
        order = self.candidates.network.order
        stretches = runs(self.candidates.network)
        last = sorted({ends[-1] for ends in stretches.values()})
        ways: dict[int, tuple[int, str]] = {}
        self._budget = 0
        for begin, ends in stretches.items():
            if ends[-1] not in ways:
                if spent >= FUSE_TILES // 3 and self._worth == before:
                    return
                # What one stretch leaves of its share goes to the next.
                self._budget += FUSE_TILES // len(last)
            for end in reversed(ends):
                if self._budget <= 0:
                    break
                layers, budget = order[begin:end], self._budget
                if ends[-1] not in ways:
                    taken, ways[ends[-1]] = self._all_ways(layers)
                else:
                    taken = self._replaced(layers, *ways[ends[-1]]) < 0
                spent += budget - self._budget
                if taken:
                    break

    def _all_ways(self, layers: Sequence[int]) -> tuple[bool, tuple[int, str]]:
        """Try a group in all ways worth it; return whether one was taken, and the best."""
        taken = False
        best: tuple[float, int, str] = (float("inf"), 1, PIPELINE)
        tried: list[Segment] = []
        for family in PATTERNS:
            patterns = family
            for count in tile_counts(self.candidates.network, layers):
                before = best
                for pattern in patterns:
                    lost = self._replaced(layers, count, pattern, tried)
                    taken |= lost < 0
                    best = min(best, (lost, count, pattern)) if lost >= 0 else (0.0, count, pattern)
                if best == before:
                    break
                patterns = (best[2],) if best[2] in patterns else patterns
        return taken, best[1:]

    def _replaced(
        self, layers: Sequence[int], count: int, pattern: str, tried: list[Segment] | None = None
    ) -> float:
        """Try a group in place of its layers; return what is lost by it, less than 0 if it was taken.

        Groups that were ``tried`` are not tried again.
        """
        tried = [] if tried is None else tried
        found = [p for p, segment in enumerate(self.plan) if set(segment.layers) & set(layers)]
        covered = [index for p in found for index in self.plan[p].layers]
        if covered != list(layers):
            return float("inf")
        worth = self._worth
        for segment in fused(self.candidates, layers, count, pattern):
            # On one core all patterns are the same.
            if segment != self.plan[found[0]] and segment not in tried:
                tried.append(segment)
                trial = (*self.plan[: found[0]], segment, *self.plan[found[-1] + 1 :])
                return self._try(trial, found[0]) - worth
        return float("inf")

    def improve(self) -> None:
        """Change the layers that take most time first, until nothing helps or the budget is used up."""
        self._budget = IMPROVE_TILES
        changed = True
        while changed:
            changed = False
            took = [after.end - before.end for before, after in pairwise(self._states)]
            for position in sorted(range(len(self.plan)), key=lambda p: (-took[p], p)):
                for segment in self._alternatives(self.plan[position]):
                    if self._budget <= 0:
                        return
                    worth = self._worth
                    trial = (*self.plan[:position], segment, *self.plan[position + 1 :])
                    changed |= self._try(trial, position) < worth

    def _try(self, plan: Plan, position: int) -> float:
        """Return the value of a plan that is new from ``position`` on; it is taken if it is better.

        Of a plan that is given up half-way it is about how much worse it was until then.
        """
        states, state = self._states[: position + 1], self._states[position]
        stages = {len(s.stage_ends): s for s in self._states if s.stage_ends}
        changed = state.network.stage_of[plan[position].layers[0]]
        for segment in plan[position:]:
            state = state.copy()
            self._budget -= sum(choice.cut.parts for choice in segment.choices)
            try:
                place_segment(state, segment)
            except (NoRoomError, NoOptionError):
                return float("inf")
            # A stage that is no better leaves nothing to gain in those behind it.
            count = len(state.stage_ends)
            if count > max(changed, len(states[-1].stage_ends)):
                ratio = self._ratio(state, stages[count])
                if ratio >= 1.0:
                    return self._worth * ratio
            states.append(state)
        finished = ended(state.copy())
        worth = self.estimate.value(finished)
        if worth < self._worth * (1 - 1e-12):
            self.plan, self.best, self._worth, self._states = plan, finished, worth, states
        return worth

    def _ratio(self, state: State, other: State) -> float:
        """Return what the stages that have ended took of what counts, as a share of another schedule."""
        time = state.stage_ends[-1] / max(1, other.stage_ends[-1])
        energy = state.stage_energies[-1] / max(1.0, other.stage_energies[-1])
        objective = self.estimate.objective
        counted = ((time, objective.counts_latency), (energy, objective.counts_energy))
        return min(share for share, counts in counted if counts)

    def _alternatives(self, segment: Segment) -> Iterator[Segment]:
        """Yield other ways to run a segment."""
        if len(segment.layers) == 1:
            yield from (s for s in self._singles(segment.layers[0]) if s != segment)
            return
        if sum(choice.cut.parts for choice in segment.choices) > SMALL_GROUP:
            return
        for number, (index, choice) in enumerate(zip(segment.layers, segment.choices, strict=True)):
            for other in self._elsewhere(index, choice):
                choices = (*segment.choices[:number], other, *segment.choices[number + 1 :])
                yield segment._replace(choices=choices)

    def _singles(self, index: int) -> Iterator[Segment]:
        for choice in self.candidates.whole(index):
            group = next(g for g in self.candidates.groups(index) if choice.cores[0] in g)
            for core in group:
                yield Segment((index,), (choice._replace(cores=(core,)),))
        for choice in self.candidates.split(index):
            yield Segment((index,), (choice,))

    def _elsewhere(self, index: int, choice: LayerChoice) -> Iterator[LayerChoice]:
        """Yield a layer of a group with all its tiles on one of the other cores."""
        for group in self.candidates.groups(index):
            tile = cut_tiles(self.candidates.network.layer(index), choice.cut)[0]
            if self.candidates.option(tile, group[0], choice.held) is None:
                continue
            for core in group:
                if set(choice.cores) != {core}:
                    yield choice._replace(cores=(core,) * choice.cut.parts)


def _states(state: State, plan: Sequence[Segment]) -> list[State]:
    """Return the states before each segment of a plan, and behind the last."""
    states = [state]
    for segment in plan:
        state = state.copy()
        place_segment(state, segment)
        states.append(state)
    return states
