"""The parts of an in-SRAM computing array, and the energy of one of its cycles."""

from __future__ import annotations

import math
from dataclasses import dataclass

from targets.cost.imc.circuits import TECHNOLOGY, active_tree_adders, depth, place_value_adders
from targets.description.hierarchy import Hierarchy, Imc
from targets.description.imc_rules import check


@dataclass(frozen=True)
class ImcArray:
    """The parts of an array the model covers.

    Attributes:
        imc: As described.
        wordline: Name of the dimension along the wordlines.
        bitline: Name of the dimension along the bitlines.
        columns: Its multipliers along a wordline.
        rows: Its multipliers along a bitline.
        banks: How many of these it has.
    """

    imc: Imc
    wordline: str
    bitline: str
    columns: int
    rows: int
    banks: int

    @classmethod
    def of(cls, hierarchy: Hierarchy) -> ImcArray:
        """Return the parts of the array of ``hierarchy``. Raises InputError as :func:`check`."""
        imc, dimensions = check(hierarchy), hierarchy.array.dimensions
        wordline, bitline, *others = sorted(dimensions)
        banks = math.prod(dimensions[name] for name in others)
        return cls(imc, wordline, bitline, dimensions[wordline], dimensions[bitline], banks)

    @property
    def analog(self) -> bool:
        """Sums on bitlines."""
        return self.imc.kind == "analog"

    @property
    def bit_products(self) -> int:
        """One-bit multipliers per cell group: a digital one takes all bits of a cycle side by side."""
        return self.imc.weight_bits * (1 if self.analog else self.imc.bits_per_cycle)

    @property
    def place_value_inputs(self) -> tuple[int, int]:
        """Numbers a column adds by place value, and their bits: one per weight bit, or per input bit."""
        if self.analog:
            return self.imc.weight_bits, self.imc.adc_bits
        return self.imc.bits_per_cycle, self.imc.weight_bits + depth(self.rows)

    @property
    def accumulator_bits(self) -> int:
        """Bits of a column's accumulator; 0 where one cycle takes a whole input."""
        if self.imc.bits_per_cycle == self.imc.activation_bits:
            return 0
        summed = self.imc.adc_bits if self.analog else depth(self.rows)
        return self.imc.activation_bits + summed + self.imc.weight_bits

    def cycle_energy_pj(self, rows: int, columns: int) -> dict[str, float]:
        """Return the energy of one cycle of one bank that uses these rows and columns."""
        imc = self.imc
        both, one = (0, 0) if self.analog else active_tree_adders(self.rows, imc.weight_bits, rows)
        tree_pj = both * TECHNOLOGY.adder_pj + one * TECHNOLOGY.half_adder_pj
        place_value = place_value_adders(*self.place_value_inputs)
        bitline_pj = TECHNOLOGY.switching_pj(TECHNOLOGY.bitline_pf) * imc.weight_bits * self.rows
        multiplied_rows = rows if self.analog else self.rows
        return {
            "dacs": TECHNOLOGY.dac_pj(imc.bits_per_cycle) * rows if self.analog else 0.0,
            "adcs": TECHNOLOGY.adc_pj(imc.adc_bits) * imc.weight_bits * columns,
            "multipliers": TECHNOLOGY.multiplier_pj * self.bit_products * self.columns * multiplied_rows,
            "bitline_addition": bitline_pj * columns if self.analog else 0.0,
            "adder_trees": tree_pj * imc.bits_per_cycle * columns,
            "place_value_adders": TECHNOLOGY.adder_pj * place_value * columns,
            "accumulators": (TECHNOLOGY.adder_pj + TECHNOLOGY.register_pj) * self.accumulator_bits * columns,
        }
