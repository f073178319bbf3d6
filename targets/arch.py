"""Accelerator descriptions: cores, memories, DMA, operating points, and how each figure is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from passes.errors import InputError, did_you_mean
from targets.figure import Figure, Frozen
from targets.hierarchy import Hierarchy, MacArray, MemoryLevel, Size

MAX_FILE_BYTES = 1 << 20


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
    """

    name: Annotated[str, Field(min_length=1)]
    kind: Literal["mac_array", "imc_array", "pooling", "simd", "host"]
    active_power_mw: Figure | None = None
    rates: dict[str, Figure] = {}
    array: MacArray | None = None
    memories: dict[str, MemoryLevel] = {}
    dataflow: dict[str, dict[str, Size]] = {}

    @model_validator(mode="after")
    def _array_has_memories(self) -> Core:
        if self.array is None and (self.memories or self.dataflow):
            raise ValueError("memories and dataflow need an array")
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
    """A clock the chip runs at."""

    name: Annotated[str, Field(min_length=1)]
    clock_hz: Figure


class Architecture(Frozen):
    """A whole accelerator.

    Attributes:
        offchip: Memories above those of every core that has an array, innermost first.
        overlap: Transfers may run beside compute.
        host_waits: The host is busy while any other core works.
        operating_points: Empty where no clock is known; the first is the default.
    """

    name: Annotated[str, Field(min_length=1)]
    cores: Annotated[tuple[Core, ...], Field(min_length=1)]
    memories: tuple[Memory, ...] = ()
    offchip: dict[str, MemoryLevel] = {}
    dma: Dma | None = None
    operating_points: tuple[OperatingPoint, ...] = ()
    overlap: bool = False
    host_waits: bool = False

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
    def _hierarchies_are_complete(self) -> Architecture:
        for index, core in enumerate(self.cores):
            if core.array is None:
                continue
            try:
                hierarchy = self.hierarchy(core.name)
            except ValidationError as error:
                found = "; ".join(_message(e) for e in error.errors())
                raise ValueError(f"cores[{index}].{found}") from None
            if core.kind in {"mac_array", "imc_array"} and hierarchy is not None and not hierarchy.levels("W"):
                raise ValueError(f"cores[{index}].memories: no memory holds operand W; add it to the operands of one")
        return self

    def hierarchy(self, name: str) -> Hierarchy | None:
        """Return the array of core ``name`` with its memories and those off chip; ``None`` without an array."""
        core = self.core(name)
        if core.array is None:
            return None
        clash = sorted(set(core.memories) & set(self.offchip))
        if clash:
            raise InputError(f"core '{name}' has a memory named '{clash[0]}' as there is one off chip")
        return Hierarchy(array=core.array, memories=core.memories | self.offchip, dataflow=core.dataflow)

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

    def size_bytes(self, memory: str) -> int:
        """Return the size of ``memory`` in bytes."""
        return int(self.memory(memory).size_bytes.value)

    @property
    def clock_hz(self) -> float | None:
        """Clock of the default operating point in Hz; ``None`` where no clock is known."""
        return self.operating_points[0].clock_hz.value if self.operating_points else None

    @property
    def host(self) -> str | None:
        """Name of the host core; ``None`` without one."""
        return next((c.name for c in self.cores if c.kind == "host"), None)

    def figures(self) -> dict[str, Figure]:
        """Return every figure by its path in the file, for listings and checks."""
        return dict(_figures(self, ""))


def _figures(value: Any, path: str) -> list[tuple[str, Figure]]:
    if isinstance(value, Figure):
        return [(path, value)]
    if isinstance(value, BaseModel):
        fields = ((name, getattr(value, name)) for name in type(value).model_fields)
        return [f for name, item in fields for f in _figures(item, f"{path}.{name}" if path else name)]
    if isinstance(value, dict):
        return [f for name, item in value.items() for f in _figures(item, f"{path}.{name}")]
    if isinstance(value, tuple):
        return [f for index, item in enumerate(value) for f in _figures(item, f"{path}[{index}]")]
    return []


class _NoAliasLoader(yaml.SafeLoader):
    """Safe YAML without anchors: a few aliased lines can expand to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("anchors and aliases are not allowed")
        return super().compose_node(parent, index)


def load_architecture(path: Path) -> Architecture:
    """Read a ``hardware.yaml``.

    Raises:
        InputError: No such file, not YAML, or a wrong value, with the path of the value.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{path}: larger than 1 MiB", "an accelerator description is a short YAML file")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the accelerator description {path}: {error}") from None
    return parse_architecture(text, str(path))


def parse_architecture(text: str, where: str) -> Architecture:
    """Parse the text of a ``hardware.yaml``; ``where`` names it in messages. Raises InputError."""
    try:
        # A subclass of SafeLoader, so no Python objects are built.
        data = yaml.load(text, Loader=_NoAliasLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{where}: not readable as YAML: {error}") from None
    if not isinstance(data, dict):
        raise InputError(f"{where}: expected keys and values such as 'name:' and 'cores:'")
    try:
        return Architecture.model_validate(data)
    except ValidationError as error:
        lines = [f"{_path(e['loc'])}{_message(e)}" for e in error.errors()]
        raise InputError(f"{where}: " + "; ".join(lines)) from None


def _path(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    text = text.removeprefix(".").removesuffix(".value")
    return f"{text}: " if text else ""


def _message(error: Any) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "greater_than":
        return f"must be > {context['gt']:g}"
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "unknown key"
    return str(error["msg"]).removeprefix("Value error, ")
