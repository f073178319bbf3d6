"""Valid schedules with one thing changed, and what the checker says of them."""

from __future__ import annotations

from dataclasses import replace

from targets.schedule.check.checker import problems
from targets.schedule.network import Network
from targets.schedule.result import Move, Run, Schedule, Stay
from tests.targets.schedule.small_schedule import small_schedule


def run_named(schedule: Schedule, name: str) -> Run:
    return next(run for run in schedule.runs if run.name == name)


def move_of(schedule: Schedule, tensor: str, target: str) -> Move:
    return next(move for move in schedule.moves if (move.tensor, move.destination) == (tensor, target))


def stay_of(schedule: Schedule, tensor: str, store: str) -> Stay:
    return next(stay for stay in schedule.stays if (stay.tensor, stay.store) == (tensor, store))


def with_run(schedule: Schedule, run: Run, **changes: object) -> Schedule:
    changed = run._replace(**changes)  # type: ignore[arg-type]
    return replace(schedule, runs=tuple(changed if r == run else r for r in schedule.runs))


def with_move(schedule: Schedule, move: Move, **changes: object) -> Schedule:
    changed = move._replace(**changes)  # type: ignore[arg-type]
    return replace(schedule, moves=tuple(changed if m == move else m for m in schedule.moves))


def with_stay(schedule: Schedule, stay: Stay, **changes: object) -> Schedule:
    changed = stay._replace(**changes)  # type: ignore[arg-type]
    return replace(schedule, stays=tuple(changed if s == stay else s for s in schedule.stays))


def found(schedule: Schedule, network: Network | None = None) -> str:
    return "\n".join(problems(network or small_schedule()[0], schedule))


def shifted(schedule: Schedule, name: str, cycles: int) -> Schedule:
    run = run_named(schedule, name)
    return with_run(schedule, run, start=run.start + cycles, end=run.end + cycles)
