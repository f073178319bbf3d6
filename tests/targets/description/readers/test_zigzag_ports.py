"""Ports of core files: named, or counted with tables; whom they serve, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from passes.errors import InputError
from targets.description.hierarchy import Port
from targets.description.readers.entry import Entry
from targets.description.readers.zigzag import read_zigzag
from targets.description.readers.zigzag_ports import Wires, counted_ports, named_ports, ports_of
from tests.targets.description.readers.files import COUNTED, NAMED, changed

HELD = ["I2", "I1", "O"]


def port(name: str, *allocation: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "bandwidth_max": 64, "allocation": list(allocation), **more}


def named(*ports: dict[str, Any], operands: list[str] = HELD) -> tuple[Port, ...]:
    entry = Entry(list(ports), "core.yaml", "ports")
    return ports_of(entry, operands, *named_ports(entry))


def counted(tables: list[dict[str, str]], operands: list[str], **fields: int) -> tuple[Port, ...]:
    entries = Entry({"ports": tables, **fields}, "core.yaml").items()
    return ports_of(entries["ports"], operands, *counted_ports(entries, operands))


def test_a_port_serves_operands_in_their_order_and_directions_in_that_of_the_file() -> None:
    (both,) = named(port("p", "O, tl", "O,fh", " I1 ,  tl ", "I2, fh", "O, fl", "I2, tl", "O, th"))
    assert both.serves == (
        *("W from_above", "W to_below", "I to_below"),
        *("O to_below", "O from_above", "O from_below", "O to_above"),
    )


def test_ports_are_as_wide_as_they_say_and_split_words_as_small_as_they_say() -> None:
    small, whole = named(
        port("a", "I2, tl", "I1, tl", bandwidth_min=8), port("b", "O, tl", bandwidth_min=64, type="read")
    )
    assert (small.bandwidth_bits_per_cycle, small.granularity_bits) == (64, 8)
    assert (whole.bandwidth_bits_per_cycle, whole.granularity_bits) == (64, None)


def test_counted_ports_are_numbered_by_kind_and_unused_ones_left_out() -> None:
    tables = [{"tl": "r_port_2", "fh": "rw_port_1"}, {"fl": "w_port_1", "tl": "rw_port_1"}]
    widths = {"r_bw": 64, "w_bw": 32, "min_r_granularity": 16, "min_w_granularity": 8}
    found = counted(tables, ["I1", "O"], r_port=2, w_port=1, rw_port=1, **widths)
    assert {p.name: (p.bandwidth_bits_per_cycle, p.granularity_bits, p.serves) for p in found} == {
        "r_port_2": (64, 16, ("I to_below",)),
        "w_port_1": (32, 8, ("O from_below",)),
        "rw_port_1": (64, 16, ("I from_above", "O to_below")),
    }, "a port that reads and writes is as wide as one that reads"


def test_no_more_ports_than_transfers_are_made() -> None:
    fields = Entry(
        {"ports": [{"tl": "r_port_1"}], "r_bw": 8, "w_bw": 8, "r_port": 10**9}, "core.yaml"
    ).items()
    wires, moves = counted_ports(fields, ["I1"])
    assert list(wires) == [f"r_port_{i}" for i in (1, 2, 3, 4)]
    assert [(move.port, move.operand, move.direction) for move in moves] == [("r_port_1", "I1", "tl")]
    assert set(wires.values()) == {Wires(8, 8, reads=True, writes=False)}


@pytest.mark.parametrize(
    ("kind", "allocation", "message"),
    [
        ("read", "O, fh", "'O, fh' writes the memory, but 'p' only reads\nuse a write port"),
        ("read", "O, fl", "'O, fl' writes the memory, but 'p' only reads"),
        ("write", "O, th", "'O, th' reads the memory, but 'p' only writes\nuse a read port"),
        ("write", "O, tl", "'O, tl' reads the memory, but 'p' only writes"),
        ("read", "O, tl", ""),
        ("write", "O, fl", ""),
        ("read_write", "O, fh", ""),
    ],
)
def test_ports_move_one_way_or_both(kind: str, allocation: str, message: str) -> None:
    if not message:
        assert len(named(port("p", allocation, type=kind), operands=["O"])) == 1
        return
    with pytest.raises(InputError) as caught:
        named(port("p", allocation, type=kind), operands=["O"])
    assert str(caught.value).startswith(f"core.yaml: ports[0].allocation[0]: {message}")


@pytest.mark.parametrize(
    ("allocation", "message"),
    [
        ("I3, tl", "'I3, tl' is no operand with a direction"),
        ("I1, up", "'I1, up' is no operand with a direction"),
        ("I1 tl", "'I1 tl' is no operand with a direction"),
        ("I1, tl, fh", "'I1, tl, fh' is no operand with a direction"),
        ("I1", "'I1' is no operand with a direction"),
        ("W, tl", "'W, tl' is no operand with a direction"),
    ],
)
def test_an_allocation_is_an_operand_and_a_direction(allocation: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        named(port("p", "O, tl", allocation))
    assert caught.value.message == f"core.yaml: ports[0].allocation[1]: {message}"


def test_every_operand_has_a_port_and_every_transfer_one() -> None:
    with pytest.raises(InputError, match=r"core\.yaml: ports: no port moves operand I2"):
        named(port("p", "I1, tl", "O, tl"))
    with pytest.raises(InputError, match=r"ports\[1\].allocation\[0\]: 'O, tl' is on port 'p' already"):
        named(port("p", "O, tl"), port("q", "O, tl"), operands=["O"])


WRONG = {
    "allocation": (
        NAMED,
        '"I1, tl"',
        '"I1: tl"',
        "memories.sram.ports[0].allocation[1]: 'I1: tl' is no operand",
    ),
    "not held": (
        NAMED,
        "[I2, I1, O]",
        "[I2, O]",
        "memories.sram.ports[0].allocation[1]: the memory does not hold I1",
    ),
    "twice": (
        NAMED,
        '"I1, fh", "I2',
        '"I1, fh", "I1, tl", "I2',
        "memories.sram.ports[1].allocation[1]: 'I1, tl'",
    ),
    "direction": (
        NAMED,
        '"O, fh", "O, fl"',
        '"O, fl", "O, th"',
        "memories.rf.ports[1].allocation[1]: 'O, th'",
    ),
    "port type": (NAMED, "type: read,", "type: reads,", "memories.rf.ports[0].type: 'reads' is not known"),
    "port name": (
        NAMED,
        "name: w_port_1",
        "name: r_port_1",
        "memories.rf.ports[1].name: another port is called",
    ),
    "granularity": (
        NAMED,
        "bandwidth_min: 8\n",
        "bandwidth_min: 65\n",
        "memories.sram.ports[0].bandwidth_min: exceeds",
    ),
    "old granularity": (
        *(COUNTED, "min_r_granularity: 8", "min_r_granularity: 65"),
        "memories.sram.min_r_granularity: exceeds r_bw (65 > 64)",
    ),
    "old port": (
        COUNTED,
        "fl: w_port_1}",
        "fl: w_port_2}",
        "memories.rf.ports[0].fl: there is no port 'w_port_2'",
    ),
    "old tables": (COUNTED, "[I2, I1, O]", "[I2, I1]", "memories.sram.ports: has 3 entries for 2 operands"),
    "old reading": (
        COUNTED,
        "tl: r_port_1,",
        "tl: w_port_1,",
        "memories.rf.ports[0].tl: 'O, tl' reads the memory",
    ),
}


@pytest.mark.parametrize(("text", "old", "new", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_ports_name_the_path(text: str, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_zigzag(yaml.safe_load(changed(text, old, new)), "core.yaml")
    assert caught.value.message.startswith("core.yaml: ") and message in str(caught.value)
