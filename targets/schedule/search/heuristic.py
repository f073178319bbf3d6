"""The default scheduler: list scheduling with a beam of partial schedules, then local search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from targets.objective import Objective
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import Plan, Resident, ended
from targets.schedule.search.beam import BEAM_TILES, Beam
from targets.schedule.search.candidates import Candidates
from targets.schedule.search.estimate import Estimate
from targets.schedule.search.improve import Improver
from targets.schedule.state import State


class Search:
    """Looks for the plan with the least expected cost; the same question always has the same answer."""

    def __init__(
        self,
        candidates: Candidates,
        objective: Objective,
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

        What may be split is also tried whole and with one cut for all; fusing and local search start from the
        best of these and never make it worse.

        Raises:
            NoRoomError: At some layer no way fits the memories.
        """
        return self.improve(self.first()[0])

    def first(self, uniform: bool = True) -> tuple[Plan, State]:
        """Return the best plan of the beams and its schedule; raises as :meth:`run`.

        Args:
            uniform: Also with whole layers and with one cut for all.
        """
        start = State(self.network, self.resident)
        best: tuple[float, Plan, State] | None = None
        obstacle: NoRoomError | None = None
        for beam in self._beams(uniform):
            try:
                plan, state = beam.plan(start)
            except NoRoomError as error:
                obstacle = error
                continue
            value = self.value(ended(state))
            if best is None or value < best[0]:
                best = value, plan, state
        if best is None:
            raise obstacle or NoRoomError("", 0, "", 0)
        return best[1:]

    def _beams(self, uniform: bool) -> Iterator[Beam]:
        """Yield the ways to look for a plan: whole layers, one cut for all, any cuts."""
        free = self.candidates.freedom.split
        if uniform or not free:
            yield Beam(self.candidates, self.estimate, split=False)
        if not free:
            return
        indices = self.network.order if uniform else ()
        cuts = {choice.cut for index in indices for choice in self.candidates.split(index)}
        for cut in sorted(cuts, key=lambda cut: (cut.parts, cut.axis)):
            if cut.parts * len(self.network.order) <= BEAM_TILES // 4:
                yield Beam(self.candidates, self.estimate, split=True, only=cut)
        yield Beam(self.candidates, self.estimate, split=True)

    def improve(self, plan: Plan) -> tuple[Plan, State]:
        """Return ``plan`` with what fusing layers and local search make better."""
        improver = self._improver(plan)
        if self.candidates.freedom.fuse and self.candidates.freedom.hold:
            improver.fuse()
        improver.improve()
        return improver.plan, improver.best

    def fused(self, plan: Plan, resident: Resident) -> Plan:
        """Return ``plan`` with the fused groups that make it better."""
        improver = self._improver(plan, resident)
        improver.fuse()
        return improver.plan

    def improved(self, plan: Plan, resident: Resident) -> Plan:
        """Return ``plan`` with what local search makes better."""
        improver = self._improver(plan, resident)
        improver.improve()
        return improver.plan

    def _improver(self, plan: Plan, resident: Resident | None = None) -> Improver:
        return Improver(self.candidates, self.estimate, State(self.network, resident), plan)

    def value(self, state: State) -> float:
        """Return the expected cost of a complete schedule."""
        return self.estimate.value(state)
