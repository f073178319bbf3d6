"""Every kind of damage to a valid schedule is found; rules of data, layers and capacity are tested beside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.schedule.check.checker import problems
from targets.schedule.machine import OUTER
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import NoOptionError, finished, simulate
from targets.schedule.regions import Region
from targets.schedule.result import Schedule
from tests.targets.schedule.check.damage import (
    found,
    move_of,
    run_named,
    shifted,
    with_move,
    with_run,
    with_stay,
)
from tests.targets.schedule.random_networks import random_network
from tests.targets.schedule.random_plans import random_plan, random_resident
from tests.targets.schedule.small_schedule import small_schedule


def test_the_schedule_that_is_damaged_below_is_valid() -> None:
    network, schedule = small_schedule()
    assert problems(network, schedule) == []
    assert {"weights", "input", "activations", "output"} == {move.purpose for move in schedule.moves}


def test_moves_take_what_they_need() -> None:
    _, schedule = small_schedule()
    move = move_of(schedule, "final.out", OUTER)
    assert "takes 0 of bus, not 16" in found(with_move(schedule, move, uses=move.uses[1:]))
    assert "takes 0 of host, not 1" in found(with_move(schedule, move, uses=move.uses[:-1]))


def test_moves_take_a_route_at_its_speed() -> None:
    network, schedule = small_schedule()
    move = move_of(schedule, "final.out", OUTER)
    assert "takes 5 cycles, not 6" in found(with_move(schedule, move, end=move.end - 1)), "96 bits at 16"
    routes = {ends: ways for ends, ways in network.machine.routes.items() if ends != ("a.sram", OUTER)}
    cut = replace(network, machine=replace(network.machine, routes=routes))
    assert "nothing leads 'final.out' from a.sram to offchip" in found(schedule, cut)


def test_moves_cost_what_their_bits_do() -> None:
    _, schedule = small_schedule()
    move = move_of(schedule, "final.out", OUTER)
    assert "is of 95 bits, not 96" in found(with_move(schedule, move, bits=95))
    assert "pJ at its ends, not 3 and 3" in found(with_move(schedule, move, read_pj=4.0)), "3 words of 1 pJ"
    assert "pJ at its ends" in found(with_move(schedule, move, write_pj=0.0))
    assert "takes 1 pJ on its way" in found(with_move(schedule, move, wire_pj=1.0)), "96 bits at 0.5 pJ"
    more = Region(0, 4, 0, 1)
    assert "where there is only" in found(with_move(schedule, move, region=more))


def test_stages_wait_for_each_other() -> None:
    _, schedule = small_schedule()
    ends = schedule.stage_end_cycles
    assert f"'late' starts at {ends[0] - 1}, stage 1 at {ends[0]}" in found(shifted(schedule, "late", -1))
    assert f"stage 0 ends at {ends[0]}, not" in found(
        replace(schedule, stage_end_cycles=(ends[0] - 1, ends[1]))
    )
    assert "stage 1 ends at" in found(replace(schedule, stage_end_cycles=(ends[0], ends[1] + 1)))
    run = run_named(schedule, "late")
    assert "'late' is in stage 0, its layer in 1" in found(with_run(schedule, run, stage=0))
    move = move_of(schedule, "final.weights", "a.sram")
    assert "is in stage 0, its layer in 1" in found(with_move(schedule, move, stage=0))


def test_behind_a_speculative_exit_only_the_backbone_is_waited_for() -> None:
    network, schedule = small_schedule()
    ready = max(run.end for run in schedule.runs if run.name.startswith("channels"))
    move = move_of(schedule, "final.weights", "a.sram")
    early = with_move(schedule, move, start=ready, end=ready + move.end - move.start)
    speculative = replace(early, speculative=frozenset({0}))
    assert "stage 1 at" in found(early)
    assert "stage 1 at" not in found(speculative)
    earlier = with_move(speculative, move_of(early, "final.weights", "a.sram"), start=ready - 1)
    assert f"starts at {ready - 1}, stage 1 at {ready}" in found(earlier, network)


def test_names_of_nothing() -> None:
    _, schedule = small_schedule()
    move, run, stay = schedule.moves[0], schedule.runs[0], schedule.stays[0]
    assert "no tensor" in found(with_move(schedule, move, tensor="nothing"))
    assert "in stage 2" in found(with_move(schedule, move, stage=2))
    assert "there is no store nowhere" in found(with_move(schedule, move, destination="nowhere"))
    assert "there is no store nowhere" in found(with_stay(schedule, stay, store="nowhere"))
    assert "there is no resource wire" in found(with_run(schedule, run, uses=(("wire", 1.0),)))
    assert "for layer 6 in stage 0, which no exit has" in found(with_run(schedule, run, layer=6))
    assert "lasts from -1" in found(with_run(schedule, run, start=-1))
    assert "stages are" in found(replace(schedule, stage_names=("early",)))


def _without_run(random: Random, schedule: Schedule) -> Schedule:
    gone = random.choice(schedule.runs)
    return replace(schedule, runs=tuple(run for run in schedule.runs if run != gone))


def _without_move(random: Random, schedule: Schedule) -> Schedule:
    # What several moves bring to a store they may bring twice.
    ways = [(move.tensor, move.destination) for move in schedule.moves]
    gone = random.choice([m for m in schedule.moves if ways.count((m.tensor, m.destination)) == 1])
    return replace(schedule, moves=tuple(move for move in schedule.moves if move != gone))


def _without_stay(random: Random, schedule: Schedule) -> Schedule:
    gone = random.choice([stay for stay in schedule.stays if stay.store != OUTER])
    return replace(schedule, stays=tuple(stay for stay in schedule.stays if stay != gone))


def _other_stage(random: Random, schedule: Schedule) -> Schedule:
    run = random.choice(schedule.runs)
    return with_run(schedule, run, stage=run.stage + 1)


def _cheaper_run(random: Random, schedule: Schedule) -> Schedule:
    run = random.choice(schedule.runs)
    return with_run(schedule, run, cost=replace(run.cost, energy_pj=run.cost.energy_pj - 0.5))


def _slower_move(random: Random, schedule: Schedule) -> Schedule:
    move = random.choice(schedule.moves)
    return with_move(schedule, move, end=move.end + 1)


def _released_early(random: Random, schedule: Schedule) -> Schedule:
    stay = random.choice([stay for stay in schedule.stays if stay.end is not None and stay.store != OUTER])
    return with_stay(schedule, stay, end=(stay.end or 0) - 1)


DAMAGES = (
    _without_run, _without_move, _without_stay, _other_stage, _cheaper_run, _slower_move, _released_early,
)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__.strip("_"))
@given(seed=st.integers(0, 1 << 20))
def test_damage_to_random_schedules(damage: Callable[[Random, Schedule], Schedule], seed: int) -> None:
    random = Random(seed)
    network = random_network(random)
    resident = random_resident(random, network)
    try:
        schedule = finished(simulate(network, random_plan(random, network), resident), resident)
        damaged = damage(random, schedule)
    except (NoRoomError, NoOptionError, IndexError):
        return
    assert problems(network, damaged) != []
