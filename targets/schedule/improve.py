"""Local search: one decision of a plan is changed at a time, and kept where the schedule gets better."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from targets.schedule.candidates import Candidates
from targets.schedule.fusion import PATTERNS, fused, tile_counts
from targets.schedule.plan import Choice, NoOptionError, Plan, Segment, cut_tiles, place_segment
from targets.schedule.state import NoRoomError, State

# Tiles placed anew before the search ends; some 10,000 are placed in a second.
BUDGET_TILES = 1200


class Improver:
    """Improves a plan; equal questions get equal answers, whatever the machine does."""

    def __init__(
        self,
        candidates: Candidates,
        value: Callable[[State], float],
        start: State,
        budget_tiles: int = BUDGET_TILES,
    ) -> None:
        self.candidates = candidates
        self.value = value
        self.start = start
        self.budget = budget_tiles

    def improve(self, plan: Plan) -> tuple[Plan, State]:
        """Return the best plan found and its schedule, never worse than ``plan``."""
        states = self._states(self.start, plan)
        best = self._ended(states[-1])
        value = self.value(best)
        changed = True
        while changed and self.budget > 0:
            changed = False
            for position in self._order(plan, states):
                for segment in self._alternatives(plan[position]):
                    if self.budget <= 0:
                        return plan, best
                    trial = (*plan[:position], segment, *plan[position + 1 :])
                    found = self._tried(trial, position, states)
                    if found is None:
                        continue
                    ended = self._ended(found[-1])
                    if (worth := self.value(ended)) < value * (1 - 1e-12):
                        plan, best, value, changed = trial, ended, worth, True
                        states = [*states[: position + 1], *found]
        return plan, best

    def _states(self, state: State, plan: Sequence[Segment]) -> list[State]:
        """Return the states before each segment, and behind the last."""
        states = [state]
        for segment in plan:
            state = state.copy()
            place_segment(state, segment)
            states.append(state)
        return states

    def _tried(self, plan: Plan, position: int, states: Sequence[State]) -> list[State] | None:
        """Return the states behind ``position`` and all that follow; ``None`` if it cannot be good."""
        state, found = states[position], []
        for number in range(position, len(plan)):
            state = state.copy()
            self.budget -= sum(choice.cut.parts for choice in plan[number].choices)
            try:
                place_segment(state, plan[number])
            except (NoRoomError, NoOptionError):
                return None
            found.append(state)
            old = states[number + 1]
            # A stage that ends no earlier for no less energy leaves nothing to gain in those behind it.
            ended = len(old.stage_ends) > len(states[number].stage_ends)
            if ended and state.floor >= old.floor and state.stage_energies[-1] >= old.stage_energies[-1]:
                return None
        return found

    def _ended(self, state: State) -> State:
        if len(state.stage_ends) == len(state.network.stage_names):
            return state
        ended = state.copy()
        while len(ended.stage_ends) < len(ended.network.stage_names):
            ended.end_stage()
        return ended

    def _order(self, plan: Plan, states: Sequence[State]) -> list[int]:
        """Return the positions of the plan, those that took most time first."""
        took = [after.end - before.end for before, after in pairwise(states)]
        return sorted(range(len(plan)), key=lambda position: (-took[position], position))

    def _alternatives(self, segment: Segment) -> Iterator[Segment]:
        """Yield other ways to run a segment."""
        if len(segment.layers) == 1:
            yield from (s for s in self._singles(segment.layers[0]) if s != segment)
            return
        for number, (index, choice) in enumerate(zip(segment.layers, segment.choices, strict=True)):
            for other in self._elsewhere(index, choice):
                choices = (*segment.choices[:number], other, *segment.choices[number + 1 :])
                yield segment._replace(choices=choices)
        for count in tile_counts(self.candidates.network, segment.layers):
            for pattern in PATTERNS:
                yield from (
                    s for s in fused(self.candidates, segment.layers, count, pattern) if s != segment
                )

    def _singles(self, index: int) -> Iterator[Segment]:
        for choice in self.candidates.whole(index):
            group = next(g for g in self.candidates.groups(index) if choice.cores[0] in g)
            for core in group:
                yield Segment((index,), (choice._replace(cores=(core,)),))
        for choice in self.candidates.split(index):
            yield Segment((index,), (choice,))

    def _elsewhere(self, index: int, choice: Choice) -> Iterator[Choice]:
        """Yield a layer of a group with all its tiles on one of the other cores."""
        for group in self.candidates.groups(index):
            tile = cut_tiles(self.candidates.network.layer(index), choice.cut)[0]
            if self.candidates.option(tile, group[0], choice.held) is None:
                continue
            for core in group:
                if set(choice.cores) != {core}:
                    yield choice._replace(cores=(core,) * choice.cut.parts)
