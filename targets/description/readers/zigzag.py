"""ZigZag core files, of both generations, as an accelerator with one core."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from passes.errors import InputError
from targets.description.architecture import Architecture, Core
from targets.description.explain import explain
from targets.description.hierarchy import MAX_ADC_BITS, Imc, MacArray, MemoryLevel
from targets.description.readers.entry import Entry
from targets.description.readers.loops import read_unrolling
from targets.description.readers.zigzag_memories import read_memory

# Messages of the description itself speak of our words.
WORDS = (
    "in ZigZag's words W is I2 and I is I1; from_above is fh, to_above th, from_below fl, to_below tl; "
    "levels are listed innermost first"
)
_OPTIONAL_ARRAY = (
    *("is_imc", "imc_type", "input_precision", "bit_serial_precision", "adc_resolution"),
    *("unit_energy", "unit_area", "multiplier_energy", "multiplier_area"),
)


@dataclass(frozen=True)
class CoreFile:
    """What a core file says.

    Attributes:
        name: Its name for itself; several files of one accelerator may use the same.
        type: Its role in words, such as ``compute``; empty where it does not tell.
        array: Its multipliers; ``None`` for a memory without any, such as the one off chip.
        memories: Innermost first.
        dataflow: Unrolling per array dimension it is built for.
    """

    name: str
    type: str
    array: MacArray | None
    memories: dict[str, MemoryLevel]
    dataflow: dict[str, dict[str, int]]


def read_zigzag(document: object, where: str) -> Architecture:
    """Return the accelerator of a core file; ``where`` names it in messages. Raises InputError."""
    entry = Entry(document, where)
    core = read_core(entry)
    if core.array is None:
        raise Entry(None, where, "operational_array.sizes").wrong(
            "0 makes this a memory without multipliers, which runs nothing",
            "give sizes > 0, or use the file as the off-chip core of a Stream accelerator",
        )
    kind: Literal["mac_array", "imc_array"] = "imc_array" if core.array.imc else "mac_array"
    try:
        only = Core(
            name=core.name, kind=kind, array=core.array, memories=core.memories, dataflow=core.dataflow
        )
        return Architecture(name=core.name, cores=(only,), overlap=True)
    except ValidationError as error:
        message = explain(error).replace("cores[0].", "")
        raise InputError(f"{where}: {message}", WORDS) from None


def read_core(entry: Entry) -> CoreFile:
    """Return what a core file says, each value checked on its own. Raises InputError."""
    source = Path(entry.file).name
    fields = entry.fields(("name", "memories", "operational_array"), ("dataflows", "type"))
    array = _read_array(fields["operational_array"], source)
    dimensions = array.dimensions if array else {}
    memories = {
        name: read_memory(item, dimensions, source) for name, item in fields["memories"].items().items()
    }
    if array and array.imc:
        _check_cells(fields["memories"], memories.get(array.imc.cells))
    dataflow = read_unrolling(fields["dataflows"]) if array and "dataflows" in fields else {}
    for dimension in dataflow:
        if dimension not in dimensions:
            raise (
                fields["dataflows"]
                .items()[dimension]
                .wrong("the array has no such dimension", f"it has {', '.join(dimensions)}")
            )
    kind = fields["type"].text() if "type" in fields else ""
    return CoreFile(fields["name"].text(), kind, array, memories, dataflow)


def _read_array(entry: Entry, source: str) -> MacArray | None:
    fields = entry.fields(("dimensions", "sizes"), _OPTIONAL_ARRAY)
    names = [item.text() for item in fields["dimensions"].elements(least=1)]
    sizes = [item.integer(least=0) for item in fields["sizes"].elements()]
    if len(set(names)) < len(names):
        raise fields["dimensions"].wrong("one is named twice", "rename one")
    if len(sizes) != len(names):
        raise fields["sizes"].wrong(
            f"has {len(sizes)} entries for {len(names)} dimensions", "give one per dimension"
        )
    if 0 in sizes:
        return None
    imc = _read_imc(entry, fields) if "is_imc" in fields and fields["is_imc"].boolean() else None
    energy = next((fields[k] for k in ("unit_energy", "multiplier_energy") if k in fields), None)
    area = next((fields[k] for k in ("unit_area", "multiplier_area") if k in fields), None)
    if energy is None and imc is None:
        raise entry.wrong("unit_energy is missing", "add it: pJ per multiply-accumulate")
    return MacArray(
        dimensions=dict(zip(names, sizes, strict=True)),
        operation_energy_pj=energy.number() if energy else 0.0,
        operation_area=area.number() if area else 0.0,
        imc=imc,
        known="published",
        source=source,
    )


def _read_imc(entry: Entry, fields: dict[str, Entry]) -> Imc:
    for key in ("imc_type", "input_precision", "bit_serial_precision"):
        if key not in fields:
            raise entry.wrong(f"{key} is missing", "an array with is_imc needs it")
    precision = fields["input_precision"].elements()
    if len(precision) != 2:
        raise fields["input_precision"].wrong("expected two numbers", "write [activation bits, weight bits]")
    kind = fields["imc_type"].choice(("analog", "digital"))
    activation_bits = precision[0].integer()
    per_cycle = fields["bit_serial_precision"].integer()
    if per_cycle > activation_bits:
        raise fields["bit_serial_precision"].wrong(
            f"exceeds the {activation_bits} bits of an activation", "lower it"
        )
    adc_bits = fields["adc_resolution"].integer(least=0) if "adc_resolution" in fields else 0
    if adc_bits > MAX_ADC_BITS:
        raise fields["adc_resolution"].wrong(
            "is more than any converter has", f"give at most {MAX_ADC_BITS} bits"
        )
    return Imc(
        kind="analog" if kind == "analog" else "digital",
        activation_bits=activation_bits,
        weight_bits=precision[1].integer(),
        bits_per_cycle=per_cycle,
        adc_bits=adc_bits,
    )


def _check_cells(entry: Entry, cells: MemoryLevel | None) -> None:
    if cells is None:
        raise entry.wrong("an in-memory array needs a memory called 'cells'", "add the one of its weights")
    if cells.operands != ("W",) or cells.served_dimensions:
        raise entry.items()["cells"].wrong(
            "the cells of an in-memory array hold the weights of one multiplier each",
            "set operands to [I2] and served_dimensions to []",
        )
