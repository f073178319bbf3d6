"""The parts of an array of 4 columns and 8 rows, and the energy of its cycles, by hand."""

from __future__ import annotations

from typing import Literal

import pytest

from passes.errors import InputError
from targets.cost.imc.array import ImcArray
from targets.description.hierarchy import Hierarchy, Imc, MacArray
from tests.targets.cost.small import core, outer, register

VOLTS_SQUARED = 0.81
# Switched capacitances in pF.
ADDER, HALF_ADDER, FLIP_FLOP, HALF_NOR, BITLINE = 4.2e-3, 2.1e-3, 2.1e-3, 0.35e-3, 0.35e-3


def of(kind: Literal["analog", "digital"], bits_per_cycle: int = 2) -> ImcArray:
    """Return an array of three banks with inputs of 8 bits and weights of 4."""
    dimensions = {"D3": 3, "D2": 8, "D1": 4}
    level = core(dimensions, cells=register("W"), dram=outer({}, dimensions))
    imc = Imc(
        kind=kind,
        activation_bits=8,
        weight_bits=4,
        bits_per_cycle=bits_per_cycle,
        adc_bits=5 if kind == "analog" else 0,
    )
    return ImcArray.of(Hierarchy(array=MacArray(dimensions=dimensions, imc=imc), memories=level.memories))


def test_dimensions_are_told_apart_by_their_names() -> None:
    array = of("analog")
    assert (array.wordline, array.columns) == ("D1", 4)
    assert (array.bitline, array.rows) == ("D2", 8)
    assert array.banks == 3


def test_other_arrays_are_refused() -> None:
    with pytest.raises(InputError, match=r"array\.imc: missing"):
        ImcArray.of(core({"D1": 2, "D2": 2}, dram=outer({}, {"D1": 2, "D2": 2})))


@pytest.mark.parametrize(
    ("kind", "bit_products", "place_value", "accumulator_bits"),
    [
        # Sums of the 8 rows have 3 bits more than a weight; the converter of an analog one gives 5 bits.
        ("analog", 4, (4, 5), 8 + 5 + 4),
        ("digital", 4 * 2, (2, 4 + 3), 8 + 3 + 4),
    ],
)
def test_widths_by_hand(
    kind: Literal["analog", "digital"], bit_products: int, place_value: tuple[int, int], accumulator_bits: int
) -> None:
    array = of(kind)
    assert array.bit_products == bit_products
    assert array.place_value_inputs == place_value
    assert array.accumulator_bits == accumulator_bits
    at_once = of(kind, bits_per_cycle=8)
    assert at_once.accumulator_bits == 0
    assert at_once.cycle_energy_pj(3, 2)["accumulators"] == 0


def test_an_analog_cycle_by_hand() -> None:
    """Three rows are driven with two bits each, and two columns of four bitlines are converted to 5 bits."""
    energy = of("analog").cycle_energy_pj(rows=3, columns=2)
    assert energy == pytest.approx(
        {
            "dacs": 2 * 0.05 * 3 * VOLTS_SQUARED,
            "adcs": (0.5 + 1.024e-3) * 4 * 2 * VOLTS_SQUARED,
            # Used rows reach all four columns.
            "multipliers": HALF_NOR * 4 * 4 * 3 * VOLTS_SQUARED,
            # A bitline is charged over all 8 cells.
            "bitline_addition": BITLINE * 8 * 4 * 2 * VOLTS_SQUARED,
            "adder_trees": 0,
            # Four numbers of 5 bits: twice 6 adders, then 9.
            "place_value_adders": ADDER * (2 * 6 + 9) * 2 * VOLTS_SQUARED,
            "accumulators": (ADDER + FLIP_FLOP) * 17 * 2 * VOLTS_SQUARED,
        }
    )


def test_a_digital_cycle_by_hand() -> None:
    """The tree of 8 inputs has three with data: adders of 4 and 5 bits have both, those of 4 and 6 one."""
    energy = of("digital").cycle_energy_pj(rows=3, columns=2)
    assert energy == pytest.approx(
        {
            "dacs": 0,
            "adcs": 0,
            # All cells multiply, used or not, with two bits of the input side by side.
            "multipliers": HALF_NOR * 4 * 2 * 4 * 8 * VOLTS_SQUARED,
            "bitline_addition": 0,
            "adder_trees": (ADDER * (4 + 5) + HALF_ADDER * (4 + 6)) * 2 * 2 * VOLTS_SQUARED,
            # Two numbers of 7 bits.
            "place_value_adders": ADDER * 8 * 2 * VOLTS_SQUARED,
            "accumulators": (ADDER + FLIP_FLOP) * 15 * 2 * VOLTS_SQUARED,
        }
    )
