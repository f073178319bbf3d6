"""What must be moved in any case: parts counted once, each over the way that takes least."""

from __future__ import annotations

from dataclasses import replace

import pytest

from targets.schedule.exact.crossings import (
    Crossing,
    crossings,
    least_uses,
    move_energy,
    stage_energies,
    ways_of,
)
from targets.schedule.exact.problem import Need, Piece, Problem, part_of, problem_of
from targets.schedule.machine import OUTER, Machine, Route, Store, Word
from targets.schedule.plan import LayerChoice
from targets.schedule.regions import Region
from targets.schedule.tiles import WHOLE, Cut
from tests.targets.schedule.exact.two_cores import (
    FixedCosts,
    chain,
    elementwise,
    network,
    plan,
    two_cores,
    window,
)

ROWS = Cut("OY", 2)
# Bits of an image and of one of its rows.
WHOLE_BITS, ROW_BITS = 512, 64
Only = dict[str, tuple[str, ...]]


def chained(only: Only, machine: Machine | None = None) -> Problem:
    costs = FixedCosts({"l": 10, "m": 100}, only, {"b": 2})
    found = chain(machine or two_cores(512.0, None), costs)
    return problem_of(found, plan(found))


def windowed(cut: Cut, only: Only) -> Problem:
    """Return one layer whose tiles read rows of each other's part of the image."""
    found = network(two_cores(512.0, None), (window("l", "x", "p"),), FixedCosts({"l": 8}, only), "p")
    return problem_of(found, plan(found, cut))


def found_in(problem: Problem, tensor: str) -> list[Crossing]:
    return [move for piece in problem.pieces if piece.tensor == tensor for move in crossings(problem, piece)]


def told(problem: Problem, tensor: str) -> list[tuple[int, set[str], set[str], str]]:
    """Return bits, sources, goals and for which tile of each crossing."""
    return [
        (move.bits, set(move.sources), set(move.goals), "" if move.need is None else move.need.task.tile.name)
        for move in found_in(problem, tensor)
    ]


def priced(bits_pj: float = 0.0) -> Machine:
    """Return two cores where a bit costs 1 pJ to read outside, 1/8 on chip, and ``bits_pj`` on the link."""
    machine = two_cores(512.0, None)
    outer, inner = Word(64, 64.0), Word(64, 8.0)
    stores = {
        name: Store(name, None, *((outer,) * 2 if name == OUTER else (inner,) * 2)) for name in machine.stores
    }
    link = (Route((("link", 1.0),), 512.0, bits_pj),)
    routes = {**machine.routes, ("left", "right"): link, ("right", "left"): link}
    return replace(machine, stores=stores, routes=routes)


def test_what_layers_on_one_core_each_read_crosses() -> None:
    problem = chained({"l": ("a",), "m": ("b",)})
    assert told(problem, "x") == [(WHOLE_BITS, {OUTER}, {"left"}, "l")]
    assert told(problem, "p") == [(WHOLE_BITS, {OUTER, "left"}, {"right"}, "m")]
    assert told(problem, "q") == [(WHOLE_BITS, {"right"}, {OUTER}, "")], "delivered"


def test_what_may_be_where_it_is_read_need_not_cross() -> None:
    problem = chained({})
    assert told(problem, "x") == [(WHOLE_BITS, {OUTER}, {"left", "right"}, "l")]
    assert told(problem, "p") == []
    assert told(chained({"l": ("a",)}), "p") == [], "the core beside it may read it"


def test_what_is_streamed_from_outside_crosses_for_its_reader() -> None:
    costs = FixedCosts({"l": 10, "m": 100})
    choices = {0: LayerChoice(()), 1: LayerChoice((), held=frozenset("WO"))}
    problem = part_of(chain(two_cores(512.0, None), costs), choices)
    assert told(problem, "p") == [(WHOLE_BITS, {"left", "right"}, {OUTER}, "m")]
    assert told(problem, "x") == [(WHOLE_BITS, {OUTER}, {"left", "right"}, "l")]


