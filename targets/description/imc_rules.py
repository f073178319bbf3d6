"""What the model of in-SRAM computing asks of an array."""

from __future__ import annotations

from passes.errors import InputError
from targets.description.hierarchy import Hierarchy, Imc


def check(hierarchy: Hierarchy) -> Imc:
    """Return the in-memory array of ``hierarchy``, which the model covers.

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
            f"array.imc.adc_bits: {imc.adc_bits} does not go with kind {imc.kind}",
            "analog arrays have converters, digital ones do not: give analog 1 or more, digital 0",
        )
    if imc.kind == "analog":
        _power_of_two("array.imc.weight_bits", imc.weight_bits)
    else:
        bitline = sorted(dimensions)[1]
        _power_of_two(f"array.dimensions.{bitline}", dimensions[bitline])
        _power_of_two("array.imc.bits_per_cycle", imc.bits_per_cycle)
    _check_cells(hierarchy, imc)
    return imc


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
            f"{where}.served_dimensions: {', '.join(cells.served_dimensions)}, "
            "but every multiplier has its own cells",
            "leave it empty",
        )
    if cells.size_bits % imc.weight_bits:
        raise InputError(
            f"{where}.size_bits: {cells.size_bits} is no whole number of {imc.weight_bits}-bit weights",
            f"size_bits is per multiplier: use a multiple of {imc.weight_bits}",
        )
