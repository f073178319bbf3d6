"""Mapping files: what a user asks of the mapping of layers, in ZigZag's, Stream's or our saved form."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from passes.errors import did_you_mean
from targets.description.mapping import MappingRule
from targets.description.readers.entry import Entry
from targets.description.readers.loops import check_dimensions, read_loop, read_unrolling
from targets.description.readers.saved_mapping import Dimensions, read_saved
from targets.description.readers.zigzag_ports import OPERANDS
from targets.description.yaml_text import parse_yaml, read_yaml

# How Stream cuts layers into parts before it maps them; here that is the scheduler's decision.
_NOT_USED = ("intra_core_tiling", "inter_core_tiling")
_KEYS = (
    *(
        "spatial_mapping",
        "spatial_mapping_hint",
        "temporal_ordering",
        "memory_operand_links",
        "core_allocation",
    ),
    *_NOT_USED,
)
_ANY = "*"


def read_mapping(path: Path, cores: Dimensions) -> tuple[tuple[MappingRule, ...], tuple[str, ...]]:
    """Read a mapping file.

    Args:
        path: The file.
        cores: Array dimensions of the accelerator's cores by name, in the order that core ids index; none for
            a core without an array.

    Returns:
        The rules in the order of the file, and a note on each wish in it that is not followed.

    Raises:
        InputError: The file cannot be read or says something wrong, with the path of the value and the fix.
    """
    return mapping_of(read_yaml(path, "mapping file"), str(path), cores)


def parse_mapping(
    text: str, where: str, cores: Dimensions
) -> tuple[tuple[MappingRule, ...], tuple[str, ...]]:
    """Parse the text of a mapping file as ``read_mapping`` does; ``where`` names it in messages."""
    return mapping_of(parse_yaml(text, where), where, cores)


def mapping_of(
    document: object, where: str, cores: Dimensions
) -> tuple[tuple[MappingRule, ...], tuple[str, ...]]:
    """Return rules and notes of the content of a mapping file, as ``read_mapping`` does."""
    entry = Entry(document, where)
    if isinstance(document, dict) and {"cores", "operational_array"} & document.keys():
        raise entry.wrong("describes an accelerator, not mappings", "give it with `target`")
    if isinstance(document, dict):
        return read_saved(entry, cores), ()
    if not isinstance(document, list):
        raise entry.wrong("expected a list of entries with 'name', or 'layers' as saved by a run")
    rules: list[MappingRule] = []
    unused: dict[str, list[str]] = {}
    for item in entry.elements(least=1):
        fields = item.fields(("name",), _KEYS)
        rule = _read_rule(fields, cores)
        if any(rule.name == other.name for other in rules):
            raise fields["name"].wrong(f"'{rule.name}' is there twice", "remove one of the entries")
        rules.append(rule)
        known = _dimensions(rule, cores)
        if rule.spatial:
            check_dimensions(fields["spatial_mapping"], known)
        # Published files hint at dimensions their accelerators do not have, which changes nothing.
        idle = [f"spatial_mapping_hint.{d} ({did_you_mean(d, known)})" for d in rule.hint if d not in known]
        for key in (*idle, *(key for key in _NOT_USED if key in fields)):
            unused.setdefault(key, []).append(rule.name)
    notes = [f"{where}: {key} of {', '.join(names)} is not used" for key, names in unused.items()]
    return tuple(rules), tuple(notes)


def _dimensions(rule: MappingRule, cores: Dimensions) -> list[str]:
    """Return the array dimensions of the cores a rule is for."""
    names = list(cores)
    allowed: Iterable[str] = [names[index] for index in rule.cores] or names
    return list(dict.fromkeys(d for name in allowed for d in cores[name]))


def is_mapping(document: object) -> bool:
    """Whether the content of a file is that of a mapping file, of any form."""
    if isinstance(document, dict):
        return document.keys() == {"layers"}
    entries = document if isinstance(document, list) else []
    return bool(entries) and all(isinstance(e, dict) and e.keys() <= {"name", *_KEYS} for e in entries)


def _read_rule(fields: dict[str, Entry], cores: Dimensions) -> MappingRule:
    spatial, hint = fields.get("spatial_mapping"), fields.get("spatial_mapping_hint")
    order, links = fields.get("temporal_ordering"), fields.get("memory_operand_links")
    allocation = fields.get("core_allocation")
    return MappingRule(
        name=fields["name"].text(),
        spatial=read_unrolling(spatial) if spatial else {},
        hint={d: tuple(map(read_loop, e.elements(least=1))) for d, e in hint.items().items()} if hint else {},
        order=_read_order(order) if order else (),
        links=_read_links(links) if links else {},
        cores=_read_allocation(allocation, cores) if allocation else (),
    )


def _read_order(entry: Entry) -> tuple[tuple[str, int | None], ...]:
    """Return loops from the innermost.

    ``[K, "*"]`` leaves a factor open, ``["*", "*"]`` all loops between, so that those after it are outermost.
    """
    order: list[tuple[str, int | None]] = []
    for item in entry.elements():
        pair = item.elements()
        if len(pair) != 2:
            raise item.wrong(
                f"has {len(pair)} entries", "write a loop and its factor, such as [OX, 8] or [K, '*']"
            )
        factor = None if pair[1].value == _ANY else pair[1].integer()
        if pair[0].value == _ANY:
            if factor is not None:
                raise pair[1].wrong("loops left open have no factor", "write ['*', '*']")
            if (_ANY, None) in order:
                raise item.wrong("['*', '*'] is there twice", "leave one")
            order.append((_ANY, None))
        else:
            order.append((read_loop(pair[0]), factor))
    return tuple(order)


def _read_links(entry: Entry) -> dict[str, str]:
    fields = entry.fields(("O", "W", "I"))
    links = {operand: OPERANDS[item.choice(OPERANDS)] for operand, item in fields.items()}
    if len(set(links.values())) < len(links) or links["O"] != "O":
        raise entry.wrong(
            "O keeps its memories, and W and I use different ones",
            "write O: O, W: I2, I: I1, or W: I1, I: I2",
        )
    return {operand: memory for operand, memory in sorted(links.items()) if operand != memory}


def _read_allocation(entry: Entry, cores: Dimensions) -> tuple[int, ...]:
    items = entry.elements(least=1) if isinstance(entry.value, list) else [entry]
    allocation = []
    for item in items:
        index = item.integer(least=0)
        if index >= len(cores):
            raise item.wrong(f"there is no core {index}", f"the ids are 0 to {len(cores) - 1}")
        allocation.append(index)
    return tuple(dict.fromkeys(allocation))
