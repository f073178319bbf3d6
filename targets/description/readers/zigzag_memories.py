"""Memories of ZigZag core files, of both generations: with named ports, or with counts of ports and tables.

The operand order of a memory breaks ties between equal allocations, so it is kept, and so is the order in
which an operand's directions are written.
"""

from __future__ import annotations

from collections.abc import Collection

from targets.description.hierarchy import MemoryLevel
from targets.description.readers.entry import Entry
from targets.description.readers.zigzag_ports import (
    DIRECTIONS,
    OPERANDS,
    counted_ports,
    named_ports,
    ports_of,
)

_REQUIRED = ("size", "operands", "ports", "served_dimensions")
_COSTS = ("r_cost", "w_cost", "area", "auto_cost_extraction")
# Latency, type and sharing groups change neither the energy nor the cycles of the cost model.
_OPTIONAL = (*_COSTS, "latency", "mem_type", "shared_memory_group_id")
_COUNTED = ("r_bw", "w_bw", "r_port", "w_port", "rw_port", "min_r_granularity", "min_w_granularity")


def read_memory(entry: Entry, dimensions: dict[str, int], source: str) -> MemoryLevel:
    """Return one memory of a core file of either generation.

    Args:
        entry: The value below ``memories.<name>``.
        dimensions: Dimensions of the array; empty for a core without one, where none is served.
        source: What the numbers are said to come from.

    Raises:
        InputError: A wrong value, with its path and the fix.
    """
    counted = [key for key in _COUNTED if key in entry.items()]
    required = (*_REQUIRED, "r_bw", "w_bw") if counted else _REQUIRED
    fields = entry.fields(required, (*_OPTIONAL, *_COUNTED) if counted else _OPTIONAL)
    name = entry.path.rpartition(".")[2]
    if "auto_cost_extraction" in fields and fields["auto_cost_extraction"].boolean():
        raise fields["auto_cost_extraction"].wrong(
            "the costs would need an external memory compiler",
            f"give r_cost, w_cost and area of {name} and set auto_cost_extraction to false",
        )
    operands = _unique(fields["operands"], OPERANDS, least=1)
    wires, moves = counted_ports(fields, operands) if counted else named_ports(fields["ports"])
    served = _unique(fields["served_dimensions"], dimensions, least=0) if dimensions else []
    for cost in ("r_cost", "w_cost"):
        if cost not in fields:
            raise entry.wrong(f"{cost} is missing", "add it: pJ per access of one word")
    return MemoryLevel(
        size_bits=fields["size"].integer(),
        read_energy_pj=fields["r_cost"].number(),
        write_energy_pj=fields["w_cost"].number(),
        area=fields["area"].number() if "area" in fields else 0.0,
        operands=tuple(OPERANDS[operand] for operand in operands),
        ports=ports_of(fields["ports"], operands, wires, moves),
        served_dimensions=tuple(served),
        known="published",
        source=source,
    )


def is_left_over(key: object, value: object) -> bool:
    """Return whether a key that is there twice is the table of the older generation above named ports.

    Published core files carry both for one memory; the later form is what counts.
    """
    tables = value if key == "ports" and isinstance(value, list) else []
    return bool(tables) and all(
        isinstance(table, dict) and table.keys() <= DIRECTIONS.keys() for table in tables
    )


def _unique(entry: Entry, known: Collection[str], least: int) -> list[str]:
    words: list[str] = []
    for item in entry.elements(least):
        word = item.choice(known)
        if word in words:
            raise item.wrong(f"'{word}' is named twice", "remove one")
        words.append(word)
    return words
