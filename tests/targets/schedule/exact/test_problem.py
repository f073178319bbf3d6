"""What cuts leave open: tasks and their cores, pieces and who needs which part of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.network.layer import Layer
from targets.schedule.exact.problem import Need, Piece, cells, part_of, problem_of
from targets.schedule.machine import OUTER
from targets.schedule.network import Held, Option
from targets.schedule.plan import LayerChoice, NoOptionError, Segment
from targets.schedule.regions import Region
from targets.schedule.tiles import WHOLE, Cut
from tests.targets.schedule import test_regions
from tests.targets.schedule.exact.two_cores import (
    FixedCosts,
    chain,
    elementwise,
    image,
    network,
    plan,
    two_cores,
    window,
)
from tests.targets.schedule.small_schedule import RESIDENT, STREAMED, small_schedule

ALL = Region(0, 1, 0, 8)
ROWS = Cut("OY", 2)


class Picky(FixedCosts):
    """Core ``a`` has no mapping for whole layers."""

    def option(self, tile: Layer, core: str, held: Held) -> Option | None:
        whole = tile.outputs[0].shape[2] == 8
        return None if whole and core == "a" else super().option(tile, core, held)


def piece(*parts: Region, region: Region = ALL) -> Piece:
    """Return a piece that lies outside, parts of which a task needs."""
    found = network(two_cores(1.0, None), (elementwise("l", "x", "p"),), FixedCosts({"l": 8}), "p")
    task = problem_of(found, plan(found)).tasks[0]
    return Piece("x", region, None, tuple(Need(task, "I", part) for part in parts), False, ())


def test_cores_and_order_of_a_plan_do_not_count_but_its_cuts_do() -> None:
    found = chain(two_cores(1.0, None), FixedCosts({"l": 10, "m": 100}))
    first = problem_of(found, plan(found))
    fused = (Segment((0, 1), (LayerChoice(("b",)), LayerChoice(("b",)))),)
    assert problem_of(found, fused) == first
    cut = problem_of(found, plan(found, ROWS))
    assert [(task.number, task.layer, task.tile.name) for task in cut.tasks] == [
        (0, 0, "l[1/2]"), (1, 0, "l[2/2]"), (2, 1, "m[1/2]"), (3, 1, "m[2/2]"),
    ]  # fmt: skip
    assert (first.machine, first.stages) == (found.machine, 1)


def test_a_task_has_the_cores_with_a_mapping() -> None:
    costs = Picky({"l": 80, "m": 40}, slower={"b": 3})
    found = chain(two_cores(1.0, None), costs)
    halves, whole = (problem_of(found, plan(found, cut)).tasks for cut in (ROWS, WHOLE))
    assert [list(task.options) for task in halves] == [["a", "b"]] * 4
    assert [list(task.options) for task in whole] == [["b"], ["b"]]
    assert [halves[0].cycles(core) for core in "ab"] == [40, 120]
    assert halves[0].least_cycles == 40


def test_a_tile_no_core_runs_is_refused() -> None:
    found = chain(two_cores(1.0, None), Picky({"l": 80, "m": 40}, only={"m": ("a",)}))
    with pytest.raises(NoOptionError, match="'m', 'any core'"):
        problem_of(found, plan(found))
    with pytest.raises(NoOptionError, match="'m', 'any core'"):
        part_of(found, {1: LayerChoice(("b",))})
    assert len(part_of(found, {0: LayerChoice(("b",))}).tasks) == 1


def test_an_operand_lies_with_its_core_or_outside() -> None:
    found = chain(two_cores(1.0, None), FixedCosts({"l": 10, "m": 100}))
    task = part_of(found, {0: LayerChoice(("a",), WHOLE, frozenset("I"))}).tasks[0]
    assert task.places("I") == {"left": ("a",), "right": ("b",)}
    assert task.places("O") == {OUTER: ("a", "b")}
    shared = chain(two_cores(1.0, None, shared=True), FixedCosts({"l": 10, "m": 100}))
    assert problem_of(shared, plan(shared)).tasks[0].places("O") == {"both": ("a", "b")}


@pytest.mark.parametrize(
    ("index", "held", "streams"),
    [(0, "WIO", False), (0, "IO", True), (0, "WI", True), (5, "IO", False), (5, "WO", True)],
)
def test_what_streams_takes_the_way_outside(index: int, held: str, streams: bool) -> None:
    # Layer 0 has weights; layer 5 has none, so that it does not matter where they are.
    found, _ = small_schedule()
    task = part_of(found, {index: LayerChoice(("a",), WHOLE, frozenset(held))}).tasks[0]
    assert task.uses["a"] == (
        ("a", 1.0),
        ("host", 1.0),
        *((("port", 16.0), ("bus", 16.0)) if streams else ()),
    )


def test_pieces_are_what_tiles_write_and_what_lies_outside() -> None:
    found, _ = small_schedule()
    cuts = {0: Cut("OY", 2), 1: Cut("K", 2), 2: WHOLE, 3: WHOLE, 4: WHOLE, 5: WHOLE}
    problem = part_of(found, {i: LayerChoice((), cuts[i]) for i in found.order}, RESIDENT)
    by_tensor: dict[str, list[Piece]] = {}
    for one in problem.pieces:
        by_tensor.setdefault(one.tensor, []).append(one)
    assert by_tensor.keys() == found.extents.keys(), "each tensor has its pieces"
    for tensor, own in by_tensor.items():
        assert [one.maker is None for one in own] == [tensor not in found.producer] * len(own)
        assert sum(one.region.cells for one in own) == found.extents[tensor].whole.cells
        assert {one.weights for one in own} == {tensor.endswith(".weights")}
        assert {one.delivered for one in own} == {tensor in {"head.out", "final.out"}}
        assert {one.resident for one in own} == {RESIDENT.get(tensor, ())}
    upper, lower = by_tensor["rows.out"]
    assert [one.region for one in (upper, lower)] == [Region(0, 4, 0, 4), Region(0, 4, 4, 8)]
    # Both tiles of the layer behind, which is cut along channels, read all rows of it.
    assert [need.part for need in upper.needs] == [upper.region] * 2
    assert [need.task.tile.name for need in lower.needs] == ["channels[1/2]", "channels[2/2]"]
    weights = by_tensor["channels.weights"][0]
    assert [(need.operand, need.part) for need in weights.needs] == [
        ("W", Region(0, 2, 0, 1)),
        ("W", Region(2, 4, 0, 1)),
    ]
    assert problem.bits(upper, Region(0, 4, 1, 4)) == 4 * 3 * 4 * 8


def test_layers_left_out_are_not_there_and_what_they_write_lies_outside() -> None:
    found, _ = small_schedule()
    problem = part_of(found, {3: LayerChoice(("b",))})
    assert [one.tensor for one in problem.pieces] == ["late.out", "channels.out", "late.weights"]
    assert [one.sources for one in problem.pieces[1:]] == [(OUTER,), (OUTER,)]
    decision = part_of(found, {5: LayerChoice(("a",))})
    assert [(one.tensor, one.delivered) for one in decision.pieces] == [
        ("confidence", False),
        ("head.out", False),
    ], "what layers left out deliver is there"


def test_where_a_piece_may_lie() -> None:
    found, _ = small_schedule()
    choices = {3: LayerChoice(("b",)), 4: LayerChoice(("a",), WHOLE, STREAMED)}
    made, _, _, weights, streamed = part_of(found, choices, RESIDENT).pieces
    assert [one.tensor for one in (made, weights, streamed)] == ["late.out", "late.weights", "final.weights"]
    assert made.sources == ("a.sram", "b.sram")
    assert made.holders == {"a.sram", "b.sram", OUTER}
    assert streamed.holders == {OUTER}, "weights that are not held"
    assert replace(weights, resident=()).holders == {"a.sram", "b.sram", OUTER}
    assert weights.lies(Region(2, 3, 0, 1), "b.sram")
    assert not weights.lies(Region(2, 3, 0, 1), "a.sram")
    half = replace(weights, resident=(("b.sram", Region(0, 3, 0, 1)),))
    assert not half.lies(Region(2, 4, 0, 1), "b.sram")


def test_one_move_carries_a_part_or_the_rows_behind_those_that_came_before() -> None:
    upper, middle, lower = Region(0, 1, 0, 4), Region(0, 1, 2, 6), Region(0, 1, 4, 8)
    found = piece(upper, middle, lower)
    assert found.loads(upper) == (upper,)
    assert found.loads(middle) == (middle, Region(0, 1, 4, 6)), "behind the upper"
    assert found.loads(lower) == (lower, Region(0, 1, 6, 8)), (
        "behind the middle; the upper ends where it begins"
    )
    # The last row of the middle comes with its own rest, or with all of the lower.
    assert [found.least_load(part) for part in (upper, middle, lower)] == [
        upper, Region(0, 1, 4, 6), Region(0, 1, 6, 8),
    ]  # fmt: skip


def test_rows_of_fewer_channels_do_not_shorten_a_load() -> None:
    narrow, wide = Region(0, 2, 0, 4), Region(0, 4, 2, 8)
    found = piece(narrow, wide, region=Region(0, 4, 0, 8))
    assert found.loads(wide) == (wide,)
    assert piece(Region(0, 4, 0, 4), Region(1, 3, 2, 8)).loads(Region(1, 3, 2, 8)) == (
        Region(1, 3, 2, 8),
        Region(1, 3, 4, 8),
    )


def test_a_layer_with_several_outputs_makes_a_piece_of_each() -> None:
    split = Layer("l", "Split", (), 0, None, (image("x"),), (image("p"), image("q")))
    found = network(
        two_cores(1.0, None), (split, elementwise("m", "q", "r", (0,))), FixedCosts({"l": 8, "m": 8})
    )
    left, right, *_ = problem_of(found, plan(found)).pieces
    assert [(one.tensor, one.region, len(one.needs)) for one in (left, right)] == [
        ("p", ALL, 0),
        ("q", ALL, 1),
    ]
    assert left.maker == right.maker


def test_tiles_of_rows_need_the_rows_around_them() -> None:
    layers = (elementwise("l", "x", "p"), window("m", "p", "q", (0,)))
    found = network(two_cores(1.0, None), layers, FixedCosts({"l": 8, "m": 8}), "q")
    pieces = [one for one in problem_of(found, plan(found, ROWS)).pieces if one.tensor == "p"]
    inputs = [one for one in problem_of(found, plan(found, ROWS)).pieces if one.tensor == "x"]
    assert [[need.part for need in one.needs] for one in inputs] == [[Region(0, 1, 0, 4), Region(0, 1, 4, 8)]]
    # Of rows 0 to 3 the upper tile reads all, the lower one the last; of rows 4 to 7 the first and all.
    assert [[need.part for need in one.needs] for one in pieces] == [
        [Region(0, 1, 0, 4), Region(0, 1, 3, 4)],
        [Region(0, 1, 4, 5), Region(0, 1, 4, 8)],
    ]
    alone = chain(two_cores(1.0, None), FixedCosts({"l": 8, "m": 8}))
    pieces = [one for one in problem_of(alone, plan(alone, ROWS)).pieces if one.tensor == "p"]
    assert [[need.part for need in one.needs] for one in pieces] == [[one.region] for one in pieces]


@given(test_regions.regions(), st.lists(test_regions.regions(), max_size=5))
def test_cells_are_a_part_cut_at_the_borders_of_loads(part: Region, loads: list[Region]) -> None:
    found = cells(part, loads)
    inside = [cell for one in found for cell in test_regions.cells(one)]
    assert sorted(inside) == sorted(test_regions.cells(part)), "each cell once"
    for load in loads:
        assert all(one.within(load) or one.meet(load) is None for one in found)
    borders = {part.y0, part.y1, *(y for load in loads if part.meet(load) for y in (load.y0, load.y1))}
    assert all(b.y0 in borders for a, b in pairwise(found) if a.y1 == b.y0), "cut nowhere else"
