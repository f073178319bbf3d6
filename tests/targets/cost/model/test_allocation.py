"""Which loops run below which memory: by hand, and one order and one memory at a time."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from targets.cost.model import allocation
from targets.cost.model.allocation import allocate, fitting, rooms
from targets.cost.model.batch import Batch
from targets.cost.model.nest import LoopNest, Shape
from targets.cost.model.unrolling import Placed, place
from targets.cost.search.orderings import all_orders, temporal_factors
from targets.description.hierarchy import Hierarchy
from targets.description.mapping import Mapping
from tests.targets.cost.small import LARGE, WIDE, core, mapped, matmul, memory, outer, register
from tests.targets.cost.strategies import Case, cases

ONE = {"D1": 1}
Order = tuple[tuple[str, int], ...]
Ends = dict[str, tuple[int, ...]]


def allocated(
    level: Hierarchy, nest: LoopNest, order: Order, most: bool = True, links: dict[str, str] | None = None
) -> tuple[Ends, bool]:
    """Return the levels of one order with nothing unrolled, and whether it fits."""
    shape = Shape(nest)
    batch = Batch(
        shape,
        np.array([[shape.index[loop] for loop, _ in order]], np.int64),
        np.array([[size for _, size in order]], np.int64),
    )
    placed = place(shape, level, {}, links or {})
    levels, fits = allocate(batch, level, placed, links or {}, most)
    assert fitting(batch, level, placed, links or {}, levels)[0] == fits[0], "one rule for both"
    return {op: tuple(int(end[0]) for end in ends) for op, ends in levels.items()}, bool(fits[0])


def test_a_register_takes_what_leaves_least_to_fetch() -> None:
    """Weights in the order K 4, D 2, K 2, 16 fetched with none or the first below, 8 with D or all.

    Four fit, so that D, which takes no room, is the last one.
    """
    level = core(ONE, register_W=register("W", 4 * 8), outer=outer({}, ONE))
    found, fits = allocated(level, matmul(d=2, k=8), (("K", 4), ("D", 2), ("K", 2)))
    assert fits and found == {"W": (2, 3), "I": (3,), "O": (3,)}


@pytest.mark.parametrize(("most", "end"), [(True, 2), (False, 1)])
def test_of_equal_allocations_one_holds_most_the_other_least(most: bool, end: int) -> None:
    """Eight weights are fetched one by one or all at once, as long as D runs below."""
    level = core(ONE, register_W=register("W", 64), outer=outer({}, ONE))
    assert allocated(level, matmul(d=4, k=8), (("D", 4), ("K", 8)), most)[0]["W"] == (end, 2)


@pytest.mark.parametrize(("first", "weights", "inputs"), [("W", 1, 0), ("I", 0, 1)])
def test_of_operands_that_save_alike_the_first_of_the_memory_goes_first(
    first: str, weights: int, inputs: int
) -> None:
    """The loop C needs two weights and two inputs, of which either spares nothing; three elements fit."""
    buffer = memory(
        "WI", 24, dict.fromkeys(("I from_above", "I to_below", "W from_above", "W to_below"), WIDE), ("D1",)
    )
    buffer = buffer.model_copy(update={"operands": ("W", "I") if first == "W" else ("I", "W")})
    level = core(ONE, buffer=buffer, outer=outer({}, ONE))
    found, _ = allocated(level, matmul(c=2), (("C", 2),))
    assert (found["W"][0], found["I"][0]) == (weights, inputs)


@pytest.mark.parametrize(("size_bits", "fits"), [(8 * 12 + 8 * 3 + 8 * 4, True), (8 * 19 - 1, False)])
def test_the_outermost_memory_must_hold_everything(size_bits: int, fits: bool) -> None:
    """Twelve weights, three inputs and four outputs of a byte."""
    ports = dict.fromkeys(("W to_below", "I to_below", "O to_below", "O from_below"), WIDE)
    level = core(ONE, only=memory("WIO", size_bits, ports, ("D1",)))
    found, fitted = allocated(level, matmul(c=3, k=4), (("C", 3), ("K", 4)))
    assert found == {"W": (2,), "I": (2,), "O": (2,)} and fitted is fits


NARROWED = (("W", 8), ("I", 8), ("O", 16), ("O_final", 8))
SUMS = dict.fromkeys(("O from_below", "O to_above", "O from_above", "O to_below"), WIDE)


@pytest.mark.parametrize(("size_bits", "fits"), [(16, True), (15, False)])
def test_sums_are_as_wide_as_they_are_while_something_reduces(size_bits: int, fits: bool) -> None:
    """A register of one sum of 16 bits that ends as 8: C is to come when it takes its first."""
    level = core(ONE, sums=memory("O", size_bits, SUMS), outer=outer({}, ONE))
    found, fitted = allocated(level, replace(matmul(c=3), bits=NARROWED), (("C", 3),))
    assert fitted is fits
    if fits:
        assert found["O"] == (1, 1)


@pytest.mark.parametrize(("served", "size_bits"), [(("D1",), 8), ((), 16)])
def test_sums_of_units_that_are_added_further_out_are_wide(served: tuple[str, ...], size_bits: int) -> None:
    """Two units add up one output: in a register for both it is final, in one of each it is not."""
    two = {"D1": 2}
    for bits, fits in ((size_bits, True), (size_bits - 1, False)):
        level = core(two, sums=memory("O", bits, SUMS, served), outer=outer({}, two))
        shape = Shape(replace(matmul(c=2), bits=NARROWED))
        batch = Batch(shape, np.zeros((1, 0), np.int64), np.zeros((1, 0), np.int64))
        placed = place(shape, level, {"D1": {"C": 2}}, {})
        assert allocate(batch, level, placed, {})[1].tolist() == [fits]


@pytest.mark.parametrize(("end", "fits"), [(1, True), (0, False)])
def test_a_buffer_holds_final_sums_if_all_that_reduces_lies_below_the_memory_below_it(
    end: int, fits: bool
) -> None:
    """Two outputs in 16 bits: final ones fit, partial ones take 32."""
    level = core(ONE, sums=memory("O", 16, SUMS), buffer=memory("O", 16, SUMS, ("D1",)), outer=outer({}, ONE))
    mapping = Mapping({}, (("C", 3), ("K", 2)), {"O": (end, 2, 2), "I": (2,), "W": (2,)})
    batch, levels, placed = mapped(replace(matmul(c=3, k=2), bits=NARROWED), level, mapping)
    assert fitting(batch, level, placed, {}, levels).tolist() == [fits]


def test_what_must_lie_in_a_memory_leaves_less_room_for_others() -> None:
    """Five bytes: four inputs have no memory further out, so that one weight has room, not two."""
    buffer = dict.fromkeys(("I to_below", "W from_above", "W to_below"), WIDE)
    ports = dict.fromkeys(("W to_below", "O to_below", "O from_below"), WIDE)
    level = core(ONE, buffer=memory("WI", 5 * 8, buffer, ("D1",)), outer=memory("WO", LARGE, ports, ("D1",)))
    found, fits = allocated(level, matmul(d=4, k=2), (("K", 2), ("D", 4)))
    assert fits and found == {"W": (0, 2), "I": (2,), "O": (2,)}


def test_a_linked_operand_goes_where_the_other_would() -> None:
    """The second input of a sum uses the memories of W as if they were its own."""
    sums = LoopNest(
        (("K", 4),),
        ("O", "I"),
        (("O", frozenset({"K"})), ("I", frozenset({"K"}))),
        (),
        (("I", 8), ("O", 8), ("O_final", 8)),
    )
    level = core(ONE, register_W=register("W", 16), outer=outer({}, ONE))
    assert allocated(level, sums, (("K", 2), ("K", 2)))[0]["I"] == (2,)
    assert len(allocated(level, sums, (("K", 2), ("K", 2)), links={"I": "W"})[0]["I"]) == 2


def one_by_one(case: Case, shape: Shape, placed: Placed, order: list[tuple[int, int]]) -> Ends | None:
    """Allocate one order, trying all combinations per memory; ``None`` if it does not fit."""
    nest, level = case.nest, case.core
    users, count = list(nest.operands), len(order)
    extents = [np.ones(len(shape.names))]
    for loop, size in order:
        extents.append(extents[-1].copy())
        extents[-1][loop] *= size
    ends: dict[str, list[int]] = {op: [] for op in users}

    def bits(op: str, prefix: int) -> float:
        """Return bits in one instance if ``prefix`` loops run below this memory."""
        inner, height = (ends[op] or [0])[-1], len(ends[op])
        held = round(float(shape.footprint(op, extents[prefix] * placed.mean[op].inside[height + 1])), 6)
        if op != "O":
            return held * shape.bits[op]
        left = any(shape.irrelevant["O"][loop] for loop, _ in order[inner:])
        return held * shape.bits["O" if left or placed.mean["O"].reduces[height + 1] else "O_final"]

    for name, there in level.memories.items():
        here = [op for op in there.operands if op in users]
        choices = []
        for op in here:
            outermost = level.levels(op)[-1][0] == name
            choices.append([count] if outermost else range((ends[op] or [0])[-1], count + 1))
        best: tuple[float, tuple[int, ...]] | None = None
        for chosen in itertools.product(*choices):
            if sum(bits(op, prefix) for op, prefix in zip(here, chosen, strict=True)) > there.size_bits:
                continue
            fetched = sum(
                math.prod(size for _, size in order[prefix:]) * bits(op, prefix)
                for op, prefix in zip(here, chosen, strict=True)
                if level.levels(op)[-1][0] != name
            )
            if best is None or (fetched, [-p for p in chosen]) <= (best[0], [-p for p in best[1]]):
                best = fetched, chosen
        if here and best is None:
            return None
        for op, prefix in zip(here, best[1] if best else (), strict=True):
            ends[op].append(prefix)
    return {op: tuple(found) for op, found in ends.items()}


@settings(max_examples=40, deadline=None)
@given(cases(whole=True))
def test_orders_side_by_side_are_allocated_as_one_by_one(case: Case) -> None:
    """Whole unrollings: with means, equal allocations are equal up to rounding only."""
    shape = Shape(case.nest)
    placed = place(shape, case.core, case.mapping.spatial, {})
    loops, sizes = all_orders(temporal_factors(placed.remaining, 3))
    assume(loops.shape[1] <= 3)
    batch = Batch(shape, loops, sizes)
    levels, fits = allocate(batch, case.core, placed, {})
    assert fitting(batch, case.core, placed, {}, levels)[fits].all()
    for row in range(len(loops)):
        order = list(zip(loops[row].tolist(), sizes[row].tolist(), strict=True))
        expected = one_by_one(case, shape, placed, order)
        assert bool(fits[row]) == (expected is not None)
        if expected is not None:
            assert {op: tuple(int(end[row]) for end in ends) for op, ends in levels.items()} == expected


def test_a_larger_register_may_leave_no_room_further_out() -> None:
    """The order K 8, D 4 of 8 weights and 4 inputs, under a buffer of 8 elements for both.

    A register of one weight leaves the choice to the buffer. One of 8 takes them all, since that saves
    fetches; the buffer has to hold what the register holds, and an input has no place beside it.
    """
    nest = matmul(d=4, k=8)
    shape = Shape(nest)
    buffer = dict.fromkeys(("I from_above", "I to_below", "W from_above", "W to_below"), WIDE)
    batch_loops = np.array([[shape.index["K"], shape.index["D"]]], np.int64)
    for size_bits, fits in ((8, True), (64, False)):
        level = core(
            ONE,
            register_W=register("W", size_bits),
            buffer=memory("WI", 64, buffer, ("D1",)),
            outer=outer({}, ONE),
        )
        batch = Batch(shape, batch_loops, np.array([[8, 4]], np.int64))
        levels, found = allocate(batch, level, place(shape, level, {}, {}), {})
        assert found.tolist() == [fits]
        assert int(levels["W"][0][0]) == (0 if fits else 2)


def test_combinations_looked_at_in_turns_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = Shape(matmul(d=6, c=6, k=6))
    buffer = dict.fromkeys(("I from_above", "I to_below", "W from_above", "W to_below"), WIDE)
    level = core(ONE, buffer=memory("WI", 200, buffer, ("D1",)), outer=outer({}, ONE))
    placed = place(shape, level, {}, {})
    batch = Batch(shape, *all_orders(temporal_factors(placed.remaining, None)))
    levels, fits = allocate(batch, level, placed, {})
    monkeypatch.setattr(allocation, "MAX_COMBINATIONS", 7**2 * 13)
    again, fits_again = allocate(batch, level, placed, {})
    assert (fits == fits_again).all()
    assert all((a == b).all() for op in levels for a, b in zip(levels[op], again[op], strict=True))


@settings(max_examples=12, deadline=None)
@given(cases(), st.integers(2, 64))
def test_a_larger_last_buffer_keeps_every_order(case: Case, factor: int) -> None:
    """Only the buffer below the outermost memory: more room further in may crowd it, see above."""
    inner = list(case.core.memories)[-2:-1]
    assume(inner == ["buffer"])
    level = case.core.memories["buffer"]
    larger = level.model_copy(update={"size_bits": level.size_bits * factor})
    core = case.core.model_copy(update={"memories": case.core.memories | {"buffer": larger}})
    shape = Shape(case.nest)
    placed = place(shape, case.core, case.mapping.spatial, {})
    batch = Batch(shape, *all_orders(temporal_factors(placed.remaining, 4)))
    _, fits = allocate(batch, case.core, placed, {})
    _, fits_larger = allocate(batch, core, placed, {})
    assert not (fits & ~fits_larger).any()


@pytest.mark.parametrize(("order", "bits"), [((("C", 2), ("D", 4)), 8), ((("D", 4), ("C", 2)), 16)])
def test_results_take_the_width_of_partial_sums_until_they_are_complete(order: Order, bits: int) -> None:
    """With C inside, the register adds up and hands on results; with C outside, four partial sums wait."""
    nest = replace(matmul(d=4, c=2), bits=(("W", 8), ("I", 8), ("O", 16), ("O_final", 8)))
    level = core(
        ONE,
        register_O=memory("O", 16, {"O from_above, O from_below": WIDE, "O to_above, O to_below": WIDE}),
        buffer_O=memory("O", LARGE, {"O from_above, O from_below": WIDE, "O to_above, O to_below": WIDE}),
        outer=outer({}, ONE),
    )
    shape = Shape(nest)
    batch = Batch(
        shape,
        np.array([[shape.index[loop] for loop, _ in order]], np.int64),
        np.array([[size for _, size in order]], np.int64),
    )
    placed = place(shape, level, {}, {})
    inner = 1 if order[0][0] == "C" else 0
    ends = {"W": (2,), "I": (2,), "O": (inner, 2, 2)}
    levels = {op: [np.array([end]) for end in values] for op, values in ends.items()}
    found = rooms(batch, level, placed, {}, levels)
    assert found["O", "register_O"][0] == 16, "one sum in the making"
    assert found["O", "buffer_O"][0] == 4 * bits
