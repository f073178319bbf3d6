"""Energy, area and clock of analog and digital in-SRAM computing arrays.

Weights sit in the cells, one bit each. The first array dimension, in sorted order, lies along the wordlines:
its columns share inputs. The second lies along the bitlines: its rows are summed. Further ones count banks.
An analog array drives its rows through DACs, sums on the bitlines, digitizes every column of bits and adds
these by place value; a digital one sums each input bit in an adder tree per column. Both accumulate over the
cycles an input takes. Source: see ``targets.cost.imc.circuits``; equal to ZigZag 3.8.5 term by term.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from targets.cost.imc.array import ImcArray
from targets.cost.imc.circuits import TECHNOLOGY, depth, place_value_adders, tree_adders
from targets.cost.model.nest import LoopNest
from targets.description.hierarchy import Hierarchy
from targets.description.imc_rules import check
from targets.description.mapping import Unrolling

# fmt: off
__all__ = [
    "Peak", "array_area_mm2", "array_energy_pj", "check", "clock_ns", "peak", "precharge_pj", "used_rows",
]
# fmt: on


class Peak(NamedTuple):
    """What a fully used array reaches with its weights in place; a multiply-accumulate is two operations.

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
    array = ImcArray.of(hierarchy)
    columns, summed = (math.prod(unrolling.get(d, {}).values()) for d in (array.wordline, array.bitline))
    activations = nest.operations / (columns * summed)
    cycles = array.imc.cycles_per_operation * activations
    switches = nest.operations if weight_switches is None else weight_switches
    per_cycle = array.cycle_energy_pj(used_rows(hierarchy, nest, unrolling), columns)
    precharging = {"precharging": precharge_pj(hierarchy) * switches}
    return precharging | {name: energy * cycles for name, energy in per_cycle.items()}


def used_rows(hierarchy: Hierarchy, nest: LoopNest, unrolling: Unrolling) -> int:
    """Return the rows of a bank that a layer uses; more than it has cannot be.

    Columns that share weights but not inputs (OX along the wordlines) hold these weights on a diagonal: with
    FX along the bitlines over ``OX + FX - 1`` rows, else over one row each. Source: the formula stated in
    ZigZag 3.8.5, ``C (OX + FX - 1) (OY + FY - 1)``; loops without a window, such as B, count as ``FX = 1``.

    Raises:
        InputError: As :func:`check`.
    """
    array = ImcArray.of(hierarchy)
    wordline, bitline = (unrolling.get(name, {}) for name in (array.wordline, array.bitline))
    weights = dict(nest.relevant).get("W", wordline.keys())
    partners = dict(pair for w in nest.windows for pair in ((w.outer, w.inner), (w.inner, w.outer)))
    rows = math.prod(bitline.values())
    for loop in wordline.keys() - weights:
        along = bitline.get(partners.get(loop, ""), 1)
        rows = rows // along * (along + wordline[loop] - 1)
    return rows


def has_rows(hierarchy: Hierarchy, nest: LoopNest, unrolling: Unrolling) -> bool:
    """Return whether a bank has the rows an unrolling needs. Raises InputError as :func:`check`."""
    array = ImcArray.of(hierarchy)
    return used_rows(hierarchy, nest, unrolling) <= hierarchy.array.dimensions[array.bitline]


def precharge_pj(hierarchy: Hierarchy) -> float:
    """Return the energy of turning one multiplier to another weight of its cells, in pJ.

    Cells that hold several weights share a local bitline, which is charged before one of them is read; those
    that hold one drive the multiplier all the time. Source: ``weight_bits (C_wl + weights C_bl) V^2``.

    Raises:
        InputError: As :func:`check`.
    """
    array = ImcArray.of(hierarchy)
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
    array = ImcArray.of(hierarchy)
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
    """Return the delay of every component a cycle passes, in ns; their sum is the shortest clock period.

    Reading the cells is not on that way; the delay of DACs is neglected.

    Raises:
        InputError: As :func:`check`.
    """
    array = ImcArray.of(hierarchy)
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
    array = ImcArray.of(hierarchy)
    operations = 2 * hierarchy.array.units / array.imc.cycles_per_operation
    tops = operations / sum(clock_ns(hierarchy).values()) / 1000
    energy_pj = sum(array.cycle_energy_pj(array.rows, array.columns).values()) * array.banks
    return Peak(tops, operations / energy_pj, tops / sum(array_area_mm2(hierarchy).values()))
