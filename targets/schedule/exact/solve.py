"""The exact scheduler: cores, routes and times of given tiles through CP-SAT, with a bound on all others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from passes.errors import InputError
from targets.objective import Objective
from targets.schedule.exact.bounds import floor_of
from targets.schedule.exact.problem import problem_of
from targets.schedule.exact.replay import value_of
from targets.schedule.network import Network
from targets.schedule.plan import Plan, Resident, finished, simulate
from targets.schedule.result import Schedule

# Values closer than this are the same: what rounding to whole numbers costs the bound.
TOLERANCE = 2e-4


@dataclass(frozen=True)
class Exact:
    """The best schedule found and how good it is.

    Attributes:
        value: Expected cycles, pJ or pJ cycles.
        bound: No schedule with the same tiles and held operands has less.
        seconds: Time taken.
    """

    schedule: Schedule
    value: float
    bound: float
    seconds: float

    @property
    def gap(self) -> float:
        """How much of the value may be too much, as a share of it."""
        return max(0.0, 1.0 - self.bound / self.value) if self.value else 0.0

    @property
    def proven(self) -> bool:
        """Whether no schedule is better, up to :data:`TOLERANCE`."""
        return self.gap <= TOLERANCE


def solve(
    network: Network,
    plan: Plan,
    objective: Objective,
    ratios: Sequence[float],
    resident: Resident | None = None,
    *,
    time_limit_s: float,
    workers: int = 8,
) -> Exact:
    """Return the best schedule with the cuts and held operands of ``plan``; never worse than ``plan`` itself.

    CP-SAT chooses the core of every tile, the moves and their routes, and all times, under the same rules as
    :class:`targets.schedule.state.State`: one move per part and store, shared by all that read it there, from
    where the part was written or from any other store it was moved to; nothing of a stage before the end of
    the one before; cores, links and ports up to their capacity.

    The bound holds for everything a state can make of these cuts. What the model leaves out only ever costs
    a state more: a copy that is dropped and fetched again arrives later than the first one, which the model
    keeps, and takes a move more. So in the model stores have no limit. Where they may overflow, what the
    model has no move for, a fetch of what was moved out for want of room, is allowed for free once the piece
    could have reached the outer store; and no store holds the results, buffers and inputs of tiles that run
    at once beyond its size. A solution that makes use of either is no schedule: its cores and order are then
    placed anew by a state.

    No stage starts ahead of the decision before it: schedules that speculate may undercut the bound.

    Without a cut-off by time the result is the same every time; the search is deterministic, and a limit on
    its work, not on time, ends it on an idle machine. On a loaded one, time may end it before, and then
    what was found until then is returned.

    Args:
        network: What is scheduled.
        plan: Cuts and held operands; its schedule is what the solver starts from.
        objective: What is minimised.
        ratios: Share of inputs that leave at each exit.
        resident: Stores in which weights stay between inferences.
        time_limit_s: Seconds after which the solver stops.
        workers: Searches of the solver that run side by side.

    Raises:
        InputError: OR-Tools is not installed.
        NoOptionError: No mapping of a tile fits its core.
        NoRoomError: The plan itself does not fit.
    """
    begin = time.monotonic()
    problem = problem_of(network, plan, resident)
    floor = floor_of(problem)
    start = finished(simulate(network, plan, resident), resident)
    best, value = start, value_of(start, objective, ratios)
    bound = min(value, objective.expected(ratios, floor.ends, floor.energies))
    if bound < value * (1 - TOLERANCE):
        _require_solver()
        from targets.schedule.exact.solver import improve

        found, proved = improve(
            problem, floor, objective, ratios, start, value, resident, time_limit_s, workers
        )
        bound = max(bound, min(proved, value))
        for schedule in found:
            new = value_of(schedule, objective, ratios)
            if new < value:
                best, value = schedule, new
        bound = min(bound, value)
    return Exact(best, value, bound, time.monotonic() - begin)


def _require_solver() -> None:
    try:
        import ortools.sat.python.cp_model  # noqa: F401
    except ImportError as error:
        raise InputError(
            "the exact scheduler needs OR-Tools, which is not installed", "pip install eecompile[solver]"
        ) from error
