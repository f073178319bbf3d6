from __future__ import annotations

from pathlib import Path

import pytest

from passes.errors import InputError
from targets.description.architecture import Architecture
from targets.description.readers.files import read_architecture
from tests.shared_files import shared
from tests.targets.description.readers.files import COUNTED, IMC, NAMED, OFFCHIP, changed


def read(text: str, folder: Path) -> Architecture:
    path = folder / "core.yaml"
    path.write_text(text)
    return read_architecture(path)


@pytest.mark.parametrize("text", [NAMED, COUNTED], ids=["named ports", "counted ports"])
def test_both_generations_say_the_same(text: str, tmp_path: Path) -> None:
    arch = read(text, tmp_path)
    (core,) = arch.cores
    assert (arch.name, core.name, core.kind) == ("tiny", "tiny", "mac_array")
    assert core.dataflow == {"D1": {"K": 8}, "D2": {"C": 2, "FX": 2}}
    assert core.array is not None
    assert core.array.dimensions == {"D1": 8, "D2": 4}
    assert (core.array.operation_energy_pj, core.array.operation_area) == (0.04, 1)
    assert list(core.memories) == ["rf", "sram"], "levels keep the order of the file"
    rf, sram = core.memories.values()
    assert (rf.size_bits, rf.read_energy_pj, rf.write_energy_pj) == (16, 0.02, 0.03)
    assert (rf.served_dimensions, sram.served_dimensions, sram.area) == (("D2",), ("D1", "D2"), 1.5)
    assert sram.operands == ("W", "I", "O"), "operands keep the order of the file"
    reading, writing = sram.ports
    assert (reading.bandwidth_bits_per_cycle, reading.granularity_bits) == (64, 8)
    assert (writing.bandwidth_bits_per_cycle, writing.granularity_bits) == (64, None)
    assert reading.serves == ("W to_below", "I to_below", "O to_above", "O to_below"), (
        "by operand in their order, then by direction in that of the file"
    )
    assert writing.serves == ("W from_above", "I from_above", "O from_above", "O from_below")
    assert {core.array.known, rf.known} == {"published"} and {core.array.source, rf.source} == {"core.yaml"}


def test_ports_that_read_and_write_are_as_wide_as_reading(tmp_path: Path) -> None:
    text = (
        NAMED[: NAMED.index("  sram:")]
        + OFFCHIP.partition("memories:\n")[2].partition("operational_array")[0]
    )
    dram = read(text + NAMED[NAMED.index("operational_array") :], tmp_path).cores[0].memories["dram"]
    assert [(port.name, port.bandwidth_bits_per_cycle) for port in dram.ports] == [("rw_port_1", 64)]


def test_in_memory_arrays(tmp_path: Path) -> None:
    core = read(IMC, tmp_path).cores[0]
    assert core.kind == "imc_array" and core.array is not None and core.array.imc is not None
    imc = core.array.imc
    assert (imc.kind, imc.activation_bits, imc.weight_bits, imc.bits_per_cycle, imc.adc_bits) == (
        *("analog", 8, 4, 2, 6),
    )
    assert imc.cells == "cells" and imc.cycles_per_operation == 4


def test_a_table_of_the_older_generation_above_named_ports_is_a_left_over(tmp_path: Path) -> None:
    text = changed(NAMED, "    ports:\n", "    ports: [{fh: w_port_1, tl: r_port_1}]\n    ports:\n")
    assert read(text, tmp_path) == read(NAMED, tmp_path)


