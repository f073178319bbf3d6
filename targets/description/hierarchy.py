"""The inside of a core as the cost engine sees it: an array of multipliers and the memories above it."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from targets.description.figure import Frozen, Known, Real, Whole

# Operands of a layer: weights (or the second input), input activations, output activations.
OPERANDS = ("W", "I", "O")
# What a port does for an operand, seen from its memory: above is away from the array.
DIRECTIONS = ("from_above", "to_above", "from_below", "to_below")

OperandName = Literal["W", "I", "O"]
Name = Annotated[str, Field(min_length=1)]
Size = Annotated[Whole, Field(gt=0)]
Energy = Annotated[Real, Field(ge=0)]
Transfer = Annotated[str, Field(pattern=r"^[WIO] (from|to)_(above|below)$")]


class Port(Frozen):
    """A physical port of a memory.

    Attributes:
        bandwidth_bits_per_cycle: Bits it moves per cycle; also the word an access energy is for.
        granularity_bits: Smallest access; ``None`` is a whole word. A part of a word costs its share
            of the energy, but time as if it were whole.
        serves: Transfers that take turns on this port, such as ``"I to_below"``.
    """

    name: Name
    bandwidth_bits_per_cycle: Size
    granularity_bits: Size | None = None
    serves: Annotated[tuple[Transfer, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _granularity_fits(self) -> Port:
        if self.granularity_bits is not None and self.granularity_bits > self.bandwidth_bits_per_cycle:
            raise ValueError(
                f"granularity_bits {self.granularity_bits} exceeds the bandwidth "
                f"{self.bandwidth_bits_per_cycle}"
            )
        return self


class MemoryLevel(Frozen):
    """One level of the hierarchy: a memory, once or once per part of the array.

    Attributes:
        size_bits: Capacity of one instance.
        read_energy_pj: Energy of reading one word (as wide as the port).
        write_energy_pj: Energy of writing one word.
        area: In the unit of the file it came from; mm2 in native files.
        operands: What it holds; where several share it, the order breaks ties between equal allocations.
        served_dimensions: Array dimensions one instance serves together; over the others it is repeated.
        known: How its numbers are known.
        source: Where they come from.
    """

    size_bits: Size
    read_energy_pj: Energy
    write_energy_pj: Energy
    area: Energy = 0.0
    operands: Annotated[tuple[OperandName, ...], Field(min_length=1)]
    ports: Annotated[tuple[Port, ...], Field(min_length=1)]
    served_dimensions: tuple[Name, ...] = ()
    known: Known = "placeholder"
    source: Name = "not told"

    @model_validator(mode="after")
    def _ports_fit(self) -> MemoryLevel:
        twice = sorted({op for op in self.operands if self.operands.count(op) > 1})
        if twice:
            raise ValueError(f"operands: '{twice[0]}' is named twice")
        served: dict[str, str] = {}
        for port in self.ports:
            for transfer in port.serves:
                if transfer.split()[0] not in self.operands:
                    raise ValueError(
                        f"port '{port.name}' serves '{transfer}', but the memory holds no such operand"
                    )
                if transfer in served:
                    raise ValueError(f"'{transfer}' is served by both '{served[transfer]}' and '{port.name}'")
                served[transfer] = port.name
        return self

    def port_of(self, operand: str, direction: str) -> Port | None:
        """Return the port that moves ``operand`` in ``direction``; ``None`` without one."""
        transfer = f"{operand} {direction}"
        return next((port for port in self.ports if transfer in port.serves), None)


MAX_ADC_BITS = 32
"""The energy of a converter grows with 4 to the power of its bits; no converter has more."""


class Imc(Frozen):
    """An in-memory-computing array: the multipliers sit in the cells that hold the weights.

    Attributes:
        kind: ``analog`` sums on bitlines behind converters, ``digital`` in adder trees.
        activation_bits: Bits of an input the array takes.
        weight_bits: Bits of a weight, one cell each.
        bits_per_cycle: Input bits a cycle takes; an operation takes ``activation_bits / bits_per_cycle``.
        adc_bits: Resolution of the converters behind the bitlines; 0 without.
        cells: Name of the memory level the cells are.
    """

    kind: Literal["analog", "digital"]
    activation_bits: Size
    weight_bits: Size
    bits_per_cycle: Size
    adc_bits: Annotated[Whole, Field(ge=0, le=MAX_ADC_BITS)] = 0
    cells: Name = "cells"

    @property
    def cycles_per_operation(self) -> float:
        """Cycles one multiplication of an input with the array takes."""
        return self.activation_bits / self.bits_per_cycle


class MacArray(Frozen):
    """The multipliers.

    Attributes:
        dimensions: Array dimensions and their sizes; unrollings are written per dimension.
        operation_energy_pj: Energy of one operation (a multiply-accumulate on a MAC array).
        operation_area: Area of one unit.
        operation_cycles: Cycles one operation of the whole array takes.
        imc: In-memory computing, which replaces ``operation_energy_pj`` by a model and ``operation_cycles``
            by its bits.
    """

    dimensions: Annotated[dict[Name, Size], Field(min_length=1)]
    operation_energy_pj: Energy = 0.0
    operation_area: Energy = 0.0
    operation_cycles: Annotated[Real, Field(gt=0)] = 1.0
    imc: Imc | None = None
    known: Known = "placeholder"
    source: Name = "not told"

    @property
    def cycles_per_operation(self) -> float:
        """Cycles from one operation of the array to the next."""
        return self.imc.cycles_per_operation if self.imc is not None else self.operation_cycles

    @property
    def units(self) -> int:
        """Number of multipliers."""
        units = 1
        for size in self.dimensions.values():
            units *= size
        return units


class Hierarchy(Frozen):
    """An array and its memories, innermost first.

    Attributes:
        array: The multipliers.
        memories: Levels by name; for every operand, those that hold it form its chain, innermost first.
        dataflow: Unrolling per array dimension a core prefers, such as ``{"D1": {"K": 16}}``.
    """

    array: MacArray
    memories: dict[Name, MemoryLevel]
    dataflow: dict[Name, dict[Name, Size]] = {}

    @model_validator(mode="after")
    def _complete(self) -> Hierarchy:
        for name, level in self.memories.items():
            for dimension in level.served_dimensions:
                if dimension not in self.array.dimensions:
                    where, known = f"memories.{name}.served_dimensions", ", ".join(self.array.dimensions)
                    raise ValueError(f"{where}: the array has no dimension '{dimension}', only {known}")
        for operand in OPERANDS:
            self._check_chain(operand)
        for operand in ("I", "O"):
            if not self.levels(operand):
                raise ValueError(
                    f"memories: no memory holds operand {operand}; add it to the operands of one"
                )
        for dimension in self.dataflow:
            if dimension not in self.array.dimensions:
                raise ValueError(f"dataflow: the array has no dimension '{dimension}'")
        if self.array.imc is not None and self.array.imc.cells not in self.memories:
            raise ValueError(f"array.imc.cells: there is no memory '{self.array.imc.cells}'")
        return self

    def _check_chain(self, operand: str) -> None:
        chain = self.levels(operand)
        for (inner, _), (outer, above) in pairwise(chain):
            up, down = ("to_above", "from_below") if operand == "O" else ("from_above", "to_below")
            if self.memories[inner].port_of(operand, up) is None:
                raise ValueError(
                    f"memories.{inner}.ports: no port serves '{operand} {up}', yet {outer} lies above"
                )
            if above.port_of(operand, down) is None:
                raise ValueError(
                    f"memories.{outer}.ports: no port serves '{operand} {down}', yet {inner} lies below"
                )

    def levels(self, operand: str) -> list[tuple[str, MemoryLevel]]:
        """Return names and levels that hold ``operand``, innermost first."""
        return [(name, level) for name, level in self.memories.items() if operand in level.operands]
