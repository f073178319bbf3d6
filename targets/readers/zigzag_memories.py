"""Memories of ZigZag core files: named ports that tell what they move, or counts of ports and a table.

Both generations say per operand and direction which port moves it: ``fh`` and ``th`` from and to the memory
above, ``fl`` and ``tl`` from and to the array side. The operand order of a memory breaks ties between equal
allocations, so it is kept, and so is the order in which an operand's directions are written.
"""

from __future__ import annotations

from dataclasses import dataclass

from passes.errors import did_you_mean
from targets.hierarchy import MemoryLevel, OperandName, Port
from targets.readers.entry import Entry

OPERANDS: dict[str, OperandName] = {"I1": "I", "I2": "W", "O": "O"}
DIRECTIONS = {"fh": "from_above", "th": "to_above", "fl": "from_below", "tl": "to_below"}

_REQUIRED = ("size", "operands", "ports", "served_dimensions")
# Latency, type and sharing groups change neither the energy nor the cycles of the cost model.
_OPTIONAL = (
    "r_cost",
    "w_cost",
    "area",
    "auto_cost_extraction",
    "latency",
    "mem_type",
    "shared_memory_group_id",
)
_COUNTED = ("r_bw", "w_bw", "r_port", "w_port", "rw_port", "min_r_granularity", "min_w_granularity")


@dataclass(frozen=True)
class _Wires:
    """A port before it is known whom it serves."""

    bandwidth: int
    granularity: int
    reads: bool
    writes: bool


@dataclass(frozen=True)
class _Move:
    """One operand in one direction over one port, and where the file says so."""

    port: str
    operand: str
    direction: str
    entry: Entry


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
    operands = _unique(fields["operands"], OPERANDS)
    wires, moves = _counted_ports(fields, operands) if counted else _named_ports(fields["ports"])
    served = _unique(fields["served_dimensions"], dimensions) if dimensions else []
    for cost in ("r_cost", "w_cost"):
        if cost not in fields:
            raise entry.wrong(f"{cost} is missing", "add it: pJ per access of one word")
    return MemoryLevel(
        size_bits=fields["size"].integer(),
        read_energy_pj=fields["r_cost"].number(),
        write_energy_pj=fields["w_cost"].number(),
        area=fields["area"].number() if "area" in fields else 0.0,
        operands=tuple(OPERANDS[operand] for operand in operands),
        ports=_ports(fields["ports"], operands, wires, moves),
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


def _unique(entry: Entry, known: dict[str, OperandName] | dict[str, int]) -> list[str]:
    words: list[str] = []
    for item in entry.elements(least=1 if known is OPERANDS else 0):
        word = item.choice(known)
        if word in words:
            raise item.wrong(f"'{word}' is named twice", "remove one")
        words.append(word)
    return words


def _named_ports(entry: Entry) -> tuple[dict[str, _Wires], list[_Move]]:
    wires: dict[str, _Wires] = {}
    moves = []
    for item in entry.elements(least=1):
        port = item.fields(("name", "bandwidth_max", "allocation"), ("type", "bandwidth_min"))
        name = port["name"].text()
        if name in wires:
            raise port["name"].wrong(f"another port is called '{name}' too", "rename one")
        kind = port["type"].choice(("read", "write", "read_write")) if "type" in port else "read_write"
        widest = port["bandwidth_max"].integer()
        least = port["bandwidth_min"].integer() if "bandwidth_min" in port else widest
        if least > widest:
            raise port["bandwidth_min"].wrong(f"exceeds bandwidth_max ({least} > {widest})", "lower it")
        wires[name] = _Wires(widest, least, kind != "write", kind != "read")
        for allocation in port["allocation"].elements(least=1):
            operand, _, direction = (part.strip() for part in allocation.text().partition(","))
            if operand not in OPERANDS or direction not in DIRECTIONS:
                raise allocation.wrong(
                    f"'{allocation.text()[:40]}' is no operand with a direction",
                    "write one of I1, I2, O, a comma, and one of fh, th, fl, tl",
                )
            moves.append(_Move(name, operand, direction, allocation))
    return wires, moves


def _counted_ports(fields: dict[str, Entry], operands: list[str]) -> tuple[dict[str, _Wires], list[_Move]]:
    def number(key: str, default: int, least: int = 1) -> int:
        return fields[key].integer(least) if key in fields else default

    # A port that reads and writes is as wide as one that reads.
    read, write = number("r_bw", 0), number("w_bw", 0)
    widths = {
        "r": (read, number("min_r_granularity", read)),
        "w": (write, number("min_w_granularity", write)),
        "rw": (read, number("min_r_granularity", read)),
    }
    for kind, key in (("r", "min_r_granularity"), ("w", "min_w_granularity")):
        if widths[kind][1] > widths[kind][0]:
            raise fields[key].wrong(f"exceeds {kind}_bw ({widths[kind][1]} > {widths[kind][0]})", "lower it")
    # No more ports than transfers can be in use, however many a file counts.
    most = len(operands) * len(DIRECTIONS)
    wires = {
        f"{kind}_port_{i}": _Wires(*width, reads="r" in kind, writes="w" in kind)
        for kind, width in widths.items()
        for i in range(1, min(number(f"{kind}_port", 0, least=0), most) + 1)
    }
    tables = fields["ports"].elements()
    if len(tables) != len(operands):
        raise fields["ports"].wrong(
            f"has {len(tables)} entries for {len(operands)} operands", "give one per operand, in their order"
        )
    moves = []
    for operand, table in zip(operands, tables, strict=True):
        for direction, port in table.fields((), DIRECTIONS).items():
            if port.text() not in wires:
                raise port.wrong(f"there is no port '{port.text()}'", did_you_mean(port.text(), wires))
            moves.append(_Move(port.text(), operand, direction, port))
    return wires, moves


def _ports(
    entry: Entry, operands: list[str], wires: dict[str, _Wires], moves: list[_Move]
) -> tuple[Port, ...]:
    _check_moves(operands, wires, moves)
    for operand in operands:
        if not any(move.operand == operand for move in moves):
            raise entry.wrong(f"no port moves operand {operand}", "allocate its directions to a port")
    ports = []
    for name, port in wires.items():
        serves = tuple(
            f"{OPERANDS[operand]} {DIRECTIONS[move.direction]}"
            for operand in operands
            for move in moves
            if move.port == name and move.operand == operand
        )
        if serves:
            ports.append(
                Port(
                    name=name,
                    bandwidth_bits_per_cycle=port.bandwidth,
                    granularity_bits=port.granularity if port.granularity < port.bandwidth else None,
                    serves=serves,
                )
            )
    return tuple(ports)


def _check_moves(operands: list[str], wires: dict[str, _Wires], moves: list[_Move]) -> None:
    taken: dict[tuple[str, str], str] = {}
    for move in moves:
        transfer = f"'{move.operand}, {move.direction}'"
        if move.operand not in operands:
            raise move.entry.wrong(
                f"the memory does not hold {move.operand}", "add it to operands or remove it here"
            )
        if (move.operand, move.direction) in taken:
            other = taken[move.operand, move.direction]
            raise move.entry.wrong(f"{transfer} is on port '{other}' already", "leave it on one of them")
        taken[move.operand, move.direction] = move.port
        if move.direction.startswith("f") and not wires[move.port].writes:
            raise move.entry.wrong(
                f"{transfer} writes the memory, but '{move.port}' only reads", "use a write port"
            )
        if move.direction.startswith("t") and not wires[move.port].reads:
            raise move.entry.wrong(
                f"{transfer} reads the memory, but '{move.port}' only writes", "use a read port"
            )
