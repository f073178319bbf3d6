"""Ports of ZigZag core files, of both generations, and what they move.

A file says per operand and direction which port moves it: ``fh`` and ``th`` from and to the memory above,
``fl`` and ``tl`` from and to the array side.
"""

from __future__ import annotations

from dataclasses import dataclass

from passes.errors import did_you_mean
from targets.description.hierarchy import OperandName, Port
from targets.description.readers.entry import Entry

OPERANDS: dict[str, OperandName] = {"I1": "I", "I2": "W", "O": "O"}
DIRECTIONS = {"fh": "from_above", "th": "to_above", "fl": "from_below", "tl": "to_below"}


@dataclass(frozen=True)
class Wires:
    """A port before it is known whom it serves."""

    bandwidth: int
    granularity: int
    reads: bool
    writes: bool


@dataclass(frozen=True)
class PortMove:
    """One operand in one direction over one port, and where the file says so."""

    port: str
    operand: str
    direction: str
    entry: Entry


def named_ports(entry: Entry) -> tuple[dict[str, Wires], list[PortMove]]:
    """Return the ports of the newer generation, each with its own allocation. Raises InputError."""
    wires: dict[str, Wires] = {}
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
        wires[name] = Wires(widest, least, kind != "write", kind != "read")
        for allocation in port["allocation"].elements(least=1):
            operand, _, direction = (part.strip() for part in allocation.text().partition(","))
            if operand not in OPERANDS or direction not in DIRECTIONS:
                raise allocation.wrong(
                    f"'{allocation.text()[:40]}' is no operand with a direction",
                    "write one of I1, I2, O, a comma, and one of fh, th, fl, tl",
                )
            moves.append(PortMove(name, operand, direction, allocation))
    return wires, moves


def counted_ports(fields: dict[str, Entry], operands: list[str]) -> tuple[dict[str, Wires], list[PortMove]]:
    """Return the ports of the older generation, counted by kind, with tables of moves. Raises InputError."""

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
        f"{kind}_port_{i}": Wires(*width, reads="r" in kind, writes="w" in kind)
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
            moves.append(PortMove(port.text(), operand, direction, port))
    return wires, moves


def ports_of(
    entry: Entry, operands: list[str], wires: dict[str, Wires], moves: list[PortMove]
) -> tuple[Port, ...]:
    """Return the ports that are in use, with what each serves.

    Args:
        entry: The value below ``ports``.
        operands: Operands of the memory, in their order, which orders what a port serves.
        wires: Ports by name.
        moves: In the order of the file.

    Raises:
        InputError: An operand or a move that no port, or the wrong one, serves.
    """
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


def _check_moves(operands: list[str], wires: dict[str, Wires], moves: list[PortMove]) -> None:
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
