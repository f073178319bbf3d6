"""Energy, area and clock of analog and digital in-SRAM computing arrays.

Weights sit in the cells, one bit each. The first array dimension, in sorted order, lies along the wordlines:
its columns share inputs. The second lies along the bitlines: its rows are summed. Further ones count banks.
An analog array drives its rows through DACs, sums on the bitlines, digitizes every column of bits and adds
these by place value; a digital one sums each input bit in an adder tree per column. Both accumulate over the
cycles an input takes. Source: see ``targets.cost.imc_circuits``; equal to ZigZag 3.8.5 term by term.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from passes.errors import InputError
from targets.cost.imc_circuits import Technology, active_tree_adders, depth, place_value_adders, tree_adders
from targets.cost.mapping import Unrolling
from targets.cost.nest import LoopNest
from targets.hierarchy import Hierarchy, Imc

TECHNOLOGY = Technology()


class Peak(NamedTuple):
    """What a fully used array reaches without ever changing a weight; a multiply-accumulate is two operations.

    Attributes:
        tops: Tera-operations per second at the shortest clock period.
        tops_per_w: Per watt of the array's own power.
        tops_per_mm2: Per area of the array.
    """

    tops: float
    tops_per_w: float
    tops_per_mm2: float


def array_energy_pj(
    hierarchy: Hierarchy, nest: LoopNest, unrolling: Unrolling, weight_switches: float | None = None
) -> dict[str, float]:
    """Return the energy of a layer in the array per component, in pJ; memories come on top.

    Activations of one bank are operations over what is unrolled along word- and bitlines, also where that
    does not divide the layer. Unused rows and columns take no energy, but for these: a digital array
    multiplies in all cells, an analog one in all columns of used rows and adds on whole bitlines.

    Args:
        hierarchy: The core; see :func:`check`.
        nest: The layer.
        unrolling: Its loops unrolled over the array, whole factors.
        weight_switches: How often a multiplier turns to another weight of its cells, summed over all
            multipliers: operations over the iterations a weight stays. Only counts where cells hold several
            weights. ``None`` is the most there can be, one per operation.

    Raises:
        InputError: As :func:`check`.
    """
    array = _array(hierarchy)
    wordline, bitline = (dict(unrolling.get(name, {})) for name in (array.wordline, array.bitline))
    columns = math.prod(wordline.values())
    activations = nest.operations / (columns * math.prod(bitline.values()))
    cycles = array.imc.cycles_per_operation * activations
    switches = nest.operations if weight_switches is None else weight_switches
    per_cycle = array.cycle_energy_pj(_rows(nest, wordline, bitline), columns)
    precharging = {"precharging": precharge_pj(hierarchy) * switches}
    return precharging | {name: energy * cycles for name, energy in per_cycle.items()}


def precharge_pj(hierarchy: Hierarchy) -> float:
    """Return the energy of turning one multiplier to another weight of its cells, in pJ.

    Cells that hold several weights share a local bitline, which is charged before one of them is read; those
    that hold one drive the multiplier all the time. Source: ``weight_bits (C_wl + weights C_bl) V^2``.

    Raises:
        InputError: As :func:`check`.
    """
    array = _array(hierarchy)
    weights = hierarchy.memories[array.imc.cells].size_bits // array.imc.weight_bits
    if weights == 1:
        return 0.0
    lines_pf = TECHNOLOGY.wordline_pf + TECHNOLOGY.bitline_pf * weights
    return TECHNOLOGY.switching_pj(lines_pf) * array.imc.weight_bits


def array_area_mm2(hierarchy: Hierarchy) -> dict[str, float]:
    """Return the area of all banks per component, in mm2; of memories, the cells alone. DACs are neglected.

    Raises:
        InputError: As :func:`check`.
    """
    array = _array(hierarchy)
    imc, columns = array.imc, array.columns * array.banks
    tree = 0 if array.analog else tree_adders(array.rows, imc.weight_bits) * imc.bits_per_cycle
    place_value = place_value_adders(*array.place_value_inputs)
    accumulator_mm2 = TECHNOLOGY.adder_mm2 + TECHNOLOGY.flip_flop_mm2
    return {
        "cells": hierarchy.array.units * hierarchy.memories[imc.cells].area,
        "dacs": 0.0,
        "adcs": TECHNOLOGY.adc_mm2(imc.adc_bits) * imc.weight_bits * columns,
        "multipliers": TECHNOLOGY.nand_mm2 * array.bit_products * array.rows * columns,
        "adder_trees": TECHNOLOGY.adder_mm2 * tree * columns,
        "place_value_adders": TECHNOLOGY.adder_mm2 * place_value * columns,
        "accumulators": accumulator_mm2 * array.accumulator_bits * columns,
    }


def clock_ns(hierarchy: Hierarchy) -> dict[str, float]:
    """Return the delay of every component on the way of a cycle, in ns; their sum is the shortest clock period.

    Reading the cells and the DACs are not on that way.

    Raises:
        InputError: As :func:`check`.
    """
    array = _array(hierarchy)
    imc = array.imc
    inputs, bits = array.place_value_inputs
    levels = 0 if array.analog else depth(array.rows)
    sum_bits = bits + (inputs if inputs > 1 else 0)
    return {
        "cells": 0.0,
        "dacs": 0.0,
        "adcs": TECHNOLOGY.adc_ns(imc.adc_bits, array.rows),
        "multipliers": TECHNOLOGY.nand_ns,
        "adder_trees": TECHNOLOGY.ripple_ns(levels, imc.weight_bits + levels - 2),
        "place_value_adders": TECHNOLOGY.ripple_ns(depth(inputs), inputs - 1),
        "accumulators": TECHNOLOGY.ripple_ns(
            1 if array.accumulator_bits else 0, array.accumulator_bits - sum_bits - 1
        ),
    }


def peak(hierarchy: Hierarchy) -> Peak:
    """Return the peak performance of the array alone.

    Raises:
        InputError: As :func:`check`.
    """
    array = _array(hierarchy)
    operations = 2 * hierarchy.array.units / array.imc.cycles_per_operation
    tops = operations / sum(clock_ns(hierarchy).values()) / 1000
    energy_pj = sum(array.cycle_energy_pj(array.rows, array.columns).values()) * array.banks
    return Peak(tops, operations / energy_pj, tops / sum(array_area_mm2(hierarchy).values()))


def check(hierarchy: Hierarchy) -> None:
    """Check that the model covers the array of ``hierarchy``.

    Raises:
        InputError: It is no in-memory array or has fewer than two dimensions; a tree of adders would not have
            a power of two inputs; the bits do not fit together; or the cells are not the weights' own.
    """
    imc, dimensions = hierarchy.array.imc, hierarchy.array.dimensions
    if imc is None:
        raise InputError("array.imc: missing, so this is no in-memory array", "describe it under array.imc")
    if len(dimensions) < 2:
        raise InputError(
            f"array.dimensions: only {', '.join(dimensions)}; an in-memory array has wordlines and bitlines",
            "give two dimensions or more; the first in sorted order lies along the wordlines",
        )
    if imc.activation_bits % imc.bits_per_cycle:
        raise InputError(
            f"array.imc.bits_per_cycle: {imc.bits_per_cycle} does not divide the {imc.activation_bits} bits "
            "of an activation",
            "take a divisor, so that every cycle takes as many bits",
        )
    if (imc.kind == "analog") != (imc.adc_bits > 0):
        raise InputError(
            f"array.imc.adc_bits: {imc.adc_bits} in {'an analog' if imc.kind == 'analog' else 'a digital'} array",
            "analog arrays have converters, digital ones do not: give 1 or more for the former, 0 for the latter",
        )
    if imc.kind == "analog":
        _power_of_two("array.imc.weight_bits", imc.weight_bits)
    else:
        bitline = sorted(dimensions)[1]
        _power_of_two(f"array.dimensions.{bitline}", dimensions[bitline])
        _power_of_two("array.imc.bits_per_cycle", imc.bits_per_cycle)
    _check_cells(hierarchy, imc)


def _power_of_two(where: str, value: int) -> None:
    if value & (value - 1):
        lower = 1 << value.bit_length() - 1
        raise InputError(
            f"{where}: {value} is no power of two, but so many inputs meet in a tree of adders",
            f"use {lower} or {2 * lower}",
        )


def _check_cells(hierarchy: Hierarchy, imc: Imc) -> None:
    where, cells = f"memories.{imc.cells}", hierarchy.memories[imc.cells]
    if cells.operands != ("W",) or hierarchy.levels("W")[0][0] != imc.cells:
        raise InputError(
            f"{where}: the cells of an in-memory array are the innermost memory of W and hold nothing else",
            f"set {where}.operands to [W] and list it before other memories of W",
        )
    if cells.served_dimensions:
        raise InputError(
            f"{where}.served_dimensions: {', '.join(cells.served_dimensions)}, but every multiplier has its own cells",
            "leave it empty",
        )
    if cells.size_bits % imc.weight_bits:
        raise InputError(
            f"{where}.size_bits: {cells.size_bits} bits hold no whole number of {imc.weight_bits}-bit weights",
            f"size_bits is per multiplier: use a multiple of {imc.weight_bits}",
        )


@dataclass(frozen=True)
class _Array:
    """The parts of a checked array.

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

    @property
    def analog(self) -> bool:
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


def _array(hierarchy: Hierarchy) -> _Array:
    check(hierarchy)
    assert hierarchy.array.imc is not None
    dimensions = hierarchy.array.dimensions
    wordline, bitline, *banks = sorted(dimensions)
    return _Array(
        hierarchy.array.imc,
        wordline,
        bitline,
        dimensions[wordline],
        dimensions[bitline],
        math.prod(dimensions[name] for name in banks),
    )


def _rows(nest: LoopNest, wordline: Mapping[str, int], bitline: Mapping[str, int]) -> int:
    """Return the rows in use.

    Columns that compute neighbouring outputs with the same weights (a loop such as OX along the wordlines)
    need inputs shifted against each other: their weights lie on a diagonal, over ``FX + OX - 1`` rows where FX
    lies along the bitlines. As published, that takes no more rows where FX does not.
    """
    weights = dict(nest.relevant).get("W", frozenset())
    shifted: dict[str, int] = {}
    for window in nest.windows:
        for across, along in ((window.outer, window.inner), (window.inner, window.outer)):
            if across not in weights:
                shifted[along] = wordline.get(across, 1) - 1
    return math.prod(f + (shifted.get(loop, 0) if f > 1 else 0) for loop, f in bitline.items())