@pytest.mark.parametrize(
    ("second", "count"), [(("a",), 1), (("b",), 2), (("a", "b"), 1)], ids=["same", "other", "either"]
)
def test_readers_with_a_store_in_common_share_a_move(second: tuple[str, ...], count: int) -> None:
    layers = (elementwise("l", "x", "p"), elementwise("m", "x", "q"))
    found = network(
        two_cores(1.0, None), layers, FixedCosts({"l": 8, "m": 8}, {"l": ("a",), "m": second}), "p", "q"
    )
    moves = found_in(problem_of(found, plan(found)), "x")
    assert [move.bits for move in moves] == [WHOLE_BITS] * count


@pytest.mark.parametrize(
    ("parts", "rows"),
    [
        # Rows 0 to 4, of rows 3 to 7 those from 5 on.
        (2, {"l[1/2]": 5, "l[2/2]": 3}),
        # First rows 1 to 4, of rows 3 to 6 those from 5 on, then what is left at both ends.
        (4, {"l[2/4]": 4, "l[3/4]": 2, "l[1/4]": 1, "l[4/4]": 1}),
    ],
)
def test_rows_that_overlap_count_once(parts: int, rows: dict[str, int]) -> None:
    found = told(windowed(Cut("OY", parts), {"l": ("a",)}), "x")
    assert {name: bits for bits, _, _, name in found} == {n: r * ROW_BITS for n, r in rows.items()}
    assert sum(bits for bits, *_ in found) == WHOLE_BITS


