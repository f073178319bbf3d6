"""Gates, adders and converters of in-SRAM computing: energy in pJ, area in mm2, delay in ns.

Source of formulas and constants: J. Sun, P. Houshmand, M. Verhelst, "Analog or Digital In-Memory Computing?
Benchmarking through Quantitative Modeling", ICCAD 2023, with the values it has in ZigZag 3.8.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Technology:
    """A CMOS process as the model sees it; the defaults are 28 nm at 0.9 V.

    Attributes:
        supply_v: Supply voltage.
        nand_pf: Switched capacitance of a two-input NAND or NOR gate.
        xor_pf: Of a two-input XOR gate.
        flip_flop_pf: Of a flip-flop.
        wordline_pf: Of a wordline, per cell on it.
        bitline_pf: Of a bitline, per cell on it.
        nand_mm2: Area of a NAND gate.
        xor_mm2: Of an XOR gate.
        flip_flop_mm2: Of a flip-flop.
        nand_ns: Delay of a NAND gate.
        xor_ns: Of an XOR gate.
    """

    supply_v: float = 0.9
    nand_pf: float = 0.7e-3
    xor_pf: float = 1.05e-3
    flip_flop_pf: float = 2.1e-3
    wordline_pf: float = 0.35e-3
    bitline_pf: float = 0.35e-3
    nand_mm2: float = 0.614e-6
    xor_mm2: float = 1.4736e-6
    flip_flop_mm2: float = 3.684e-6
    nand_ns: float = 0.0478
    xor_ns: float = 0.11472

    def switching_pj(self, capacitance_pf: float) -> float:
        """Return ``C V^2``."""
        return capacitance_pf * self.supply_v**2

    @property
    def adder_pj(self) -> float:
        """One-bit full adder, three NANDs and two XORs, with data on both inputs."""
        return self.switching_pj(3 * self.nand_pf + 2 * self.xor_pf)

    @property
    def half_adder_pj(self) -> float:
        """The same with one input at 0: nothing carries, only the XORs switch."""
        return self.switching_pj(2 * self.xor_pf)

    @property
    def register_pj(self) -> float:
        """One-bit register."""
        return self.switching_pj(self.flip_flop_pf)

    @property
    def multiplier_pj(self) -> float:
        """One-bit multiplier, a NOR gate; half of it, as the weight stands still."""
        return self.switching_pj(0.5 * self.nand_pf)

    @property
    def adder_mm2(self) -> float:
        """One-bit full adder."""
        return 3 * self.nand_mm2 + 2 * self.xor_mm2

    def ripple_ns(self, additions: int, carries: int) -> float:
        """Return the delay of ``additions`` ripple-carry adders in a row; 0 take no time.

        All but the last pass on a sum bit; the last makes a carry, which ripples over ``carries`` bits more.
        """
        if additions == 0:
            return 0.0
        passing = (additions - 1) * 2 * self.xor_ns
        return passing + self.xor_ns + 2 * self.nand_ns + carries * 2 * self.nand_ns

    def adc_pj(self, bits: int) -> float:
        """Return the energy of one conversion, ``(100 n + 4^n / 1000) fF V^2``; 0 bits mean no converter."""
        return self.switching_pj((100 * bits + 0.001 * 4**bits) * 1e-3) if bits else 0.0

    def adc_ns(self, bits: int, rows: int) -> float:
        """Return the time of one conversion, ``n (0.00653 rows + 0.640)``: long bitlines settle slowly."""
        return bits * (0.00653 * rows + 0.640)

    def adc_mm2(self, bits: int) -> float:
        """Return the area of a converter, ``10^(1.206 - 0.0369 n) 2^n`` um2; that of one bit is neglected."""
        return 10 ** (1.206 - 0.0369 * bits) * 2**bits * 1e-6 if bits > 1 else 0.0

    def dac_pj(self, bits: int) -> float:
        """Return the energy of driving one row, ``n 50 fF V^2``; one bit needs no converter."""
        return self.switching_pj(0.05 * bits) if bits > 1 else 0.0


TECHNOLOGY = Technology()


def depth(inputs: int) -> int:
    """Return the additions in a row that a tree of ``inputs``, a power of two, takes."""
    return inputs.bit_length() - 1


def tree_adders(inputs: int, bits: int) -> int:
    """Return the one-bit adders of a tree that sums ``inputs`` numbers of ``bits``, a bit more per level."""
    return inputs * (bits + 1) - (bits + depth(inputs) + 1)


def active_tree_adders(inputs: int, bits: int, active: int) -> tuple[int, int]:
    """Return how many one-bit adders of a tree have data on both inputs, and how many on one.

    Args:
        inputs: Of the tree, a power of two.
        bits: Per input.
        active: Inputs with data, the first ones; the others are 0.
    """
    if active >= inputs:
        return tree_adders(inputs, bits), 0
    half = inputs // 2
    last_adder = bits + depth(half)
    both, one = active_tree_adders(half, bits, min(active, half))
    if active <= half:
        return both, one + last_adder
    both_right, one_right = active_tree_adders(half, bits, active - half)
    return both + both_right + last_adder, one + one_right


def place_value_adders(inputs: int, bits: int) -> float:
    """Return the one-bit adders that sum ``inputs`` numbers of ``bits``, each shifted one place more.

    The formula is the published one; it is whole for powers of two.
    """
    return 0.0 if inputs == 1 else bits * (inputs - 1) + inputs * (math.log2(inputs) - 0.5)
