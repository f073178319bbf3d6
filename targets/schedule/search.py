"""The default scheduler: list scheduling with a beam of partial schedules, then local search."""

from __future__ import annotations

from collections.abc import Sequence

from targets.schedule.beam import GROUP_TILES, Beam
from targets.schedule.candidates import Candidates
from targets.schedule.estimate import Estimate
from targets.schedule.fusion import tiles_to_fuse
from targets.schedule.improve import Improver
from targets.schedule.plan import Plan, Resident, simulate
from targets.schedule.state import NoRoomError, State


class Search:
    """Looks for the plan with the least expected cost; the same question always has the same answer."""

    def __init__(
        self,
        candidates: Candidates,
        objective: str,
        ratios: Sequence[float],
        resident: Resident | None = None,
    ) -> None:
        self.candidates = candidates
        self.network = candidates.network
        self.ratios = ratios
        self.resident = resident
        self.estimate = Estimate(candidates, objective, ratios)

    def run(self) -> tuple[Plan, State]:
        """Return the best plan found and its schedule.

        What is free to split and fuse is also tried without: more freedom never makes a schedule worse. Networks
        with so many tiles that only a few groups could be tried are not fused.

        Raises:
            NoRoomError: At some layer no way fits the memories.
        """
        free = self.candidates.freedom
        start = State(self.network, self.resident)
        best: tuple[float, Plan] | None = None
        obstacle: NoRoomError | None = None
        for split, fuse in ((False, False), (True, False), (free.split, True)):
            if (split and not free.split) or (fuse and not (free.fuse and free.hold)):
                continue
            if fuse and tiles_to_fuse(self.network) > GROUP_TILES:
                continue
            try:
                plan = Beam(self.candidates, self.estimate, split, fuse).plan(start)
            except NoRoomError as error:
                obstacle = error
                continue
            value = self.value(simulate(self.network, plan, self.resident))
            if best is None or value < best[0]:
                best = value, plan
        if best is None:
            raise obstacle or NoRoomError("", 0, "", 0)
        return self.improve(best[1])

    def improve(self, plan: Plan) -> tuple[Plan, State]:
        """Return ``plan`` with what local search makes better."""
        start = State(self.network, self.resident)
        return Improver(self.candidates, self.value, start).improve(plan)

    def value(self, state: State) -> float:
        """Return the expected cost of a complete schedule."""
        return self.estimate.value(state)
