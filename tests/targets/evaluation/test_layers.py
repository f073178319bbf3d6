"""What a layer costs over its tiles and cores, from schedules made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from targets.cost.layer_cost import LayerCost
from targets.diana.target import DianaTarget
from targets.evaluation.layers import LayerReport, layer_reports
from targets.evaluation.scheduling import Planned
from targets.schedule.plan import LayerChoice, Plan, Segment
from targets.schedule.regions import Region
from targets.schedule.result import Move, Run
from targets.testing.conformance import sample_layer
from tests.targets.evaluation.test_document import solution
from tests.targets.schedule.made_schedules import move, network, run, schedule

ALONE = (Segment((0,), (LayerChoice(("a",)),)), Segment((1,), (LayerChoice(("a",)),)))


def tile(
    core: str, start: int, cycles: int, number: int = 0, count: int = 1, layer: int = 0, **cost: object
) -> Run:
    """Return a tile of channels that computes for ``cycles``."""
    made = run(core, start, (0, 0, 0, cycles, 0, 0, 0), layer, cut=(number, count))
    return made._replace(cost=replace(made.cost, **cost), output=Region(number, number + 1, 0, 4))  # type: ignore[arg-type]


def reports(runs: Sequence[Run], moves: Sequence[Move] = (), plan: Plan = ALONE) -> tuple[LayerReport, ...]:
    planned = Planned(network(), plan, schedule(runs, moves), {}, None, ())
    return layer_reports(planned, DianaTarget())


def test_cycles_are_those_of_the_busiest_core_and_energy_that_of_all() -> None:
    runs = [
        tile("a", 0, 10, 0, 3, energy_pj=1.0, bound_cycles=4, utilization=0.5),
        tile("b", 0, 15, 1, 3, energy_pj=2.0, bound_cycles=5, utilization=0.8),
        tile("a", 12, 8, 2, 3, energy_pj=4.0, bound_cycles=6, utilization=1.0),
    ]
    (found,) = reports(runs)
    assert (found.core, found.cores, found.tiles) == ("a", ("a", "b"), 3)
    assert (found.cost.latency_cycles, found.cost.bound_cycles) == (18, 10), "of core a, without the gap"
    assert found.cost.energy_pj == found.energy_pj == 7.0
    assert found.cost.utilization == pytest.approx((5 + 12 + 8) / (2 * 18)), "of both cores for 18 cycles"
    assert (found.start_cycle, found.end_cycle) == (0, 20)


def test_of_equally_busy_cores_the_first_by_name_counts() -> None:
    (found,) = reports([tile("b", 0, 10, 0, 2), tile("a", 0, 10, 1, 2)])
    assert found.core == "a"


def test_the_mapping_is_that_of_the_first_tile() -> None:
    first, second = solution(1.0), solution(2.0)
    (found,) = reports([tile("a", 5, 10, 1, 2, detail=second), tile("a", 20, 10, 0, 2, detail=first)])
    assert found.cost.detail is first


def test_no_core_is_more_than_used() -> None:
    (found,) = reports([tile("a", 0, 10, utilization=1.25)])
    assert found.cost.utilization == 1.0
    (idle,) = reports([tile("a", 0, 0)])
    assert idle.cost.utilization == 0.0


@pytest.mark.parametrize(
    ("regions", "axis"),
    [
        ([Region(0, 4, 0, 4)], ""),
        ([Region(0, 2, 0, 4), Region(2, 4, 0, 4)], "K"),
        ([Region(0, 4, 0, 2), Region(0, 4, 2, 4)], "OY"),
    ],
)
def test_the_axis_of_a_cut_is_that_in_which_tiles_differ(regions: list[Region], axis: str) -> None:
    count = len(regions)
    runs = [tile("a", 9 * i, 9, i, count)._replace(output=region) for i, region in enumerate(regions)]
    (found,) = reports(runs)
    assert (found.axis, found.tiles) == (axis, count)


def test_moves_count_for_the_layer_they_are_for_and_shares_add_up() -> None:
    runs = [tile("a", 0, 10, energy_pj=2.0), tile("a", 20, 10, layer=1, energy_pj=3.0)]
    moves = [
        move("image", 0, 1, (), 0, energies_pj=(1.0, 0.5, 0.5)),
        move("middle", 11, 1, (), 1, energies_pj=(0.0, 1.0, 0.0)),
        move("last", 31, 1, (), 1, energies_pj=(0.0, 0.0, 2.0)),
    ]
    first, second = reports(runs, moves)
    assert (first.move_energy_pj, second.move_energy_pj) == (2.0, 3.0)
    assert (first.energy_pj, second.energy_pj) == (4.0, 6.0)
    assert (first.share, second.share) == (0.4, 0.6)
    assert [r.share for r in reports([tile("a", 0, 10)])] == [0.0], "of nothing there are no shares"


def test_layers_belong_to_their_first_exit_and_come_in_the_order_of_the_network() -> None:
    found = reports([tile("b", 0, 10, layer=1), tile("a", 20, 10)])
    assert [(r.name, r.exit, r.start_cycle) for r in found] == [("first", "early", 20), ("second", "late", 0)]
    assert [r.group for r in found] == [None, None]
    assert [r.name for r in reports([tile("a", 0, 10, layer=1)])] == ["second"], "the other one is refused"


def test_groups_are_those_of_fused_layers() -> None:
    fused = (Segment((0, 1), (LayerChoice(("a",)), LayerChoice(("a",)))),)
    runs = [tile("a", 0, 10), tile("a", 10, 10, layer=1)]
    assert [r.group for r in reports(runs, plan=fused)] == [1, 1]
    later = (Segment((2, 3), (LayerChoice(("a",)),) * 2), *fused)
    assert [r.group for r in reports(runs, plan=later)] == [2, 2]


def test_cores_that_decline_are_told() -> None:
    """The layer fits every rule as it is; a sum has two operands."""
    assert reports([tile("a", 0, 10)])[0].declined == ()
    seen = network()
    odd = replace(seen.workload.layers[0], op_type="Add")
    workload = replace(seen.workload, layers=(odd, *seen.workload.layers[1:]))
    planned = Planned(replace(seen, workload=workload), ALONE, schedule([tile("a", 0, 10)]), {}, None, ())
    (found,) = layer_reports(planned, DianaTarget())
    assert [reason.core for reason in found.declined] == ["digital", "simd"]


def test_bits_are_the_widest_of_each_side() -> None:
    layer = sample_layer("Add")
    wide = replace(layer, inputs=(layer.inputs[0], replace(layer.inputs[1], bits=16)))
    cost = LayerCost(1, 0, 0, 0, 0.0, 1.0, 1, "placeholder")
    report = LayerReport(wide, "a", cost, 0.0, 0.0, "final", (), ("a",), 1, "", 0, 1, None)
    assert report.bits == (None, 16, 8)
    bare = replace(report, layer=replace(sample_layer("Conv", weight_bits=2), inputs=(), outputs=()))
    assert bare.bits == (2, 0, 0)