def made_up(parts: list[Region], resident: Region | None = None) -> list[int]:
    """Return the cells that cross of a piece of which parts are needed, some of them resident."""
    problem = chained({})
    lies = () if resident is None else (("left", resident),)
    needs = tuple(Need(problem.tasks[0], "I", part) for part in parts)
    piece = Piece("x", Region(0, 4, 0, 8), None, needs, False, lies)
    return [move.bits // ROW_BITS for move in crossings(problem, piece)]


def test_where_no_rows_are_left_alone_nothing_counts() -> None:
    assert made_up([Region(0, 2, 0, 4), Region(2, 4, 0, 4)]) == [8, 8], "nothing in common"
    assert made_up([Region(0, 2, 0, 4), Region(1, 4, 0, 3)]) == [9], "other channels of the same rows"
    assert made_up([Region(0, 2, 0, 8)], Region(0, 2, 2, 6)) == [], "rows above and below"
    assert made_up([Region(0, 4, 0, 8)], Region(0, 4, 0, 6)) == [8]
    assert made_up([Region(1, 3, 2, 4)], Region(0, 4, 0, 6)) == [], "all of it lies there"


def test_what_lies_in_another_store_still_counts() -> None:
    problem = chained({"l": ("b",)})
    piece = next(piece for piece in problem.pieces if piece.tensor == "x")
    lying = replace(piece, resident=(("left", piece.region),))
    move, *others = crossings(problem, lying)
    assert not others
    assert (move.bits, set(move.sources), set(move.goals)) == (WHOLE_BITS, {OUTER, "left"}, {"right"})


def test_a_part_counts_for_the_first_stage_that_needs_it() -> None:
    layers = (
        elementwise("l", "x", "p"), elementwise("m", "x", "q"), elementwise("n", "p", "r", (0,)),
    )  # fmt: skip
    costs = FixedCosts({"l": 10, "m": 100, "n": 40}, {"n": ("b",), "l": ("a",), "m": ("a",)})
    found = network(two_cores(512.0, None), layers, costs, "p", "q", "r", early=(0,))
    problem = problem_of(found, plan(found))
    stages = {piece.tensor: [m.stage for m in crossings(problem, piece)] for piece in problem.pieces}
    # The first result is delivered in its own stage, and crosses to the other core in the next one.
    assert stages == {"x": [0], "p": [0, 1], "q": [1], "r": [1]}
    source = next(piece for piece in problem.pieces if piece.tensor == "x")
    early, late = source.needs
    few = replace(source, needs=(early._replace(part=Region(0, 1, 0, 2)), late))
    # However few the rows are that are needed first, they have to be there first.
    assert [(m.stage, m.bits) for m in crossings(problem, few)] == [(0, 2 * ROW_BITS), (1, 6 * ROW_BITS)]


def test_ways_are_all_routes_from_sources_to_goals() -> None:
    machine = two_cores(4.0, None)
    fast = Route((("port", 1.0),), 512.0)
    twice = replace(
        machine, routes={**machine.routes, (OUTER, "right"): (fast, replace(fast, setup_cycles=1))}
    )
    found = ways_of(twice, frozenset((OUTER, "left")), frozenset(("right",)))
    assert [(source, goal, route.setup_cycles) for source, goal, route in found] == [
        ("left", "right", 0), (OUTER, "right", 0), (OUTER, "right", 1),
    ]  # fmt: skip
    assert ways_of(twice, frozenset(("right",)), frozenset(("right",))) == []


def test_a_resource_counts_if_every_way_takes_it() -> None:
    machine = replace(two_cores(4.0, None), moves_take=(("host", 1.0),))
    problem = chained({"l": ("a",), "m": ("b",)}, machine)
    inward, relayed = found_in(problem, "x")[0], found_in(problem, "p")[0]
    assert least_uses(machine, inward) == pytest.approx({"port": 1 / 512, "host": 1 / 512})
    # From the other core's store the link is taken, from outside the port: the host in any case.
    assert least_uses(machine, relayed) == pytest.approx({"host": 1 / 512})
    assert least_uses(machine, relayed._replace(sources=frozenset(("left",)))) == {"link": 0.25, "host": 0.25}
    # What a route takes twice of a resource adds up; of two ways that take it, the lesser counts.
    double, single = Route((("port", 0.5), ("port", 0.5)), 4.0), Route((("port", 0.5),), 8.0)
    both = replace(machine, routes={(OUTER, "left"): (double, single)}, moves_take=())
    assert least_uses(both, inward) == {"port": 0.5 / 8}
    assert least_uses(replace(both, routes={(OUTER, "left"): (double,)}), inward) == {"port": 0.25}
    assert least_uses(replace(both, routes={}), inward) == {}


@pytest.mark.parametrize(("link_pj", "per_bit"), [(0.0, 0.125 + 0.125), (0.5, 0.25 + 0.5), (9.0, 1.125)])
def test_a_move_costs_what_the_cheapest_way_does(link_pj: float, per_bit: float) -> None:
    # Over the link with its wires, or, if these are dear, from outside where it may lie as well.
    machine = priced(link_pj)
    relayed = found_in(chained({"l": ("a",), "m": ("b",)}, machine), "p")[0]
    assert move_energy(machine, relayed) == WHOLE_BITS * per_bit
    assert move_energy(replace(machine, routes={}), relayed) == 0.0


def test_energy_of_stages_is_that_of_the_cheapest_cores_and_moves() -> None:
    # Core b takes twice as long, and as much energy. In and out a bit costs 1.125 pJ.
    alone = chained({}, priced())
    assert stage_energies(alone) == [10 + 100 + 2 * WHOLE_BITS * 1.125]
    apart = chained({"l": ("a",), "m": ("b",)}, priced())
    assert stage_energies(apart) == [10 + 200 + WHOLE_BITS * (2 * 1.125 + 0.25)]
    layers = (elementwise("l", "x", "p"), elementwise("m", "p", "q", (0,)))
    costs = FixedCosts({"l": 10, "m": 100}, {"m": ("b",)}, {"b": 2})
    staged = network(priced(), layers, costs, "q", early=(0,))
    # The layer behind may read what the one before it has left in its store.
    assert stage_energies(problem_of(staged, plan(staged, WHOLE))) == [
        10 + WHOLE_BITS * 1.125,
        200 + WHOLE_BITS * 1.125,
    ]