WRONG = {
    "unknown key": (NAMED, "    area: 1.5\n", "    arae: 1.5\n", "memories.sram.arae: unknown key"),
    "suggested": (NAMED, "    area: 1.5\n", "    arae: 1.5\n", "did you mean 'area'"),
    "top": (NAMED, "dataflows:", "dataflow:", "dataflow: unknown key"),
    "missing size": (NAMED, "    size: 8192\n", "", "memories.sram.size: is missing"),
    "zero size": (NAMED, "size: 8192", "size: 0", "memories.sram.size: must be a finite number >= 1"),
    "negative size": (COUNTED, "size: 8192", "size: -1", "memories.sram.size: must be a finite number >= 1"),
    "text size": (NAMED, "size: 8192", "size: 8KB", "memories.sram.size: expected a number, not '8KB'"),
    "1e9": (NAMED, "size: 8192", "size: 1e9", "write 1.0e+9"),
    "fraction": (NAMED, "size: 8192", "size: 8.5", "memories.sram.size: must be a whole number"),
    "infinite": (NAMED, "r_cost: 4", "r_cost: .inf", "memories.sram.r_cost: must be a finite number"),
    "nan": (NAMED, "r_cost: 4", "r_cost: .nan", "memories.sram.r_cost: must be a finite number"),
    "yes": (NAMED, "r_cost: 4", "r_cost: yes", "memories.sram.r_cost: expected a number, not True"),
    "no cost": (NAMED, "    r_cost: 4\n", "", "memories.sram: r_cost is missing"),
    "no memories": (
        NAMED,
        NAMED[NAMED.index("  rf:") : NAMED.index("operational")],
        "",
        "memories: is missing",
    ),
    "memory list": (
        COUNTED,
        "  rf:\n",
        "  rf: []\n  sram_2:\n",
        "memories.rf: expected keys with values, not a list",
    ),
    "operand": (NAMED, "[I2, I1, O]", "[I2, I3, O]", "memories.sram.operands[1]: 'I3' is not known here"),
    "operand twice": (NAMED, "[I2, I1, O]", "[I2, I2, O]", "memories.sram.operands[1]: 'I2' is named twice"),
    "dimension": (
        NAMED,
        "served_dimensions: [D2]",
        "served_dimensions: [D3]",
        "memories.rf.served_dimensions[0]: 'D3'",
    ),
    "unserved": (
        *(NAMED, "served_dimensions: [D1, D2]", "served_dimensions: [D2]"),
        "memories: none serves array dimension 'D1'",
    ),
    "order of levels": (NAMED, "size: 16", "size: 10000", "memories.sram: smaller than rf below it"),
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
    "no level": (
        *(IMC, '"I2, tl"]}]', '"I2, fl"]}]'),
        "memories.cells.ports: no port serves 'W to_below'",
    ),
    "way up": (
        IMC,
        '["I2, fh", "I2, tl"]',
        '["I2, tl"]',
        "memories.cells.ports: no port serves 'W from_above'",
    ),
    "in ZigZag's words": (IMC, '["I2, fh", "I2, tl"]', '["I2, tl"]', "from_above is fh"),
    "no operand": (
        *(NAMED.replace(', "I1, tl"', "").replace('"I1, fh", ', ""), "[I2, I1, O]", "[I2, O]"),
        "memories: no memory holds operand I",
    ),
    "cells": (IMC, "  cells:", "  weights:", "memories: an in-memory array needs a memory called 'cells'"),
    "cells served": (
        IMC,
        "served_dimensions: []",
        "served_dimensions: [D1]",
        "memories.cells: the cells of",
    ),
    "compiler": (
        *(NAMED, "    area: 1.5\n", "    auto_cost_extraction: true\n"),
        "memories.sram.auto_cost_extraction: the costs would need an external memory compiler",
    ),
    "compiler's fix": (
        *(NAMED, "    area: 1.5\n", "    auto_cost_extraction: true\n"),
        "give r_cost, w_cost and area of sram",
    ),
    "sizes": (
        NAMED,
        "sizes: [8, 4]",
        "sizes: [8]",
        "operational_array.sizes: has 1 entries for 2 dimensions",
    ),
    "negative": (
        NAMED,
        "sizes: [8, 4]",
        "sizes: [8, -4]",
        "operational_array.sizes[1]: must be a finite number >= 0",
    ),
    "dimensions": (
        NAMED,
        "dimensions: [D1, D2]\n  sizes",
        "dimensions: [D1, D1]\n  sizes",
        "operational_array.dim",
    ),
    "energy": (NAMED, "  unit_energy: 0.04\n", "", "operational_array: unit_energy is missing"),
    "imc_type": (IMC, "analog", "optical", "operational_array.imc_type: 'optical' is not known here"),
    "serial": (
        IMC,
        "bit_serial_precision: 2",
        "bit_serial_precision: 9",
        "operational_array.bit_serial_precision: exc",
    ),
    "precision": (IMC, "[8, 4]", "[8]", "operational_array.input_precision: expected two numbers"),
    "dataflow": (NAMED, '"K, 8"', '"K 8"', "dataflows.D1[0]: 'K 8' is no loop with a factor"),
    "dataflow zero": (NAMED, '"K, 8"', '"K, 0"', "dataflows.D1[0]: must be a finite number >= 1"),
    "dataflow twice": (NAMED, '"FX, 2"', '"C, 2"', "dataflows.D2[1]: loop C is there twice"),
    "dataflow dimension": (NAMED, '  D1: ["K', '  D3: ["K', "dataflows.D3: the array has no such dimension"),
    "memory only": (OFFCHIP, "name: offchip", "name: dram", "operational_array.sizes: 0 makes this a memory"),
}


@pytest.mark.parametrize(("text", "old", "new", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_files_name_the_path(text: str, old: str, new: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(changed(text, old, new), tmp_path)
    assert caught.value.message.startswith(str(tmp_path / "core.yaml"))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "expected keys and values"),
        ("colour: red\n", "none of the known forms"),
        ("name: toy\ncores: [{kind: host}]\n", "cores[0].name: is missing"),
    ],
)
def test_files_of_no_known_form(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(text, tmp_path)
    assert caught.value.message.startswith(str(tmp_path / "core.yaml")) and message in caught.value.message


def test_published_cores_agree_across_generations() -> None:
    folder = shared("reference")
    old, new = (
        read_architecture(folder / name / "hardware" / "cores" / "pooling.yaml").cores[0]
        for name in ("eenn", "stream_quad_tpu")
    )
    assert old.array == new.array and old.dataflow == new.dataflow
    # The older counts reading ports before writing ones; the newer lists them in that order.
    assert old.memories == new.memories
