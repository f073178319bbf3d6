"""Every kind of damage to a valid schedule is found; one test per rule of the checker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.schedule.check.checker import problems
from targets.schedule.machine import OUTER
from targets.schedule.network import Network
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import NoOptionError, finished, simulate
from targets.schedule.regions import Region
from targets.schedule.result import Move, Run, Schedule, Stay
from tests.targets.schedule.random_networks import random_network
from tests.targets.schedule.random_plans import random_plan, random_resident
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


def test_the_schedule_that_is_damaged_below_is_valid() -> None:
    network, schedule = small_schedule()
    assert problems(network, schedule) == []
    assert {"weights", "input", "activations", "output"} == {move.purpose for move in schedule.moves}


def test_a_run_before_its_data() -> None:
    _, schedule = small_schedule()
    assert "reads Region(c0=0, c1=4, y0=0, y1=4) of 'rows.out' in b.sram" in found(
        shifted(schedule, "channels[2/2]", -50)
    ), "still on its way"


def test_a_run_without_its_weights() -> None:
    _, schedule = small_schedule()
    move = move_of(schedule, "channels.weights", "b.sram")
    dropped = replace(schedule, moves=tuple(m for m in schedule.moves if m != move))
    assert "of 'channels.weights' in b.sram at cycle" in found(dropped)


def test_a_move_before_its_data() -> None:
    _, schedule = small_schedule()
    move = move_of(schedule, "channels.out", "b.sram")
    early = with_move(schedule, move, start=move.start - 1, end=move.end - 1)
    assert "a move reads Region(c0=0, c1=2, y0=0, y1=4) of 'channels.out' in a.sram" in found(early)


def test_resident_weights_are_there_only_if_the_schedule_says_so() -> None:
    _, schedule = small_schedule()
    assert "of 'late.weights' in b.sram" in found(replace(schedule, resident=frozenset()))
    more = replace(schedule, resident=schedule.resident | {"rows.weights"})
    assert "'rows.weights' is said to stay on chip but lies in no store" in found(more)
    cheat = replace(schedule, resident=schedule.resident | {"image"})
    assert "'image' is said to stay on chip but is not the same for every input" in found(cheat)


def test_data_gone_while_it_is_read() -> None:
    _, schedule = small_schedule()
    stay = stay_of(schedule, "image", "a.sram")
    assert stay.end is not None
    assert f"up to cycle {stay.end}, when it is gone" in found(with_stay(schedule, stay, end=stay.end - 1))


def test_no_room_for_what_is_written() -> None:
    _, schedule = small_schedule()
    stay = stay_of(schedule, "confidence", "a.sram")
    dropped = replace(schedule, stays=tuple(s for s in schedule.stays if s != stay))
    assert "no room is kept in a.sram" in found(dropped)
    late = with_stay(schedule, stay, start=stay.start + 1)
    assert "no room is kept in a.sram" in found(late), "room is needed from the start of the run"


def test_room_smaller_than_its_data() -> None:
    _, schedule = small_schedule()
    stay = stay_of(schedule, "rows.out", "a.sram")
    assert "takes 8 bits in a.sram, too few" in found(with_stay(schedule, stay, bits=8))


def test_room_for_buffers() -> None:
    _, schedule = small_schedule()
    stay = stay_of(schedule, "head.buffers", "b.sram")
    assert "'head' streams without" in found(with_stay(schedule, stay, bits=stay.bits - 1))
    assert "'head' streams without" in found(with_stay(schedule, stay, start=stay.start + 1))


def test_a_store_too_full() -> None:
    network, schedule = small_schedule()
    machine = network.machine
    small = replace(machine.stores["a.sram"], size_bits=2000)
    tight = replace(network, machine=replace(machine, stores={**machine.stores, "a.sram": small}))
    assert "of a.sram is taken at cycle" in found(schedule, tight)


def test_two_runs_on_a_core_at_once() -> None:
    _, schedule = small_schedule()
    assert "2 of b is taken at cycle" in found(shifted(schedule, "head", -20))


def test_a_link_taken_twice() -> None:
    _, schedule = small_schedule()
    twice = replace(schedule, moves=(*schedule.moves, *schedule.moves))
    assert "of link is taken at cycle" in found(twice)
    assert "of port is taken at cycle" in found(twice)


def test_runs_take_what_they_need() -> None:
    _, schedule = small_schedule()
    for name, resource in (("late", "b"), ("late", "host"), ("head", "port"), ("head", "bus")):
        run = run_named(schedule, name)
        uses = tuple(use for use in run.uses if use[0] != resource)
        assert f"'{name}' takes 0 of {resource}, not" in found(with_run(schedule, run, uses=uses))


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


def test_a_layer_with_a_hole() -> None:
    _, schedule = small_schedule()
    run = run_named(schedule, "rows[2/2]")
    assert "no tile of 'rows' computes" in found(with_run(schedule, run, output=Region(0, 4, 4, 7)))
    dropped = replace(schedule, runs=tuple(r for r in schedule.runs if r != run))
    assert "no tile of 'rows' computes Region(c0=0, c1=4, y0=4, y1=8)" in found(dropped)
    assert "not numbered from 0 to 0" in found(dropped)


def test_a_layer_computed_twice() -> None:
    _, schedule = small_schedule()
    run = run_named(schedule, "rows[2/2]")
    assert "two tiles of 'rows' compute the same" in found(with_run(schedule, run, output=Region(0, 4, 3, 8)))
    assert "computes more than" in found(with_run(schedule, run, output=Region(0, 4, 4, 9)))
    assert "not tile (1, 2) of 'rows'" in found(with_run(schedule, run, output=Region(0, 4, 4, 9)))
    assert "several tiles are called 'rows[1/2]'" in found(with_run(schedule, run, name="rows[1/2]"))


def test_a_tile_reads_all_it_depends_on() -> None:
    _, schedule = small_schedule()
    run = run_named(schedule, "rows[2/2]")
    read = run.reads[0]
    assert read.region == Region(0, 2, 3, 8), "rows 4 to 7 by a 3 x 3 window padded by 1 depend on 3 to 7"
    less = (read._replace(region=Region(0, 2, 4, 8)),)
    assert "but needs Region(c0=0, c1=2, y0=3, y1=8)" in found(with_run(schedule, run, reads=less))
    more = (read._replace(region=Region(0, 2, 3, 9)),)
    assert "of 'image', which is only" in found(with_run(schedule, run, reads=more))
    assert "not all inputs of its layer" in found(with_run(schedule, run, reads=()))
    second = run_named(schedule, "channels[2/2]")
    few = with_run(schedule, second, weights=Region(2, 3, 0, 1))
    assert "without the weights of these channels" in found(few)
    unweighted = run_named(schedule, "decide")
    assert "reads weights that 'decide' does not have" in found(
        with_run(schedule, unweighted, weights=Region(0, 1, 0, 1))
    )


def test_a_run_at_its_cost() -> None:
    _, schedule = small_schedule()
    run = run_named(schedule, "late")
    cost = replace(run.cost, energy_pj=1.0)
    assert "'late' costs" in found(with_run(schedule, run, cost=cost))
    assert "'late' takes 62 cycles, not 63" in found(with_run(schedule, run, end=run.end - 1))
    assert "which cannot run 'late'" in found(with_run(schedule, run, core="host"))
    assert "'late' costs" in found(with_run(schedule, run, held=frozenset("IW"))), "streaming costs more"


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


def test_outputs_arrive_in_the_outer_store() -> None:
    _, schedule = small_schedule()
    move = move_of(schedule, "head.out", OUTER)
    dropped = replace(schedule, moves=tuple(m for m in schedule.moves if m != move))
    assert "of the output 'head.out' is not in offchip" in found(dropped)


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
