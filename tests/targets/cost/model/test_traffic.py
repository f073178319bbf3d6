"""What moves between memories: by hand, and counted while all loops run one by one."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings

from targets.cost.model.nest import LoopNest
from targets.cost.model.traffic import Chain, Transfer, both_chains, chains, served
from targets.description.hierarchy import Hierarchy
from targets.description.mapping import Mapping
from tests.targets.cost.small import core, mapped, matmul, memory, outer, register
from tests.targets.cost.strategies import Case, cases

TWO = {"D1": 2}
SUMS = dict.fromkeys(("O from_below", "O to_above", "O from_above", "O to_below"), 64)
LEVEL = core(TWO, sums=memory("O", 64, SUMS), register_W=register("W"), outer=outer({}, TWO))
NEST = replace(matmul(d=3, c=2, k=8), bits=(("W", 4), ("I", 8), ("O", 16), ("O_final", 8)))
# K over two units; below a sum runs C, below a weight register K 2 and C, and D, which leaves it in place.
MAPPING = Mapping(
    {"D1": {"K": 2}},
    (("C", 2), ("K", 2), ("D", 3), ("K", 2)),
    {"O": (1, 4), "W": (2, 4), "I": (4,)},
)


def chains_of(nest: LoopNest, level: Hierarchy, *mappings: Mapping) -> dict[str, Chain]:
    batch, levels, placed = mapped(nest, level, *mappings)
    return chains(batch, levels, placed.mean)


def moves(chain: Chain) -> dict[tuple[int, str], tuple[float, float, float, float, float]]:
    """Return elements, bits, period, count and rate of each transfer by memory and direction."""

    def figures(move: Transfer) -> tuple[float, float, float, float, float]:
        elements, bits, period, count, rate = (
            float(column[0]) for column in (move.elements, move.bits, move.period, move.count, move.rate)
        )
        return elements, bits, period, count, rate

    return {(move.level, move.direction): figures(move) for move in chain.transfers}


def test_inputs_move_down_once_per_period() -> None:
    """24 iterations; D, right above the two loops of W, runs below its register too: 12 in all."""
    found = chains_of(NEST, LEVEL, MAPPING)
    assert [int(end[0]) for end in found["W"].ends] == [3, 4]
    assert [float(p[0]) for p in found["W"].period] == [1, 12, 24]
    assert [float(e[0]) for e in found["W"].elements] == [1, 4, 16]
    assert moves(found["W"]) == {
        (0, "to_below"): (1, 4, 1, 24, 4),
        (0, "from_above"): (4, 4, 12, 2, 1),  # 16 bits in 12 iterations, rounded down
        (1, "to_below"): (4 * 2, 4, 12, 2, 2),  # to both units
    }
    # How long a move may take is up to the lower of two memories.
    holds = [(m.level, m.direction, m.hold) for m in found["W"].transfers]
    assert holds == [(0, "to_below", 0), (0, "from_above", 1), (1, "to_below", 1)]
    # The units share an input; K is irrelevant to it, but C comes first.
    assert moves(found["I"]) == {(0, "to_below"): (1, 8, 1, 24, 8)}


def test_outputs_move_up_and_partial_ones_down_again() -> None:
    """C runs below the sums: they are partial below, final above, and never come back from there."""
    found = moves(chains_of(NEST, LEVEL, MAPPING)["O"])
    assert found == {
        (0, "from_below"): (1, 16, 1, 24, 16),
        (0, "to_below"): (1, 16, 1, 24, 16),
        (0, "to_above"): (1, 8, 2, 12, 4),
        (0, "from_above"): (0, 8, 2, 0, 0),
        (1, "from_below"): (2, 8, 2, 12, 8),
        (1, "to_below"): (0, 8, 2, 0, 0),
    }


def test_sums_that_are_not_done_travel_wide() -> None:
    """C runs last: all 24 partial sums leave the unit, and return."""
    loops = (("K", 2), ("D", 3), ("K", 2), ("C", 2))
    found = chains_of(NEST, LEVEL, Mapping(MAPPING.spatial, loops, {"O": (1, 4), "W": (0, 4), "I": (4,)}))
    assert [bool(partial[0]) for partial in found["O"].partial] == [True, True, False]
    there, back = (moves(found["O"])[0, way] for way in ("to_above", "from_above"))
    assert there == back == (2, 16, 2, 12, 16)
    # Inputs stay while K runs first.
    assert moves(found["I"])[0, "to_below"] == (1, 8, 2, 12, 4)


def test_what_ends_a_memory_decides_what_is_replaced_at_once() -> None:
    loops = (("C", 2), ("K", 2), ("D", 3), ("K", 2))
    found = chains_of(NEST, LEVEL, Mapping(MAPPING.spatial, loops, {"O": (1, 4), "W": (3, 4), "I": (4,)}))
    # W: C and K, then D below the register; K below the outer memory.
    assert [float(found["W"].top_irrelevant(level)[0]) for level in (0, 1)] == [3, 1]
    assert [float(found["W"].top_relevant(level)[0]) for level in (0, 1)] == [1, 2]
    # O: C below the sums; then K, D and K in one run.
    assert [float(found["O"].top_irrelevant(level)[0]) for level in (0, 1)] == [2, 1]
    assert [float(found["O"].top_relevant(level)[0]) for level in (0, 1)] == [1, 12]


def test_transfers_know_their_ports() -> None:
    one_way = memory("O", 64, {"O from_below": 64, "O to_above": 64})
    level = core(TWO, sums=one_way, outer=outer({"W to_below, I to_below": 32}, TWO))
    mapping = Mapping(MAPPING.spatial, MAPPING.loops, {"O": (1, 4), "W": (4,), "I": (4,)})
    found = {
        (s.move.operand, s.name, s.move.direction): s.port and s.port.bandwidth_bits_per_cycle
        for s in served(level, chains_of(NEST, level, mapping), {})
    }
    assert found["O", "sums", "to_above"] == 64
    assert found["O", "sums", "from_above"] is found["O", "sums", "to_below"] is None
    assert found["W", "outer", "to_below"] == found["I", "outer", "to_below"] == 32


def test_a_linked_operand_takes_the_ports_of_the_other() -> None:
    links = {"I": "W", "W": "I"}
    mapping = Mapping(MAPPING.spatial, MAPPING.loops, {"O": (1, 4), "W": (4,), "I": (1, 4)})
    batch, levels, placed = mapped(NEST, LEVEL, mapping, links=links)
    found = {(s.move.operand, s.name) for s in served(LEVEL, chains(batch, levels, placed.mean), links)}
    assert found == {("O", "sums"), ("O", "outer"), ("W", "outer"), ("I", "register_W"), ("I", "outer")}


def test_elements_are_whole_however_uneven_the_tiles() -> None:
    """Five weights over three units are two turns of 2.5, of which a buffer for all units holds 2."""
    three = {"D1": 3}
    level = core(three, buffer=register("W", served=("D1",)), outer=outer({}, three))
    mapping = Mapping({"D1": {"K": 3}}, (("K", 2),), {"O": (1,), "W": (0, 1), "I": (1,)})
    found = chains_of(matmul(k=5), level, mapping)
    assert [float(e[0]) for e in found["W"].elements] == [1, 2, 5]


def test_mean_and_whole_chains_are_one_without_a_remainder() -> None:
    mean, whole = both_chains(*mapped(NEST, LEVEL, MAPPING))
    assert whole is mean
    uneven = Mapping({"D1": {"C": 2}}, (("C", 2),), {"O": (1, 1), "W": (1, 1), "I": (1,)})
    mean, whole = both_chains(*mapped(matmul(c=3), LEVEL, uneven))
    assert float(mean["I"].elements[-1][0]) == 3 and float(whole["I"].elements[-1][0]) == 2


def walked(case: Case, operand: str, end: int) -> int:
    """Return how often the data of a memory with ``end`` loops below changes while all loops run."""
    nest = case.nest
    relevant = dict(nest.relevant)[operand] | (
        {loop for w in nest.windows for loop in (w.outer, w.inner)} if operand == "I" else set()
    )
    above = case.mapping.loops[end:]
    changes, before = 0, None
    # The outermost loop turns slowest.
    for turn in itertools.product(*(range(size) for _, size in reversed(above))):
        here = tuple(i for i, (loop, _) in zip(turn, reversed(above), strict=True) if loop in relevant)
        changes += here != before
        before = here
    return changes


@settings(max_examples=40, deadline=None)
@given(cases(whole=True))
def test_data_moves_as_often_as_it_changes(case: Case) -> None:
    assume(np.prod([size for _, size in case.mapping.loops], initial=1) <= 2000)
    found = chains_of(case.nest, case.core, case.mapping)
    for operand, ends in case.mapping.levels.items():
        chain = found[operand]
        way = "to_above" if operand == "O" else "from_above"
        counts = {move.level: float(move.count[0]) for move in chain.transfers if move.direction == way}
        for level, end in enumerate(ends[:-1]):
            assert counts[level] == walked(case, operand, end)
        if operand != "O":
            (low,) = (m for m in chain.transfers if (m.level, m.direction) == (0, "to_below"))
            assert low.count[0] == walked(case, operand, 0)


@pytest.mark.parametrize("operand", ["O", "W", "I"])
def test_orders_side_by_side_move_what_each_moves_alone(operand: str) -> None:
    other = Mapping(MAPPING.spatial, tuple(reversed(MAPPING.loops)), {"O": (0, 4), "W": (1, 4), "I": (4,)})
    both = chains_of(NEST, LEVEL, MAPPING, other)[operand].transfers
    for row, mapping in enumerate((MAPPING, other)):
        alone = chains_of(NEST, LEVEL, mapping)[operand].transfers
        for together, single in zip(both, alone, strict=True):
            for name in ("elements", "bits", "period", "count", "rate"):
                assert getattr(together, name)[row] == getattr(single, name)[0]
