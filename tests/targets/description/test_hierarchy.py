"""The array of a core and its memories: what belongs together, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from targets.description.hierarchy import Hierarchy, Imc, MacArray, MemoryLevel, Port
from tests.targets.cost.small import LARGE, WIDE, core, memory, outer, register

DIMENSIONS = {"D1": 4, "D2": 2}
IMC = Imc(kind="digital", activation_bits=8, weight_bits=4, bits_per_cycle=2)


def two_levels() -> Hierarchy:
    return core(DIMENSIONS, inner=register("I", served=("D1",)), dram=outer({}, DIMENSIONS))


def test_levels_of_an_operand_come_innermost_first() -> None:
    hierarchy = two_levels()
    assert [name for name, _ in hierarchy.levels("I")] == ["inner", "dram"]
    assert [name for name, _ in hierarchy.levels("W")] == ["dram"]
    assert hierarchy.levels("I")[0][1] is hierarchy.memories["inner"]


def test_ports_are_found_by_what_they_serve() -> None:
    level = memory("WO", LARGE, {"O to_above, O to_below": 8, "W to_below": 16})
    assert [level.port_of("O", way) for way in ("to_above", "to_below")] == [level.ports[0]] * 2
    assert level.port_of("W", "to_below") == level.ports[1]
    assert level.port_of("W", "from_above") is None


@pytest.mark.parametrize(("granularity", "fits"), [(None, True), (8, True), (64, True), (65, False)])
def test_the_smallest_access_is_within_a_word(granularity: int | None, fits: bool) -> None:
    values: dict[str, Any] = {"name": "p", "bandwidth_bits_per_cycle": 64, "serves": ("I to_below",)}
    if fits:
        assert Port(granularity_bits=granularity, **values).granularity_bits == granularity
        return
    with pytest.raises(ValidationError, match="granularity_bits 65 exceeds the bandwidth 64"):
        Port(granularity_bits=granularity, **values)


@pytest.mark.parametrize("transfer", ["X to_below", "I below", "I to_below ", "i to_below", ""])
def test_a_transfer_is_an_operand_and_a_direction(transfer: str) -> None:
    with pytest.raises(ValidationError, match="pattern"):
        Port(name="p", bandwidth_bits_per_cycle=8, serves=(transfer,))


@pytest.mark.parametrize(
    ("operands", "transfers", "message"),
    [
        ("WW", ("W to_below",), "operands: 'W' is named twice"),
        ("I", ("W to_below",), "port 'p0' serves 'W to_below', but the memory holds no such operand"),
        ("I", ("I to_below", "I to_below"), "'I to_below' is served by both 'p0' and 'p1'"),
    ],
)
def test_memories_serve_what_they_hold_once(operands: str, transfers: tuple[str, ...], message: str) -> None:
    ports = [
        {"name": f"p{i}", "bandwidth_bits_per_cycle": 8, "serves": (transfer,)}
        for i, transfer in enumerate(transfers)
    ]
    level = {"size_bits": 8, "read_energy_pj": 1, "write_energy_pj": 1, "operands": tuple(operands)}
    with pytest.raises(ValidationError, match=re.escape(message)):
        MemoryLevel.model_validate({**level, "ports": ports})


@pytest.mark.parametrize("part", ["operands", "ports"])
def test_a_memory_holds_something_and_has_a_port(part: str) -> None:
    level = register("I").model_dump()
    with pytest.raises(ValidationError, match="at least 1 item"):
        MemoryLevel.model_validate({**level, part: ()})


def test_units_and_cycles_of_an_array() -> None:
    array = MacArray(dimensions={"D1": 4, "D2": 3, "D3": 2}, operation_cycles=2.5)
    assert (array.units, array.cycles_per_operation) == (24, 2.5)
    assert IMC.cycles_per_operation == 4, "8 bits of an activation, 2 per cycle"
    in_memory = MacArray(dimensions={"D1": 4}, operation_cycles=2.5, imc=IMC)
    assert in_memory.cycles_per_operation == 4, "its bits, not the cycles of a multiplier"
    with pytest.raises(ValidationError):
        MacArray(dimensions={})


@pytest.mark.parametrize("operand", ["W", "I"])
@pytest.mark.parametrize("lacking", ["inner", "dram"])
def test_inputs_come_down_from_level_to_level(operand: str, lacking: str) -> None:
    up = () if lacking == "inner" else (f"{operand} from_above",)
    inner = memory(operand, 8, dict.fromkeys((*up, f"{operand} to_below"), WIDE))
    names = [f"{op} to_below" for op in "WIO" if lacking != "dram" or op != operand]
    above = memory("WIO", LARGE, dict.fromkeys((*names, "O from_below"), WIDE))
    wrong = f"memories.inner.ports: no port serves '{operand} from_above', yet dram lies above"
    if lacking == "dram":
        wrong = f"memories.dram.ports: no port serves '{operand} to_below', yet inner lies below"
    with pytest.raises(ValidationError, match=re.escape(wrong)):
        core(DIMENSIONS, inner=inner, dram=above)


def test_results_go_up_from_level_to_level() -> None:
    moves = ("O to_below", "O from_below", "O from_above")
    closed = memory("O", 8, dict.fromkeys(moves, WIDE))
    with pytest.raises(ValidationError, match=r"memories\.sums\.ports: no port serves 'O to_above'"):
        core(DIMENSIONS, sums=closed, dram=outer({}, DIMENSIONS))
    open_ = memory("O", 8, dict.fromkeys(("O to_above", *moves), WIDE))
    deaf = memory("WIO", LARGE, dict.fromkeys(("W to_below", "I to_below", "O to_below"), WIDE))
    with pytest.raises(ValidationError, match=r"memories\.dram\.ports: no port serves 'O from_below'"):
        core(DIMENSIONS, sums=open_, dram=deaf)
    # Sums that never come back from above need no port for that.
    finals = memory("O", 8, dict.fromkeys(("O to_above", "O to_below", "O from_below"), WIDE))
    core(DIMENSIONS, sums=finals, dram=outer({}, DIMENSIONS))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"memories": {"dram": outer({}, {"D3": 1})}},
            "memories.dram.served_dimensions: the array has no dimension 'D3', only D1, D2",
        ),
        ({"memories": {"w": register("W")}}, "memories: no memory holds operand I; add it"),
        ({"memories": {"i": register("I")}}, "memories: no memory holds operand O; add it"),
        ({"dataflow": {"D3": {"K": 2}}}, "dataflow: the array has no dimension 'D3'"),
        (
            {"array": MacArray(dimensions=DIMENSIONS, imc=IMC)},
            "array.imc.cells: there is no memory 'cells'",
        ),
    ],
)
def test_what_does_not_belong_together_is_told(changes: dict[str, Any], message: str) -> None:
    whole = two_levels()
    values = {"array": whole.array, "memories": whole.memories, "dataflow": {}}
    with pytest.raises(ValidationError, match=re.escape(message)):
        Hierarchy.model_validate(values | changes)


def test_weights_may_be_missing_where_nothing_multiplies() -> None:
    lanes = memory("IO", LARGE, {"I to_below, O to_below, O from_below": WIDE})
    assert core(DIMENSIONS, lanes=lanes).levels("W") == []
