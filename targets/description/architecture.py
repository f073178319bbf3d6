"""Accelerator descriptions: cores, memories, DMA, operating points, and how each figure is known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from passes.errors import InputError, did_you_mean
from passes.integers.schemes import SCHEMES
from targets.description.array_access import check_array_access
from targets.description.explain import checked, explain
from targets.description.figure import Figure, Frozen, Known, Real
from targets.description.hierarchy import Energy, Hierarchy, MacArray, MemoryLevel, Name, Size
from targets.description.imc_rules import check as check_imc
from targets.description.mapping import loop_fault
from targets.description.yaml_text import parse_yaml, read_yaml

# What a link calls the memories off chip, which are no core.
OFFCHIP = "offchip"


class Core(Frozen):
    """One compute resource.

    Attributes:
        name: Name in reports and placements.
        kind: What it is; the cost functions of a target dispatch on the name, not on this.
        active_power_mw: Power while it works, in mW.
        rates: Throughputs and cycle counts by name, units in the names (``macs_per_cycle``).
        array: Its multipliers, where the cost engine prices it.
        memories: Its memories by name, innermost first.
        dataflow: Unrolling per array dimension it is built for, such as ``{"D1": {"K": 16}}``.
        schemes: Names of the numbers it computes with (:mod:`passes.integers.schemes`), the usual ones first;
            empty: those that its target says.
    """

    name: Annotated[str, Field(min_length=1)]
    kind: Literal["mac_array", "imc_array", "pooling", "simd", "host"]
    active_power_mw: Figure | None = None
    rates: dict[str, Figure] = {}
    array: MacArray | None = None
    memories: dict[str, MemoryLevel] = {}
    dataflow: dict[str, dict[str, Size]] = {}
    schemes: tuple[str, ...] = ()

    @field_validator("schemes", mode="after")
    @classmethod
    def _schemes_are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        # Those of an analog array are made for the rows and the converter of one chip.
        known = [name for name, found in SCHEMES.items() if found.array is None]
        for number, name in enumerate(names):
            if name not in known:
                raise ValueError(f"no core of a file computes by '{name}'; {did_you_mean(name, known)}")
            if name in names[:number]:
                raise ValueError(f"'{name}' is there twice")
        return names

    @model_validator(mode="after")
    def _array_has_memories(self) -> Core:
        if self.array is None and (self.memories or self.dataflow):
            raise ValueError("memories and dataflow need an array")
        if self.array is not None and not self.memories:
            raise ValueError("memories: an array needs one of its own at least; add the one next to it")
        return self

    @model_validator(mode="after")
    def _dataflow_fits(self) -> Core:
        for dimension, loops in self.dataflow.items():
            for fault in filter(None, map(loop_fault, loops)):
                raise ValueError(f"dataflow.{dimension}: {fault}")
            size = self.array.dimensions.get(dimension) if self.array else None
            if size is not None and math.prod(loops.values()) > size:
                raise ValueError(
                    f"dataflow.{dimension}: unrolls {math.prod(loops.values())} iterations over an array "
                    f"dimension of {size}; lower the factors"
                )
        return self

    def rate(self, key: str) -> float:
        """Return the rate called ``key``; raises InputError if the description lacks it."""
        if key not in self.rates:
            raise InputError(f"core '{self.name}' has no rate '{key}'", did_you_mean(key, self.rates))
        return self.rates[key].value


class Memory(Frozen):
    """One memory: size in bytes, bandwidth in bytes per cycle."""

    name: Annotated[str, Field(min_length=1)]
    size_bytes: Figure
    bandwidth_bytes_per_cycle: Figure


class Dma(Frozen):
    """The engine that moves tensors between the outer and the inner memory."""

    name: Annotated[str, Field(min_length=1)] = "dma"
    bandwidth_bytes_per_cycle: Figure
    cycles_per_call: Figure


class OperatingPoint(Frozen):
    """A clock the chip runs at; memories run on it too, so that cycles are the same at every point.

    Attributes:
        name: Name in options and reports.
        clock_hz: Clock in Hz.
        voltage_v: Supply in V, where it is known.
        energy_scale: Energy of any work here over that at the first point of the file, at which powers
            and energies of the description hold; ``None`` is 1. Where a file leaves it out but tells the
            voltages of both, it is the square of their ratio, and says so.
    """

    name: Annotated[str, Field(min_length=1)]
    clock_hz: Figure
    voltage_v: Figure | None = None
    energy_scale: Figure | None = None

    @property
    def scale(self) -> float:
        """The value of ``energy_scale``."""
        return 1.0 if self.energy_scale is None else self.energy_scale.value


class Link(Frozen):
    """Wires between cores, or between cores and the memories off chip.

    Attributes:
        kind: ``point_to_point`` joins two and has wires for each direction; the transfers of a ``bus``,
            in whichever direction, share its bandwidth.
        cores: Names of what it joins; ``offchip`` stands for the memories off chip.
        bandwidth_bits_per_cycle: Bits it moves per cycle; ``None`` is no limit.
        energy_pj_per_bit: Energy of moving one bit, without that of reading and writing memories.
        direction: Whether data leave the memories off chip, go there, or both.
        known: How its numbers are known.
        source: Where they come from.
    """

    kind: Literal["point_to_point", "bus"]
    cores: Annotated[tuple[Name, ...], Field(min_length=2)]
    bandwidth_bits_per_cycle: Annotated[Real, Field(gt=0)] | None = None
    energy_pj_per_bit: Energy = 0.0
    direction: Literal["both", "from_offchip", "to_offchip"] = "both"
    known: Known = "placeholder"
    source: Name = "not told"

    @model_validator(mode="after")
    def _joins_different_cores(self) -> Link:
        if len(set(self.cores)) < len(self.cores):
            raise ValueError("cores: one is named twice")
        if self.kind == "point_to_point" and len(self.cores) != 2:
            raise ValueError(f"cores: {len(self.cores)} of them need a bus; point_to_point joins two")
        if self.direction != "both" and OFFCHIP not in self.cores:
            raise ValueError(f"direction: '{self.direction}' needs '{OFFCHIP}' among the cores")
        return self


class PowerTogether(Frozen):
    """What cores take that are at work at once, where that is known and is not the sum of what each takes.

    Attributes:
        cores: Their names.
        active_power_mw: Power of all of them together, in mW.
    """

    cores: Annotated[tuple[Name, ...], Field(min_length=2)]
    active_power_mw: Figure


class Architecture(Frozen):
    """A whole accelerator.

    Attributes:
        offchip: Memories above those of every core that has an array, innermost first. Each serves every
            array whole, so ``served_dimensions`` is left out.
        links: What moves data between cores; empty where the description does not tell.
        overlap: Transfers may run beside compute.
        host_waits: The host is busy while any other core works.
        operating_points: Empty where no clock is known; the first is the default, and its energies are
            those of the description.
        powers_together: Of cores at work at once.
    """

    name: Annotated[str, Field(min_length=1)]
    cores: Annotated[tuple[Core, ...], Field(min_length=1)]
    memories: tuple[Memory, ...] = ()
    offchip: dict[str, MemoryLevel] = {}
    links: tuple[Link, ...] = ()
    dma: Dma | None = None
    operating_points: tuple[OperatingPoint, ...] = ()
    overlap: bool = False
    host_waits: bool = False
    powers_together: tuple[PowerTogether, ...] = ()

    @model_validator(mode="after")
    def _powers_are_of_different_cores(self) -> Architecture:
        names = {core.name for core in self.cores}
        for index, power in enumerate(self.powers_together):
            for name in power.cores:
                if name not in names:
                    hint = did_you_mean(name, names)
                    raise ValueError(f"powers_together[{index}].cores: there is no core '{name}'; {hint}")
            if len(set(power.cores)) < len(power.cores):
                raise ValueError(f"powers_together[{index}].cores: one is named twice")
        return self

    @model_validator(mode="after")
    def _unique_names(self) -> Architecture:
        groups: list[tuple[str, list[str]]] = [
            ("cores", [c.name for c in self.cores]),
            ("memories", [m.name for m in self.memories]),
            ("operating_points", [p.name for p in self.operating_points]),
        ]
        for group, names in groups:
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise ValueError(f"{group}: the name '{twice[0]}' is used twice")
        return self

    @model_validator(mode="after")
    def _first_point_scales_nothing(self) -> Architecture:
        if self.operating_points and self.operating_points[0].energy_scale is not None:
            raise ValueError(
                "operating_points[0].energy_scale: leave it out; energies are given at the first point"
            )
        return self

    @field_validator("operating_points", mode="after")
    @classmethod
    def _energy_follows_voltage(cls, points: tuple[OperatingPoint, ...]) -> tuple[OperatingPoint, ...]:
        """Derive scales that are not told: energy of switching a capacitance is its charge times voltage."""
        if not points:
            return points
        first, *others = points
        return (first, *(_scaled(point, first) for point in others))

    @model_validator(mode="after")
    def _links_join_what_is_there(self) -> Architecture:
        names = {core.name for core in self.cores}
        if self.offchip and OFFCHIP in names:
            raise ValueError(f"cores: the name '{OFFCHIP}' stands for the memories off chip; rename the core")
        known = names | {OFFCHIP} if self.offchip else names
        for index, link in enumerate(self.links):
            for name in link.cores:
                if name not in known:
                    hint = did_you_mean(name, known)
                    raise ValueError(f"links[{index}].cores: there is no core '{name}'; {hint}")
        return self

    @model_validator(mode="after")
    def _hierarchies_are_complete(self) -> Architecture:
        for name, level in self.offchip.items():
            if level.served_dimensions:
                raise ValueError(
                    f"offchip.{name}.served_dimensions: leave it out; it serves every array whole"
                )
        for index, core in enumerate(self.cores):
            try:
                hierarchy = self.hierarchy(core.name)
            except ValidationError as error:
                raise ValueError(f"cores[{index}].{explain(error)}") from None
            except InputError as error:
                raise ValueError(f"cores[{index}]: {error.message}; {error.hint}") from None
            if hierarchy is None:
                continue
            if core.kind in {"mac_array", "imc_array"} and not hierarchy.levels("W"):
                raise ValueError(
                    f"cores[{index}].memories: no memory holds operand W; add it to the operands of one"
                )
            try:
                check_array_access(hierarchy, core.memories)
                if hierarchy.array.imc is not None:
                    check_imc(hierarchy)
            except ValueError as error:
                raise ValueError(f"cores[{index}].{error}") from None
            except InputError as error:
                raise ValueError(f"cores[{index}].{error.message}; {error.hint}") from None
        return self

    def hierarchy(self, name: str) -> Hierarchy | None:
        """Return the array of core ``name`` with its memories and those off chip; ``None`` without an array.

        A core whose outermost memory has the name of one off chip describes that memory itself, as files
        made for one core do: then its own numbers count and nothing is added above.

        Raises:
            InputError: No such core, or an inner memory has the name of one off chip.
        """
        core = self.core(name)
        if core.array is None:
            return None
        clash = [memory for memory in core.memories if memory in self.offchip]
        if clash and clash != list(core.memories)[-1:]:
            raise InputError(
                f"memory '{clash[0]}' of core '{name}' has the name of one off chip but is not its outermost",
                "rename one of them, or list it last in the core",
            )
        whole = {"served_dimensions": tuple(core.array.dimensions)}
        above = {} if clash else {n: level.model_copy(update=whole) for n, level in self.offchip.items()}
        return Hierarchy(array=core.array, memories=core.memories | above, dataflow=core.dataflow)

    def core(self, name: str) -> Core:
        """Return the core called ``name``; raises InputError with a suggestion."""
        for core in self.cores:
            if core.name == name:
                return core
        raise InputError(
            f"{self.name} has no core '{name}'", did_you_mean(name, (c.name for c in self.cores))
        )

    def memory(self, name: str) -> Memory:
        """Return the memory called ``name``; raises InputError with a suggestion."""
        for memory in self.memories:
            if memory.name == name:
                return memory
        known = (m.name for m in self.memories)
        raise InputError(f"{self.name} has no memory '{name}'", did_you_mean(name, known))

    def operating_point(self, name: str) -> OperatingPoint:
        """Return the operating point called ``name``; raises InputError with what there is."""
        for point in self.operating_points:
            if point.name == name:
                return point
        if not self.operating_points:
            raise InputError(
                f"{self.name} has no operating points: no clock is known",
                "leave the point away; costs are in cycles",
            )
        known = [p.name for p in self.operating_points]
        raise InputError(f"{self.name} has no operating point '{name}'", did_you_mean(name, known))

    def size_bytes(self, memory: str) -> int:
        """Return the size of ``memory`` in bytes."""
        return int(self.memory(memory).size_bytes.value)

    @property
    def array_dimensions(self) -> dict[str, tuple[str, ...]]:
        """Array dimensions of every core by its name, in order; none where it has no array."""
        return {core.name: tuple(core.array.dimensions) if core.array else () for core in self.cores}

    @property
    def clock_hz(self) -> float | None:
        """Clock of the first operating point in Hz; ``None`` where no clock is known."""
        return self.operating_points[0].clock_hz.value if self.operating_points else None

    @property
    def host(self) -> str | None:
        """Name of the host core; ``None`` without one."""
        return next((c.name for c in self.cores if c.kind == "host"), None)

    def figures(self) -> dict[str, Figure]:
        """Return every figure by its path in the file, for listings and checks; zeros are left out."""
        return dict(_figures(self, "", None))


def _scaled(point: OperatingPoint, first: OperatingPoint) -> OperatingPoint:
    """Return ``point`` with the energy scale that follows from voltages, where it is not told."""
    if point.energy_scale is not None or (first.voltage_v is None and point.voltage_v is None):
        return point
    if first.voltage_v is None or point.voltage_v is None:
        lacking = first if first.voltage_v is None else point
        raise ValueError(
            f"'{lacking.name}' has no voltage_v, so what that of the other point does to energies is not "
            f"known; give it, or the energy_scale of '{point.name}'"
        )
    now, before = point.voltage_v.value, first.voltage_v.value
    told = f"derived: ({now:g} V / {before:g} V)^2, energy of switching alone; leakage is not in it"
    scale = Figure(value=(now / before) ** 2, known="placeholder", source=told)
    return point.model_copy(update={"energy_scale": scale})


def _figures(value: Any, path: str, origin: MacArray | MemoryLevel | Link | None) -> list[tuple[str, Figure]]:
    """Return the figures in ``value``; plain numbers have the provenance of the part they belong to."""
    if isinstance(value, Figure):
        return [(path, value)]
    if isinstance(value, BaseModel):
        origin = value if isinstance(value, MacArray | MemoryLevel | Link) else origin
        fields = ((name, getattr(value, name)) for name in type(value).model_fields)
        return [f for n, item in fields for f in _figures(item, f"{path}.{n}" if path else n, origin)]
    if isinstance(value, dict):
        return [f for name, item in value.items() for f in _figures(item, f"{path}.{name}", origin)]
    if isinstance(value, tuple):
        return [f for i, item in enumerate(value) for f in _figures(item, f"{path}[{i}]", origin)]
    if origin is not None and isinstance(value, int | float) and value > 0:
        return [(path, Figure(value=value, known=origin.known, source=origin.source))]
    return []


def load_architecture(path: Path) -> Architecture:
    """Read a ``hardware.yaml``.

    Raises:
        InputError: No such file, not YAML, or a wrong value, with the path of the value.
    """
    return architecture_of(read_yaml(path, "accelerator description"), str(path))


def parse_architecture(text: str, where: str) -> Architecture:
    """Parse the text of a ``hardware.yaml``; ``where`` names it in messages. Raises InputError."""
    return architecture_of(parse_yaml(text, where), where)


def architecture_of(data: object, where: str) -> Architecture:
    """Build an accelerator from the content of a ``hardware.yaml``. Raises InputError."""
    return checked(Architecture, data, where, "'name:' and 'cores:'")
