"""Recorded figures of the outside reference, as nests, mappings and accelerators of this project."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from targets.cost.model.nest import LoopNest, Window
from targets.description.architecture import architecture_of
from targets.description.hierarchy import DIRECTIONS, Hierarchy
from targets.description.mapping import Mapping, MappingRule
from targets.description.readers.mapping import mapping_of
from targets.description.yaml_text import read_yaml
from targets.objective import Objective, objective_named

FOLDER = Path(__file__).parents[1] / "tests" / "targets" / "references"
# Directions in the order of the counts in a record's word accesses.
COUNTED = ("to_below", "from_below", "to_above", "from_above")
assert set(COUNTED) == set(DIRECTIONS)


@dataclass(frozen=True)
class Core:
    """A core of the reference and what its mapping file asks."""

    hierarchy: Hierarchy
    rules: tuple[MappingRule, ...]


@dataclass(frozen=True)
class Record:
    """One evaluation by the reference.

    Attributes:
        label: Where it comes from, for messages.
        hardware: Name of the core.
        network: Name of the network, or ``made_up``.
        nest: The layer.
        mapping: The mapping it evaluated.
        figures: What it found: ``energy`` in pJ, ``latency`` in cycles and their parts.
        layer: The layer as recorded.
        times: How often the network has the layer.
    """

    label: str
    hardware: str
    network: str
    nest: LoopNest
    mapping: Mapping
    figures: dict[str, Any]
    layer: dict[str, Any]
    times: int = 1


@dataclass(frozen=True)
class Search:
    """The best mappings the reference found for a network, or why it found none.

    Attributes:
        cpu_s: CPU seconds of its own search, where these were measured.
        locality: Data was kept in the core between layers, each of which then sees fewer memories.
    """

    label: str
    hardware: str
    network: str
    objective: Objective
    energy_pj: float
    latency_cycles: float
    cpu_s: float | None
    locality: bool
    layers: tuple[Record, ...]


def read(kind: str, folder: Path = FOLDER) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return header and records of ``zigzag_<kind>.json.gz``; no records without the file."""
    path = folder / f"zigzag_{kind}.json.gz"
    if not path.exists():
        return {"tool": "zigzag-dse", "version": "?"}, []
    data = json.loads(gzip.decompress(path.read_bytes()))
    return data["header"], data["records"]


def cores(path: Path = FOLDER / "zigzag_hardware.yaml") -> dict[str, Core]:
    """Return the cores by name."""
    document = read_yaml(path, "accelerators of the reference")
    assert isinstance(document, dict)
    found = {}
    for name, entry in document.items():
        architecture = architecture_of(entry["architecture"], name)
        only = architecture.cores[0].name
        hierarchy = architecture.hierarchy(only)
        assert hierarchy is not None
        found[name] = Core(hierarchy, mapping_of(entry["mapping"], name, architecture.array_dimensions)[0])
    return found


def pairs(folder: Path = FOLDER) -> Iterator[Record]:
    """Yield the recorded evaluations of random mappings."""
    header, records = read("pairs", folder)
    for index, record in enumerate(records):
        yield record_of(record, record, f"{_tool(header)} pairs[{index}]")


def searches(folder: Path = FOLDER, kind: str = "best") -> Iterator[Search]:
    """Yield the recorded searches of networks; those that failed are left out."""
    header, records = read(kind, folder)
    for record in records:
        if "energy" not in record:
            continue
        locality = bool(record.get("locality"))
        beside = ", data kept between layers" if locality else ""
        label = f"{_tool(header)} {kind}: {record['network']} on {record['hardware']}{beside}"
        yield Search(
            label,
            record["hardware"],
            record["network"],
            objective_named(record["opt"]),
            record["energy"],
            record["latency"],
            record["cpu_s"],
            locality,
            tuple(record_of(layer, record, f"{label}, {layer['names'][0]}") for layer in record["layers"]),
        )


def _tool(header: dict[str, Any]) -> str:
    return f"ZigZag {header['version']}"


def record_of(body: dict[str, Any], where: dict[str, Any], label: str) -> Record:
    """Return a layer, its mapping and its figures."""
    nest = nest_of_record(body["layer"])
    mapping = mapping_of_record(body["mapping"], nest)
    times = len(body.get("nodes", (0,)))
    label = f"{label} ({where['hardware']}, {where['network']})"
    hardware, network = where["hardware"], where["network"]
    return Record(label, hardware, network, nest, mapping, body["figures"], body["layer"], times)


def nest_of_record(layer: dict[str, Any]) -> LoopNest:
    """Return a recorded layer as a nest; which loops index an operand is read from its equation."""
    relevant = []
    for operand in layer["operands"]:
        indexed = re.search(rf"\b{operand}((\[\w+\])+)", layer["equation"])
        assert indexed is not None, layer["equation"]
        names = (name.upper() for name in re.findall(r"\[(\w+)\]", indexed.group(1)))
        relevant.append((operand, frozenset(n for n in names if n in layer["dims"])))
    windows = tuple(
        Window(outer, inner, stride, dilation, layer["pr_sizes"][axis])
        for axis, ((outer, stride), (inner, dilation)) in layer["relations"].items()
    )
    return LoopNest(
        tuple(layer["dims"].items()),
        tuple(layer["operands"]),
        tuple(relevant),
        windows,
        tuple(layer["bits"].items()),
    )


def mapping_of_record(mapping: dict[str, Any], nest: LoopNest) -> Mapping:
    """Return a recorded mapping; loops that run once say nothing and are left out."""
    counts = {
        op: [sum(size > 1 for _, size in level) for level in mapping["temporal"][op]] for op in nest.operands
    }
    return Mapping(
        mapping["spatial"],
        tuple((loop, size) for loop, size in mapping["ordering"] if size > 1),
        {op: tuple(accumulate(levels)) for op, levels in counts.items()},
    )


def words_of(record: Record, hierarchy: Hierarchy) -> dict[tuple[str, str, str], float]:
    """Return recorded word accesses by operand, memory and direction, without those that do not happen."""
    found = {}
    for op, levels in record.figures["word_accesses"].items():
        for (memory, _), counts in zip(hierarchy.levels(op), levels, strict=True):
            for direction, words in zip(COUNTED, counts, strict=True):
                if words:
                    found[op, memory, direction] = float(words)
    return found
