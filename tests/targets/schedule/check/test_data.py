"""Whether data is where it is looked for: what is there at the start, what comes and what goes."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from targets.network.layer import Layer, Operand
from targets.network.workload import ExitPath, Workload
from targets.schedule.check.data import data_problems, end_of, place_of, uncovered
from targets.schedule.machine import OUTER
from targets.schedule.network import ALL_HELD, Network, network_of
from targets.schedule.plan import LayerChoice, Segment, finished, simulate
from targets.schedule.regions import Region
from targets.schedule.result import Schedule, Stay
from tests.targets.schedule.check.damage import (
    found,
    move_of,
    run_named,
    shifted,
    stay_of,
    with_move,
    with_run,
    with_stay,
)
from tests.targets.schedule.random_machines import FakeCosts
from tests.targets.schedule.small_schedule import STREAMED, small_machine, small_schedule
from tests.targets.schedule.test_regions import cells, regions


@given(regions(), st.lists(regions(), max_size=5))
def test_what_is_uncovered_is_what_no_part_has(region: Region, parts: list[Region]) -> None:
    left = uncovered(region, parts)
    assert set().union(*map(cells, left)) == cells(region).difference(*map(cells, parts))
    assert sum(rest.cells for rest in left) == len(set().union(*map(cells, left))), "each cell once"


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


def test_outputs_arrive_in_the_outer_store() -> None:
    _, schedule = small_schedule()
    move = move_of(schedule, "head.out", OUTER)
    dropped = replace(schedule, moves=tuple(m for m in schedule.moves if m != move))
    assert "of the output 'head.out' is not in offchip" in found(dropped)


def without_stay(schedule: Schedule, stay: Stay) -> Schedule:
    return replace(schedule, stays=tuple(s for s in schedule.stays if s != stay))


def halved() -> tuple[Network, Schedule]:
    """Return one layer with two outputs and one that reads the second, where the outer store has a size."""
    image, whole = Operand("image", (1, 2, 4, 4), 8), Operand("result", (1, 1, 4, 4), 8)
    halves = (Operand("left", (1, 1, 4, 4), 8), Operand("right", (1, 1, 4, 4), 8))
    layers = (
        Layer("split", "Split", (), 0, None, (image,), halves),
        Layer("relu", "Relu", (), 0, None, (halves[1],), (whole,), producers=(0,)),
        Layer("scale", "Mul", (), 0, None, (whole,), (Operand("scaled", (1, 1, 4, 4), 8),),
              constant=Operand("", (64,), 8), producers=(1,)),
    )  # fmt: skip
    machine = small_machine()
    # Room for the image and the result, and none for the constant of the last layer.
    outer = replace(machine.stores[OUTER], size_bits=256 + 128)
    machine = replace(machine, stores={**machine.stores, OUTER: outer})
    path = ExitPath("final", "", (0, 1, 2), 0, False)
    workload = Workload(layers, (path,), (), frozenset({"scaled"}))
    network = network_of(workload, machine, FakeCosts(machine, 1, refusals=False), {})
    network = replace(network, beyond={"scale.weights": 0})
    plan = tuple(Segment((index,), (LayerChoice(("a",)),)) for index in range(3))
    return network, finished(simulate(network, plan))


def test_inputs_lie_in_a_full_outer_store_as_long_as_they_have_room_and_weights_come_from_beyond() -> None:
    network, schedule = halved()
    assert list(data_problems(network, schedule)) == []
    assert not any(stay.tensor == "scale.weights" and stay.store == OUTER for stay in schedule.stays)
    given_ = stay_of(schedule, "image", OUTER)
    move = move_of(schedule, "image", "a.sram")
    gone = f"a move reads {given_.region} of 'image' in offchip up to cycle {move.end}, when it is gone"
    assert list(data_problems(network, with_stay(schedule, given_, end=move.end - 1))) == [gone]
    absent = f"a move reads {given_.region} of 'image' in offchip at cycle 0, before it is there"
    assert list(data_problems(network, without_stay(schedule, given_))) == [absent]
    assert list(data_problems(network, with_stay(schedule, given_, start=1))) == [absent], (
        "not from the start"
    )


def test_a_layer_writes_all_of_each_output() -> None:
    network, schedule = halved()
    run, stay = run_named(schedule, "split"), stay_of(schedule, "right", "a.sram")
    assert f"no room is kept in a.sram for {stay.region} of 'right', which 'split' writes" in list(
        data_problems(network, with_stay(schedule, stay, end=run.end - 1))
    )
    half = with_stay(schedule, stay, region=Region(0, 1, 0, 3))
    assert any("no room is kept in a.sram for" in problem for problem in data_problems(network, half))
    # The second output is there for the next layer from the end of the run on, and not before.
    relu = run_named(schedule, "relu")
    early = with_run(schedule, relu, start=run.end - 1)
    before = f"'relu' reads {stay.region} of 'right' in a.sram at cycle {run.end - 1}, before it is there"
    assert before in list(data_problems(network, early))


def test_what_was_moved_twice_is_there_as_long_as_the_longer_room() -> None:
    _, schedule = small_schedule()
    stay = stay_of(schedule, "image", "a.sram")
    assert stay.end is not None
    short = with_stay(schedule, stay, end=stay.end - 1)
    # A second room that begins too late for the move is none for it.
    late = replace(short, stays=(*short.stays, stay._replace(start=stay.start + 1)))
    assert "when it is gone" in found(late)
    assert "when it is gone" not in found(replace(short, stays=(*short.stays, stay)))


def test_an_output_is_awaited_until_its_own_stage_ends() -> None:
    network, schedule = small_schedule()
    move, end = move_of(schedule, "head.out", OUTER), schedule.stage_end_cycles[0]
    in_time = with_move(schedule, move, start=end - (move.end - move.start), end=end)
    assert not any("of the output" in problem for problem in data_problems(network, in_time))
    late = with_move(schedule, move, start=end, end=end + 1)
    told = f"{move.region} of the output 'head.out' is not in offchip at cycle {end}, when its stage ends"
    assert told in list(data_problems(network, late))


def test_operands_that_are_not_held_lie_outside() -> None:
    network, schedule = small_schedule()
    head, late = run_named(schedule, "head"), run_named(schedule, "late")
    assert head.held == STREAMED
    assert [place_of(network, head, operand) for operand in "WIO"] == [OUTER, "b.sram", "b.sram"]
    assert late.held == ALL_HELD
    places = {key: store for key, store in network.machine.operand_stores.items() if key != ("b", "W")}
    bare = replace(network, machine=replace(network.machine, operand_stores=places))
    assert [place_of(bare, late, operand) for operand in "WIO"] == [OUTER, "b.sram", "b.sram"]


def test_a_stay_without_an_end_never_ends() -> None:
    stay = Stay("a.sram", "image", Region(0, 1, 0, 1), 8, 3, 7)
    assert (end_of(stay), end_of(stay._replace(end=None))) == (7, math.inf)
    assert end_of(stay._replace(start=0, end=0)) == 0
