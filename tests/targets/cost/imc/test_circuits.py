"""Gates, adders and converters by hand, and trees of adders walked level by level."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.cost.imc.circuits import (
    TECHNOLOGY,
    Technology,
    active_tree_adders,
    depth,
    place_value_adders,
    tree_adders,
)


@pytest.mark.parametrize(
    ("active", "both", "one"),
    [
        (4, 4 + 4 + 5, 0),  # two adders of 4 bits, then one of 5
        (3, 4 + 5, 4),  # the second adder of 4 bits has one input
        (2, 4, 5),  # so does the one of 5
        (1, 0, 4 + 5),
    ],
)
def test_adder_tree_by_hand(active: int, both: int, one: int) -> None:
    assert active_tree_adders(4, 4, active) == (both, one)
    assert tree_adders(4, 4) == 13


def test_ripple_by_hand() -> None:
    # Two sums of 2 XORs each on the way, then a carry (1 XOR, 2 NANDs) that ripples over 4 bits of 2 NANDs.
    assert TECHNOLOGY.ripple_ns(3, 4) == pytest.approx((5 * 2.4 + 10) * 0.0478)
    assert TECHNOLOGY.ripple_ns(0, 4) == 0


@given(st.integers(0, 5), st.integers(1, 9), st.integers(1, 32))
def test_adder_tree_equals_a_walk_over_its_levels(levels: int, bits: int, active: int) -> None:
    """An adder is a bit wider than the one before it; it works on the inputs that have data."""
    has_data = [i < active for i in range(2**levels)]
    both = one = total = 0
    for width in range(bits, bits + levels):
        pairs = list(zip(has_data[::2], has_data[1::2], strict=True))
        total += width * len(pairs)
        both += width * sum(a and b for a, b in pairs)
        one += width * sum(a != b for a, b in pairs)
        has_data = [a or b for a, b in pairs]
    assert depth(2**levels) == levels
    assert tree_adders(2**levels, bits) == total
    assert active_tree_adders(2**levels, bits, active) == (both, one)


@pytest.mark.parametrize(
    ("inputs", "bits", "adders"),
    [
        (1, 8, 0),  # nothing to add
        (2, 8, 8 + 1),  # one adder, a bit wider than its inputs because they are shifted
        (4, 5, 2 * (5 + 1) + (5 + 4)),
        (8, 8, 4 * (8 + 1) + 2 * (8 + 4) + (8 + 8)),
    ],
)
def test_place_value_adders_by_hand(inputs: int, bits: int, adders: int) -> None:
    assert place_value_adders(inputs, bits) == adders


def test_gates_by_hand() -> None:
    """In fF: a NAND takes 0.7, an XOR 1.05, a flip-flop 2.1, at 0.81 V^2."""
    assert TECHNOLOGY.adder_pj == pytest.approx((3 * 0.7 + 2 * 1.05) * 1e-3 * 0.81)
    assert TECHNOLOGY.half_adder_pj == pytest.approx(2 * 1.05e-3 * 0.81)
    assert TECHNOLOGY.register_pj == pytest.approx(2.1e-3 * 0.81)
    assert TECHNOLOGY.multiplier_pj == pytest.approx(0.35e-3 * 0.81)
    assert TECHNOLOGY.adder_mm2 == pytest.approx((3 * 0.614 + 2 * 1.4736) * 1e-6)


def test_converters_by_hand() -> None:
    source = (
        "ICCAD 2023: (100 n + 4^n / 1000) fF V^2, n (0.00653 rows + 0.640) ns, 10^(1.206 - 0.0369 n) 2^n um2"
    )
    assert TECHNOLOGY.adc_pj(5) == pytest.approx((500 + 1.024) * 1e-3 * 0.81), source
    assert TECHNOLOGY.adc_ns(5, 100) == pytest.approx(5 * (0.653 + 0.64)), source
    assert TECHNOLOGY.adc_mm2(10) == pytest.approx(10**0.837 * 1024e-6), source
    assert TECHNOLOGY.dac_pj(2) == pytest.approx(2 * 50e-3 * 0.81)


def test_what_needs_no_converter_costs_nothing() -> None:
    assert TECHNOLOGY.adc_pj(0) == TECHNOLOGY.adc_ns(0, 128) == TECHNOLOGY.adc_mm2(0) == 0
    # The area of one bit is neglected, its energy is not; a row is driven by one bit as it is.
    assert TECHNOLOGY.adc_mm2(1) == TECHNOLOGY.dac_pj(1) == 0
    assert TECHNOLOGY.adc_pj(1) > 0


@given(st.floats(0.3, 2.0))
def test_energies_grow_with_the_square_of_the_supply(supply_v: float) -> None:
    scale = (supply_v / 0.9) ** 2
    other = Technology(supply_v=supply_v)
    for ours, nominal in (
        (other.adder_pj, TECHNOLOGY.adder_pj),
        (other.adc_pj(6), TECHNOLOGY.adc_pj(6)),
        (other.dac_pj(4), TECHNOLOGY.dac_pj(4)),
    ):
        assert math.isclose(ours, nominal * scale)
