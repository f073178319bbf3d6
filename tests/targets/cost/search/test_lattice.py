"""Points of the lattice, and what mappings through them cost."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from targets.cost.model.energy import accesses
from targets.cost.model.nest import Shape
from targets.cost.model.traffic import both_chains, served
from targets.cost.model.unrolling import place
from targets.cost.search.lattice import Boundary, Lattice, boundaries
from targets.description.hierarchy import Hierarchy
from tests.targets.cost.small import WIDE, core, mapped, matmul, memory, outer, register
from tests.targets.cost.strategies import Case, cases

ONE = {"D1": 1}
# The loops C 4, D 1 and K 6.
SHAPE = Shape(matmul(c=4, k=6))
LATTICE = Lattice(SHAPE, (4, 1, 6))
SUMS = ("O from_below", "O to_above", "O from_above", "O to_below")


def test_points_are_how_often_each_factor_lies_below() -> None:
    assert LATTICE.axes == ((0, 2), (2, 2), (2, 3)) and LATTICE.shape == (3, 2, 2)
    assert LATTICE.count == 12
    points = [tuple(extents) for extents in LATTICE.extents.tolist()]
    assert set(points) == {(c, 1, k) for c in (1, 2, 4) for k in (1, 2, 3, 6)}
    assert points[0] == (1, 1, 1) and points[-1] == (4, 1, 6)
    assert LATTICE.cycles.tolist() == [c * d * k for c, d, k in points]


def test_a_limit_leaves_the_factors_of_the_limited_search() -> None:
    """Four prime factors; at three, the first loop of those with most has its own merged."""
    limited = Lattice(SHAPE, (4, 1, 6), limit=3)
    assert limited.axes == ((0, 4), (2, 2), (2, 3)) and limited.count == 8


def test_without_iterations_there_is_one_point() -> None:
    alone = Lattice(SHAPE, (1, 1, 1))
    assert alone.count == 1 and alone.cycles.tolist() == [1]
    assert alone.factors_between(0, 0) == []


def test_loops_are_finished_or_untouched() -> None:
    """C is done at 4, both C and K at the top alone."""
    loops = np.array([True, False, False])
    done = [extents for extents, yes in zip(LATTICE.extents, LATTICE.finished(loops), strict=True) if yes]
    assert [tuple(e) for e in done] == [(4, 1, 1), (4, 1, 3), (4, 1, 2), (4, 1, 6)]
    none = [extents for extents, yes in zip(LATTICE.extents, LATTICE.untouched(loops), strict=True) if yes]
    assert [tuple(e) for e in none] == [(1, 1, 1), (1, 1, 3), (1, 1, 2), (1, 1, 6)]
    every = np.array([True, True, True])
    assert np.flatnonzero(LATTICE.finished(every)).tolist() == [11]
    assert np.flatnonzero(LATTICE.untouched(every)).tolist() == [0]


def test_between_two_points_lie_the_factors_of_one_over_the_other() -> None:
    for inner in range(LATTICE.count):
        for outer_point in range(LATTICE.count):
            ratio = LATTICE.extents[outer_point] / LATTICE.extents[inner]
            if (ratio < 1).any() or (ratio % 1).any():
                continue
            between = LATTICE.factors_between(inner, outer_point)
            got = [math.prod(f for loop, f in between if loop == i) for i in range(3)]
            assert got == ratio.tolist()


def of_hierarchy(level: Hierarchy, shape: Shape = SHAPE) -> dict[tuple[str, int], Boundary]:
    """Return the boundaries with nothing unrolled."""
    placed = place(shape, level, {}, {})
    lattice = Lattice(shape, placed.remaining)
    found = boundaries(shape, level, placed, {}, lattice)
    return {(op, b.level): b for op, bs in found.items() for b in bs}


def at(extents: tuple[int, int, int]) -> int:
    return LATTICE.extents.tolist().index(list(extents))


def test_outermost_memories_have_no_boundary() -> None:
    found = of_hierarchy(core(ONE, register_W=register("W"), outer=outer({}, ONE)))
    assert {key: b.memory for key, b in found.items()} == {
        ("O", -1): "",
        ("I", -1): "",
        ("W", -1): "",
        ("W", 0): "register_W",
    }


def test_a_memory_may_be_full_where_it_holds_what_lies_below() -> None:
    """A register of six weights of a byte: C times K below it."""
    found = of_hierarchy(core(ONE, register_W=register("W", 48), outer=outer({}, ONE)))["W", 0]
    assert found.held_bits.tolist() == [8 * c * k for c, _, k in LATTICE.extents]
    assert found.allowed.tolist() == [c * k <= 6 for c, _, k in LATTICE.extents]


def test_flows_by_hand() -> None:
    """Below a register lie C 2 and K 3: six weights of a byte, four times, out of 32 bits and into 20."""
    slow = memory("W", 10**6, {"W from_above": 20, "W to_below": WIDE})
    found = of_hierarchy(core(ONE, register_W=slow, outer=outer({"W to_below": 32}, ONE)))["W", 0]
    told = {
        f.port: (f.direction, f.bits[at((2, 1, 3))], f.real[at((2, 1, 3))], f.count[at((2, 1, 3))])
        for f in found.flows
    }
    assert told == {
        ("register_W", "port_0"): ("from_above", 48, 3, 4),
        ("outer", "port_0"): ("to_below", 48, 2, 4),
    }
    # Four times three and two words of 1 pJ each: a word is as wide as its port.
    assert found.energy_pj[at((2, 1, 3))] == 4 * 3 + 4 * 2


def test_inputs_stay_in_the_multipliers_while_nothing_they_need_runs() -> None:
    """K leaves the inputs where they are, and outputs stay for no loop at all."""
    found = of_hierarchy(core(ONE, outer=outer({"I to_below": 8}, ONE)))
    stays = found["I", -1]
    assert stays.allowed.tolist() == [c == 1 for c, _, _ in LATTICE.extents]
    assert stays.energy_pj[at((1, 1, 6))] == 4 and stays.energy_pj[0] == 24
    assert found["O", -1].allowed.tolist() == [True] + [False] * 11


@pytest.mark.parametrize("missing", ["O from_above", "O to_below"])
def test_without_a_way_back_all_that_reduces_lies_below(missing: str) -> None:
    """Either the sums themselves cannot be read to be added to, or what has left cannot return."""
    sums = memory("O", 10**6, {move: WIDE for move in SUMS if move != missing})
    found = of_hierarchy(core(ONE, sums=sums, outer=outer({}, ONE)))
    if missing == "O from_above":
        assert found["O", 0].allowed.tolist() == [c == 4 for c, _, _ in LATTICE.extents]
    else:
        assert not found["O", -1].allowed.any()


def test_sums_above_the_innermost_memory_may_be_final() -> None:
    """At least final ones: if C ends below the memory below; else wide ones."""
    bits = (("W", 8), ("I", 8), ("O", 32), ("O_final", 8))
    shape = Shape(replace(SHAPE.nest, bits=bits))
    ports = dict.fromkeys(SUMS, WIDE)
    level = core(ONE, sums=memory("O", 10**6, ports), buffer=memory("O", 10**6, ports), outer=outer({}, ONE))
    found = of_hierarchy(level, shape)
    inner, upper = found["O", 0], found["O", 1]
    # C is still to come when the innermost takes its first.
    assert inner.held_bits.tolist() == inner.wide_bits.tolist() == [32 * k for _, _, k in LATTICE.extents]
    assert upper.held_bits.tolist() == [(8 if c == 4 else 32) * k for c, _, k in LATTICE.extents]
    assert upper.wide_bits.tolist() == [32 * k for _, _, k in LATTICE.extents]


def unrolled_sums(*served: tuple[str, ...]) -> dict[int, Boundary]:
    """Return the boundaries of an output that two units add up; memories serve these dimensions."""
    nest = replace(matmul(c=2), bits=(("W", 8), ("I", 8), ("O", 32), ("O_final", 8)))
    two = {"D1": 2}
    ports = dict.fromkeys(SUMS, WIDE)
    memories = {f"sums_{i}": memory("O", 10**6, ports, own) for i, own in enumerate(served)}
    level = core(two, **memories, outer=outer({}, two))
    shape = Shape(nest)
    placed = place(shape, level, {"D1": {"C": 2}}, {})
    found = boundaries(shape, level, placed, {}, Lattice(shape, placed.remaining))
    return {b.level: b for b in found["O"]}


def test_units_that_are_added_up_further_out_exchange_partial_sums() -> None:
    shared, apart = unrolled_sums(("D1",)), unrolled_sums(())
    assert [f.direction for f in shared[-1].flows] == ["from_below"]
    assert [f.direction for f in apart[-1].flows] == ["from_below", "to_below"]
    assert shared[0].held_bits.tolist() == [8] and apart[0].held_bits.tolist() == [32]
    # So does the memory above it, unless it is the one where they meet.
    assert unrolled_sums((), ("D1",))[1].held_bits.tolist() == [8]
    assert unrolled_sums((), ())[1].held_bits.tolist() == [32]


def test_final_sums_do_not_come_back() -> None:
    sums = memory("O", 10**6, dict.fromkeys(SUMS, WIDE))
    found = of_hierarchy(core(ONE, sums=sums, outer=outer({}, ONE)))["O", 0]
    for flow in found.flows:
        up = flow.direction in ("to_above", "from_below")
        moving = [up or c < 4 for c, _, _ in LATTICE.extents]
        assert (flow.count > 0).tolist() == (flow.bits > 0).tolist() == moving


def point_in(lattice: Lattice, shape: Shape, loops: tuple[tuple[str, int], ...]) -> int:
    """Return the point with these loops below."""
    extents = [1.0] * len(shape.names)
    for loop, size in loops:
        extents[shape.index[loop]] *= size
    return lattice.extents.tolist().index(extents)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_what_a_mapping_moves_depends_on_its_points_alone(case: Case) -> None:
    """Energy is the sum over the points, and the flows there are the transfers; see the tests of traffic."""
    batch, levels, placed = mapped(case.nest, case.core, case.mapping)
    mean, whole = both_chains(batch, levels, placed)
    lattice = Lattice(batch.shape, placed.remaining)
    energy_pj, flows = 0.0, {}
    for op, found in boundaries(batch.shape, case.core, placed, {}, lattice).items():
        for boundary in found:
            if boundary.level >= 0:
                prefix = int(mean[op].ends[boundary.level][0])
            else:
                prefix = 0 if op == "O" else int(batch.resume[op][0, 0])
            point = point_in(lattice, batch.shape, case.mapping.loops[:prefix])
            assert boundary.allowed[point]
            energy_pj += boundary.energy_pj[point]
            for flow in boundary.flows:
                if flow.bits[point]:
                    figures = flow.bits[point], flow.real[point], flow.count[point]
                    flows[op, *flow.port, flow.direction] = figures
    assert energy_pj == pytest.approx(sum(float(a.energy_pj[0]) for a in accesses(case.core, mean, {})))
    expected = {}
    for found_move in served(case.core, whole, {}):
        move, port = found_move.move, found_move.port
        bits = float(move.elements[0] * move.bits[0])
        if port is not None and move.count[0] and bits:
            real = math.ceil(bits / port.bandwidth_bits_per_cycle)
            expected[move.operand, found_move.name, port.name, move.direction] = bits, real, move.count[0]
    assert flows == expected
