"""Memories of core files: values, what is required, and left-overs of the older generation."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from passes.errors import InputError
from targets.description.hierarchy import MemoryLevel
from targets.description.readers.entry import Entry
from targets.description.readers.zigzag import read_zigzag
from targets.description.readers.zigzag_memories import is_left_over, read_memory
from tests.targets.description.readers.files import COUNTED, NAMED, changed

DIMENSIONS = {"D1": 8, "D2": 4}


def values(text: str, name: str = "sram") -> dict[str, Any]:
    found = yaml.safe_load(text)["memories"][name]
    assert isinstance(found, dict)
    return found


def read(memory: dict[str, Any], dimensions: dict[str, int] | None = None) -> MemoryLevel:
    sizes = DIMENSIONS if dimensions is None else dimensions
    return read_memory(Entry(memory, "core.yaml", "memories.sram"), sizes, "core.yaml")


@pytest.mark.parametrize("text", [NAMED, COUNTED], ids=["named", "counted"])
def test_figures_of_both_generations(text: str) -> None:
    level = read(values(text))
    assert (level.size_bits, level.read_energy_pj, level.write_energy_pj, level.area) == (8192, 4, 5, 1.5)
    assert level.operands == ("W", "I", "O"), "in the order of the file, which breaks ties"
    assert level.served_dimensions == ("D1", "D2")
    assert (level.known, level.source) == ("published", "core.yaml")
    assert level == read(values(NAMED))


def test_operands_are_never_sorted() -> None:
    for order in (["O", "I1", "I2"], ["I1", "O", "I2"]):
        level = read(values(NAMED) | {"operands": order})
        assert level.operands == tuple({"I1": "I", "I2": "W", "O": "O"}[op] for op in order)
        assert [transfer.split()[0] for transfer in level.ports[1].serves][::2] != ["W", "I"]


def test_an_area_may_be_left_out_and_more_may_be_told() -> None:
    memory = values(NAMED)
    del memory["area"]
    told = {"mem_type": "sram", "shared_memory_group_id": 3, "latency": 9, "auto_cost_extraction": False}
    assert read(memory | told) == read(values(NAMED) | {"area": 0})


def test_a_core_without_an_array_serves_no_dimension() -> None:
    assert read(values(NAMED), {}).served_dimensions == ()
    assert read(values(NAMED) | {"served_dimensions": ["D9"]}, {}).served_dimensions == ()


@pytest.mark.parametrize("key", ["r_bw", "w_bw"])
def test_one_key_of_the_older_generation_asks_for_its_widths(key: str) -> None:
    memory = values(COUNTED)
    del memory[key]
    with pytest.raises(InputError, match=rf"memories\.sram\.{key}: is missing"):
        read(memory)
    with pytest.raises(InputError, match=r"memories\.sram\.r_bw: is missing"):
        read(values(NAMED) | {"rw_port": 1})


TABLE = {"fh": "w_port_1", "tl": "r_port_1"}


@pytest.mark.parametrize(
    ("key", "value", "left_over"),
    [
        ("ports", [TABLE], True),
        ("ports", [TABLE, {"th": "r_port_1", "fl": "w_port_1"}], True),
        ("ports", [{}], True),
        ("size", [TABLE], False),
        ("ports", [], False),
        ("ports", TABLE, False),
        ("ports", [TABLE, {"name": "r_port_1"}], False),
        ("ports", [TABLE, "r_port_1"], False),
    ],
)
def test_only_tables_of_moves_are_left_over(key: str, value: object, left_over: bool) -> None:
    assert is_left_over(key, value) is left_over


WRONG = {
    "unknown key": (NAMED, "    area: 1.5\n", "    arae: 1.5\n", "memories.sram.arae: unknown key"),
    "suggested": (NAMED, "    area: 1.5\n", "    arae: 1.5\n", "did you mean 'area'"),
    "missing size": (NAMED, "    size: 8192\n", "", "memories.sram.size: is missing"),
    "zero size": (NAMED, "size: 8192", "size: 0", "memories.sram.size: must be a finite number >= 1"),
    "negative size": (COUNTED, "size: 8192", "size: -1", "memories.sram.size: must be a finite number >= 1"),
    "text size": (NAMED, "size: 8192", "size: 8KB", "memories.sram.size: expected a number, not '8KB'"),
    "no cost": (NAMED, "    r_cost: 4\n", "", "memories.sram: r_cost is missing"),
    "operand": (NAMED, "[I2, I1, O]", "[I2, I3, O]", "memories.sram.operands[1]: 'I3' is not known here"),
    "operand twice": (NAMED, "[I2, I1, O]", "[I2, I2, O]", "memories.sram.operands[1]: 'I2' is named twice"),
    "dimension": (
        NAMED,
        "served_dimensions: [D2]",
        "served_dimensions: [D3]",
        "memories.rf.served_dimensions[0]: 'D3'",
    ),
    "compiler": (
        *(NAMED, "    area: 1.5\n", "    auto_cost_extraction: true\n"),
        "memories.sram.auto_cost_extraction: the costs would need an external memory compiler",
    ),
    "compiler's fix": (
        *(NAMED, "    area: 1.5\n", "    auto_cost_extraction: true\n"),
        "give r_cost, w_cost and area of sram",
    ),
}


@pytest.mark.parametrize(("text", "old", "new", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_memories_name_the_path(text: str, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_zigzag(yaml.safe_load(changed(text, old, new)), "core.yaml")
    assert str(caught.value).startswith("core.yaml: ") and message in str(caught.value)
