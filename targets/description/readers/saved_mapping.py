"""Our form of mapping file: complete mappings of layers, written by one run and fixed in another."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field

import yaml

from targets.description.hierarchy import OPERANDS
from targets.description.mapping import Mapping, MappingRule
from targets.description.readers.entry import Entry
from targets.description.readers.loops import check_dimensions, read_loop

_LINE = 110
# Array dimensions of cores by name, in the order of the description.
Dimensions = MappingType[str, Collection[str]]


@dataclass(frozen=True)
class SavedMapping:
    """The mapping of one layer, the core it is for, and which operand's memories each operand uses there."""

    layer: str
    core: str
    mapping: Mapping
    links: MappingType[str, str] = field(default_factory=dict)


def mapping_text(entries: Iterable[SavedMapping]) -> str:
    """Return the text of a mapping file; ``read_mapping`` gives the same mappings back."""
    layers = [
        {
            "layer": entry.layer,
            "core": entry.core,
            "spatial": {dimension: dict(loops) for dimension, loops in entry.mapping.spatial.items()},
            "loops": [[loop, factor] for loop, factor in entry.mapping.loops],
            "levels": {op: list(entry.mapping.levels[op]) for op in OPERANDS if op in entry.mapping.levels},
            **({"links": dict(entry.links)} if entry.links else {}),
        }
        for entry in entries
    ]
    return yaml.safe_dump({"layers": layers}, sort_keys=False, default_flow_style=None, width=_LINE)


def read_saved(entry: Entry, cores: Dimensions) -> tuple[MappingRule, ...]:
    """Return one rule with a fixed mapping per layer; ``cores`` are those of the accelerator.

    Raises:
        InputError: A wrong value, with its path and the fix.
    """
    rules: list[MappingRule] = []
    for item in entry.fields(("layers",))["layers"].elements():
        fields = item.fields(("layer", "core", "spatial", "loops", "levels"), ("links",))
        layer = fields["layer"].text()
        if any(rule.name == layer for rule in rules):
            raise fields["layer"].wrong(f"'{layer}' is there twice", "remove one of the entries")
        core = fields["core"].choice(cores)
        if fields["spatial"].value != {}:
            check_dimensions(fields["spatial"], cores[core])
        links = _read_links(fields["links"]) if "links" in fields else {}
        rules.append(
            MappingRule(layer, links=links, cores=(list(cores).index(core),), fixed=_read_fixed(fields))
        )
    return tuple(rules)


def _read_links(entry: Entry) -> dict[str, str]:
    links = {operand: item.choice(OPERANDS) for operand, item in entry.fields((), OPERANDS).items()}
    if sorted(links) != sorted(links.values()) or "O" in links:
        raise entry.wrong("W and I exchange their memories or keep them", "write {I: W, W: I}, or remove it")
    return links


def _read_fixed(fields: dict[str, Entry]) -> Mapping:
    spatial = {} if fields["spatial"].value == {} else fields["spatial"].items()
    loops: list[tuple[str, int]] = []
    for item in fields["loops"].elements():
        pair = item.elements()
        if len(pair) != 2:
            raise item.wrong(f"has {len(pair)} entries", "write a loop and its factor, such as [OX, 8]")
        loops.append((read_loop(pair[0]), pair[1].integer()))
    return Mapping(
        spatial={d: _read_factors(entry) for d, entry in spatial.items()},
        loops=tuple(loops),
        levels={
            op: _read_levels(e, len(loops)) for op, e in fields["levels"].fields(("I", "O"), ("W",)).items()
        },
    )


def _read_factors(entry: Entry) -> dict[str, int]:
    if entry.value == {}:
        return {}
    return {read_loop(Entry(loop, e.file, e.path)): e.integer() for loop, e in entry.items().items()}


def _read_levels(entry: Entry, loops: int) -> tuple[int, ...]:
    items = entry.elements(least=1)
    levels = [item.integer(least=0) for item in items]
    for item, inner, outer in zip(items[1:], levels, levels[1:], strict=False):
        if outer < inner:
            raise item.wrong(
                f"{outer} is less than {inner} of the level below", "count the loops at or below a level"
            )
    if levels[-1] != loops:
        raise items[-1].wrong(
            f"the outermost level must hold all {loops} loops, not {levels[-1]}", f"write {loops}"
        )
    return tuple(levels)
