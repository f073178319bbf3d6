"""What words and routes cost, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.schedule.machine import OUTER, Machine, Route, Word


@pytest.mark.parametrize(
    ("granularity_bits", "bits", "energy_pj"),
    [
        # Without parts that can be had alone, a part of a word costs all of it.
        (None, 0, 0.0), (None, 1, 2.0), (None, 32, 2.0), (None, 33, 4.0), (None, 64, 4.0),
        # A quarter of the word is the least that can be had.
        (8, 0, 0.0), (8, 1, 0.5), (8, 8, 0.5), (8, 9, 1.0), (8, 32, 2.0), (8, 33, 2.5),
    ],
)  # fmt: skip
def test_energy_is_that_of_the_words_and_parts_begun(
    granularity_bits: int | None, bits: int, energy_pj: float
) -> None:
    assert Word(32, 2.0, granularity_bits).energy_of(bits) == energy_pj


@pytest.mark.parametrize(
    ("bandwidth", "setup", "bits", "cycles"),
    [
        (12, 0, 0, 0), (12, 0, 12, 1), (12, 0, 13, 2), (12.5, 0, 25, 2), (12.5, 0, 26, 3), (0.5, 0, 3, 6),
        (1e9, 0, 1, 1), (1e9, 0, 10**9 + 1, 2),
        (12, 3, 0, 3), (12, 3, 1, 4), (12, 3, 24, 5), (12, 3, 25, 6),
    ],
)  # fmt: skip
def test_a_move_takes_the_setup_and_every_cycle_begun(
    bandwidth: float, setup: int, bits: int, cycles: int
) -> None:
    assert Route((), bandwidth, setup_cycles=setup).cycles(bits) == cycles


@given(st.integers(1, 4000), st.integers(1, 100_000))
def test_whole_cycles_are_not_rounded_up_for_the_error_of_a_fraction(tenths: int, cycles: int) -> None:
    # So many bits, ten at a time, take that many cycles to the bit: 21 bits at 0.7 a cycle are 30.
    route = Route((), tenths / 10)
    assert route.cycles(tenths * cycles) == 10 * cycles
    assert route.cycles(tenths * cycles + 1) == 10 * cycles + -(-10 // tenths)


def test_operands_without_a_store_on_chip_lie_in_the_outer_one() -> None:
    machine = Machine({}, {}, {("a", "I"): "a.sram", ("b", "W"): "b.weights"}, {})
    assert machine.store_of("a", "I") == "a.sram"
    assert machine.store_of("b", "W") == "b.weights"
    assert {machine.store_of(*place) for place in (("a", "W"), ("b", "I"), ("c", "O"))} == {OUTER}
