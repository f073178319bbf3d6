"""What a user asks of a schedule, from the command line; what a target cannot honour is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from passes.errors import InputError, did_you_mean
from targets.contract.registry import load_target, target_table
from targets.contract.target import Target
from targets.evaluation.scheduling import Wishes
from targets.schedule.freedom import FUSED, MODES, SPLIT

T = TypeVar("T")
WEIGHTS = {"keep": True, "fetch": False}
SOLVERS = ("default", "exact")
DEFAULT_EXACT_SECONDS = 60.0


@dataclass(frozen=True)
class ScheduleOptions:
    """What is asked of the schedule; ``None`` if not told.

    Attributes:
        schedule: A mode of :data:`targets.schedule.freedom.MODES` that the target takes.
        weights: ``keep`` those that fit on chip between inferences, or ``fetch`` all each time.
        ratios: Share of inputs that leave at each exit, the final one included.
        speculate: The next stage may start while a head decides.
        solver: ``default`` or ``exact``.
        time_limit_s: Seconds after which the exact solver stops.
    """

    schedule: str | None = None
    weights: str | None = None
    ratios: tuple[float, ...] | None = None
    speculate: bool = False
    solver: str | None = None
    time_limit_s: float | None = None


def wishes_of(options: ScheduleOptions, target: Target) -> Wishes:
    """Return what is asked of the schedule.

    Raises:
        InputError: A wrong value, or more freedom than ``target`` gives its scheduler.
    """
    keep = _known("`weights`", options.weights or "keep", WEIGHTS)
    schedule = options.schedule or next(iter(target.schedules))
    _known("`schedule`", schedule, MODES)
    if schedule not in target.schedules:
        raise _not_taken(schedule, target)
    free = target.freedom(schedule)
    if options.weights is not None and keep and not free.hold:
        raise _nothing_stays(f"`weights` {options.weights}", target)
    exact_seconds = _exact_seconds(options)
    if options.speculate and exact_seconds is not None:
        raise InputError(
            "`speculate` starts stages of the default schedule, not of the exact one",
            "leave `speculate` or `solver` exact away",
        )
    if free.rows and exact_seconds is not None:
        raise InputError(
            "`solver` exact adds up the energy of each layer, and rows that run side by side share it",
            f"leave `solver` exact away, or say `schedule` {next(iter(target.schedules))}",
        )
    return Wishes(options.schedule or "", keep, options.speculate, exact_seconds)


def _exact_seconds(options: ScheduleOptions) -> float | None:
    """Return how long the exact solver may take; ``None`` where it is not asked for."""
    solver = options.solver or SOLVERS[0]
    if solver not in SOLVERS:
        raise InputError(f"`solver` {solver}: no such solver", did_you_mean(solver, SOLVERS))
    limit_s = options.time_limit_s
    if limit_s is None:
        return DEFAULT_EXACT_SECONDS if solver == "exact" else None
    if solver != "exact":
        raise InputError("`time_limit` is that of the exact solver", "add `solver` exact, or leave it away")
    if not (math.isfinite(limit_s) and limit_s > 0):
        raise InputError(f"`time_limit` {limit_s} is not a time", "give seconds above 0, such as 60")
    return limit_s


def _not_taken(schedule: str, target: Target) -> InputError:
    """Return what to tell of a mode that ``target`` does not take: what it takes, and who takes the mode."""
    if target.search is not None and not target.search.locality and schedule in (SPLIT, FUSED):
        return _nothing_stays(f"`schedule` {schedule}", target)
    try:
        target.freedom(schedule)
    except InputError as error:
        takers = [taker for name in target_table() if (taker := _taker(name, schedule))]
        if schedule in (SPLIT, FUSED):
            takers.append("accelerators from files")
        return InputError(error.message, f"{error.hint}; {schedule} is taken by {' and '.join(takers)}")
    raise ValueError(f"{target.title} takes {schedule}")


def _taker(name: str, schedule: str) -> str:
    """Return what to call a target that takes a mode, with its cost models where not all do; else nothing."""
    models = load_target(name).cost_models
    taking = [model for model in models if schedule in load_target(name, model).schedules]
    if not taking or len(taking) == len(models):
        return name if taking else ""
    return f"{name} (cost model {' or '.join(taking)})"


def _nothing_stays(asked: str, target: Target) -> InputError:
    """Return what to tell of a wish that needs tensors on chip between layers."""
    if target.search is not None and not target.search.locality:
        return InputError(
            f"{asked} needs tensors on chip, and `locality` off keeps all of them off chip",
            "leave one of the two away",
        )
    return InputError(
        f"{asked}: the cost model '{target.cost_model}' of {target.title} costs whole layers, each with all "
        "its transfers",
        "say `weights` fetch, or give a target whose mappings are searched (`eecompile targets`)",
    )


def _known(flag: str, value: str, table: Mapping[str, T]) -> T:
    if value not in table:
        *some, last = table
        raise InputError(f"{flag} {value}: expected {', '.join(some)} or {last}", did_you_mean(value, table))
    return table[value]
