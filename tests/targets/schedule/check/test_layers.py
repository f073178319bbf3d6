"""Whether tiles compute their layers: what they write, read, cost and take, one rule after another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from targets.network.layer import Layer, LoopDims, Operand
from targets.network.workload import ExitPath, Workload
from targets.schedule.check.layers import layer_problems, missing_uses
from targets.schedule.network import Held, Network, Option, network_of
from targets.schedule.plan import LayerChoice, Segment, finished, simulate
from targets.schedule.regions import Region
from targets.schedule.result import Schedule
from targets.schedule.tiles import WHOLE, Cut
from tests.targets.schedule.check.damage import found, run_named, stay_of, with_run, with_stay
from tests.targets.schedule.random_machines import FakeCosts
from tests.targets.schedule.small_schedule import conv, gemm, small_machine, small_schedule

IMAGE = Operand("image", (1, 4, 8, 8), 8)
OUT = Operand("out", (1, 4, 8, 8), 8)


def test_room_for_buffers() -> None:
    _, schedule = small_schedule()
    stay = stay_of(schedule, "head.buffers", "b.sram")
    assert "'head' streams without" in found(with_stay(schedule, stay, bits=stay.bits - 1))
    assert "'head' streams without" in found(with_stay(schedule, stay, start=stay.start + 1))
    assert stay.end is not None
    assert "'head' streams without" in found(with_stay(schedule, stay, end=stay.end - 1))


def test_runs_take_what_they_need() -> None:
    _, schedule = small_schedule()
    for name, resource in (("late", "b"), ("late", "host"), ("head", "port"), ("head", "bus")):
        run = run_named(schedule, name)
        uses = tuple(use for use in run.uses if use[0] != resource)
        assert f"'{name}' takes 0 of {resource}, not" in found(with_run(schedule, run, uses=uses))


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


def alone(layer: Layer, cut: Cut, second: bool = False) -> tuple[Network, Schedule]:
    """Return a network of one layer, and a schedule of its tiles on one core."""
    machine = small_machine()
    path = ExitPath("final", "", (0,), 0, False)
    workload = Workload((layer,), (path,), (), frozenset({layer.outputs[0].name}))
    costs = FakeCosts(machine, 1, refusals=False)
    network = network_of(workload, machine, costs, {0: second})
    plan = (Segment((0,), (LayerChoice(("a",) * cut.parts, cut),)),)
    return network, finished(simulate(network, plan))


def grouped(groups: int) -> Layer:
    dims = LoopDims(1, groups, 4 // groups, 4 // groups, 8, 8, 1, 1, 8, 8)
    weight = Operand("", (4, 4 // groups, 1, 1), 8)
    return Layer("l", "Conv", (), dims.iterations, dims, (IMAGE,), (OUT,), weight)


def pooled(op_type: str, fy: int, stride: int, dilation: int = 1, top: int = 0, rows: int = 4) -> Layer:
    dims = LoopDims(1, 4, 1, 1, rows, 8, fy, 1, 8, 8, stride, 1, dilation, 1, top)
    return Layer("l", op_type, (), 0, dims, (IMAGE,), (Operand("out", (1, 4, rows, 8), 8),))


RELU = Layer("l", "Relu", (), 0, None, (IMAGE,), (OUT,))


# The last tile of each, and the least of the image that it must read.
@pytest.mark.parametrize(
    ("layer", "cut", "needed"),
    [
        (grouped(1), Cut("K", 2), Region(0, 4, 0, 8)),
        (grouped(2), Cut("K", 2), Region(2, 4, 0, 8)),
        (grouped(4), Cut("K", 4), Region(3, 4, 0, 8)),
        (RELU, Cut("OY", 4), Region(0, 4, 6, 8)),
        (RELU, Cut("K", 2), Region(2, 4, 0, 8)),
        # Row 3 of the output begins at row 6 of the image; rows 2 and 3 at row 4.
        (pooled("MaxPool", 2, 2), Cut("OY", 4), Region(0, 4, 6, 8)),
        (pooled("MaxPool", 2, 2), Cut("OY", 2), Region(0, 4, 4, 8)),
        (pooled("MaxPool", 2, 2), Cut("K", 4), Region(3, 4, 0, 8)),
        # Row 4 at stride 1 behind a row of padding: rows 3, 5 and 7 of the image.
        (pooled("AveragePool", 3, 1, 2, 1, 5), Cut("OY", 5), Region(0, 4, 3, 8)),
        (pooled("GlobalAveragePool", 8, 8, rows=1), Cut("K", 2), Region(2, 4, 0, 8)),
        (gemm("l", IMAGE, 6, ()), Cut("K", 3), Region(0, 4, 0, 8)),
        (Layer("l", "Softmax", (), 0, None, (IMAGE,), (OUT,)), WHOLE, Region(0, 4, 0, 8)),
    ],
)  # fmt: skip
def test_what_a_tile_needs_of_its_input(layer: Layer, cut: Cut, needed: Region) -> None:
    network, schedule = alone(layer, cut)
    assert list(layer_problems(network, schedule)) == []
    run = schedule.runs[-1]
    read = run.reads[0]

    def told(region: Region) -> list[str]:
        changed = with_run(schedule, run, reads=(read._replace(region=region),))
        return list(layer_problems(network, changed))

    assert told(needed) == []
    c0, c1, y0, y1 = needed
    for less in ((c0 + 1, c1, y0, y1), (c0, c1 - 1, y0, y1), (c0, c1, y0 + 1, y1), (c0, c1, y0, y1 - 1)):
        part = Region(*less)
        assert told(part) == [f"'{run.name}' reads {part} of 'image' but needs {needed}"]


def test_a_tile_of_padding_alone_needs_nothing_of_the_image() -> None:
    # Rows of the image are 0 to 7; row 0 of the output looks at rows -2 and -1.
    network, schedule = alone(pooled("MaxPool", 2, 2, top=2, rows=5), Cut("OY", 5))
    run = run_named(schedule, "l[1/5]")
    less = with_run(schedule, run, reads=(run.reads[0]._replace(region=Region(0, 0, 0, 0)),))
    assert list(layer_problems(network, less)) == []


def test_the_second_operand_is_read_as_one() -> None:
    other = Operand("other", (1, 4, 8, 8), 8)
    network, schedule = alone(Layer("l", "Add", (), 0, None, (IMAGE, other), (OUT,)), WHOLE, second=True)
    assert list(layer_problems(network, schedule)) == []
    run = schedule.runs[0]
    as_inputs = with_run(schedule, run, reads=tuple(read._replace(operand="I") for read in run.reads))
    assert "not all inputs of its layer" in "".join(layer_problems(network, as_inputs))


def test_what_is_spread_over_an_image_is_read_as_it_is() -> None:
    column = Operand("column", (1, 4, 1, 1), 8)
    network, schedule = alone(Layer("l", "Add", (), 0, None, (IMAGE, column), (OUT,)), WHOLE)
    assert list(layer_problems(network, schedule)) == []


def test_several_images_are_read_as_one() -> None:
    dims = LoopDims(2, 2, 2, 2, 8, 8, 1, 1, 8, 8)
    images, out = (Operand(name, (2, 4, 8, 8), 8) for name in ("images", "out"))
    weight = Operand("", (4, 2, 1, 1), 8)
    layer = Layer("l", "Conv", (), dims.iterations, dims, (images,), (out,), weight)
    network, schedule = alone(layer, WHOLE)
    assert list(layer_problems(network, schedule)) == []


def test_a_constant_is_read_by_every_tile() -> None:
    layer = Layer("l", "Mul", (), 0, None, (IMAGE,), (OUT,), constant=Operand("", (1, 4, 1, 1), 8))
    network, schedule = alone(layer, WHOLE)
    assert list(layer_problems(network, schedule)) == []
    without = with_run(schedule, schedule.runs[0], weights=None)
    assert "without the weights of these channels" in "".join(layer_problems(network, without))


def test_tiles_are_those_of_their_number() -> None:
    network, schedule = alone(conv("l", IMAGE, 4, ()), Cut("OY", 2))
    first, second = schedule.runs
    swapped = with_run(with_run(schedule, first, cut=second.cut), second, cut=first.cut)
    assert f"'l[1/2]' computes {first.output}, which is not tile (1, 2) of 'l'" in list(
        layer_problems(network, swapped)
    )
    beyond = with_run(schedule, second, cut=(2, 2))
    assert list(layer_problems(network, beyond)) == [
        "the tiles of 'l' are not numbered from 0 to 1",
        f"'l[2/2]' computes {second.output}, which is not tile (2, 2) of 'l'",
    ]


def test_a_mapping_is_needed_for_what_is_held() -> None:
    class Picky(FakeCosts):
        def option(self, tile: Layer, core: str, held: Held) -> Option | None:
            return super().option(tile, core, held) if "W" not in held else None

    network, schedule = alone(RELU, WHOLE)
    picky = replace(network, costs=Picky(network.machine, 1, refusals=False))
    assert list(layer_problems(picky, schedule)) == ["'l' has no mapping on a with ['I', 'O', 'W'] held"]


def test_buffers_may_be_kept_in_parts() -> None:
    network, schedule = small_schedule()
    stay = stay_of(schedule, "head.buffers", "b.sram")
    parts = (stay._replace(bits=1), stay._replace(bits=stay.bits - 1))
    others = tuple(s for s in schedule.stays if s != stay)
    assert list(layer_problems(network, replace(schedule, stays=(*others, *parts)))) == []
    elsewhere = (parts[0]._replace(store="a.sram"), parts[1])
    assert list(layer_problems(network, replace(schedule, stays=(*others, *elsewhere)))) == [
        f"'head' streams without {stay.bits} bits of room in b.sram"
    ]


@pytest.mark.parametrize(
    ("uses", "told"),
    [
        ((("bus", 4.0), ("port", 2.0), ("bus", 4.0)), []),
        ((("bus", 9.0), ("port", 2.0), ("link", 1.0)), []),
        ((("bus", 4.0), ("port", 2.0)), ["x takes 4.0 of bus, not 8.0"]),
        ((("bus", 7.0),), ["x takes 7.0 of bus, not 8.0", "x takes 0 of port, not 2.0"]),
    ],
)
def test_uses_of_a_resource_add_up(uses: tuple[tuple[str, float], ...], told: list[str]) -> None:
    expected = (("bus", 5.0), ("port", 2.0), ("bus", 3.0))
    assert list(missing_uses("x", uses, expected)) == told
