"""The default scheduler: list scheduling with a beam of partial schedules, then local search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from targets.schedule.beam import BEAM_TILES, GROUP_TILES, Beam
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
        start = State(self.network, self.resident)
        best: tuple[float, Plan] | None = None
        obstacle: NoRoomError | None = None
        for beam in self._beams():
            try:
                plan = beam.plan(start)
            except NoRoomError as error:
                obstacle = error
                continue
            value = self.value(simulate(self.network, plan, self.resident))
            if best is None or value < best[0]:
                best = value, plan
        if best is None:
            raise obstacle or NoRoomError("", 0, "", 0)
        return self.improve(best[1])

    def _beams(self) -> Iterator[Beam]:
        """Yield the ways to look for a plan: whole layers, one cut for all, any cuts, groups of layers."""
        free = self.candidates.freedom
        yield Beam(self.candidates, self.estimate, split=False, fuse=False)
        if free.split:
            cuts = {c.cut for index in self.network.order for c in self.candidates.split(index)}
            for cut in sorted(cuts, key=lambda cut: (cut.parts, cut.axis)):
                if cut.parts * len(self.network.order) <= BEAM_TILES // 2:
                    yield Beam(self.candidates, self.estimate, split=True, fuse=False, only=cut)
            yield Beam(self.candidates, self.estimate, split=True, fuse=False)
        if free.fuse and free.hold and tiles_to_fuse(self.network) <= GROUP_TILES:
            yield Beam(self.candidates, self.estimate, split=free.split, fuse=True)

    def improve(self, plan: Plan) -> tuple[Plan, State]:
        """Return ``plan`` with what local search makes better."""
        start = State(self.network, self.resident)
        return Improver(self.candidates, self.value, start).improve(plan)

    def value(self, state: State) -> float:
        """Return the expected cost of a complete schedule."""
        return self.estimate.value(state)
