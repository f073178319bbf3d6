from __future__ import annotations

from pathlib import Path

import pytest

from passes.errors import InputError
from targets.description.architecture import Architecture
from targets.description.readers.files import read_architecture
from tests.shared_files import shared
from tests.targets.description.readers.files import COUNTED, IMC, NAMED, OFFCHIP, changed


@pytest.mark.parametrize("bits", ["33", "6000", "3.0e+38"])
def test_no_converter_has_that_many_bits(bits: str, tmp_path: Path) -> None:
    text = changed(IMC, "adc_resolution: 6", f"adc_resolution: {bits}")
    with pytest.raises(InputError, match="adc_resolution: is more than any converter has"):
        read(text, tmp_path)


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


def test_in_memory_arrays(tmp_path: Path) -> None:
    core = read(IMC, tmp_path).cores[0]
    assert core.kind == "imc_array" and core.array is not None and core.array.imc is not None
    imc = core.array.imc
    assert (imc.kind, imc.activation_bits, imc.weight_bits, imc.bits_per_cycle, imc.adc_bits) == (
        *("analog", 8, 4, 2, 6),
    )
    assert imc.cells == "cells" and imc.cycles_per_operation == 4


WRONG = {
    "top": (NAMED, "dataflows:", "dataflow:", "dataflow: unknown key"),
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
    "unserved": (
        *(NAMED, "served_dimensions: [D1, D2]", "served_dimensions: [D2]"),
        "memories: none serves array dimension 'D1'",
    ),
    "order of levels": (NAMED, "size: 16", "size: 10000", "memories.sram: smaller than rf below it"),
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
    "dataflow dimension": (NAMED, '  D1: ["K', '  D3: ["K', "dataflows.D3: the array has no such dimension"),
    "memory only": (OFFCHIP, "name: offchip", "name: dram", "operational_array.sizes: 0 makes this a memory"),
}


@pytest.mark.parametrize(("text", "old", "new", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_files_name_the_path(text: str, old: str, new: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(changed(text, old, new), tmp_path)
    assert caught.value.message.startswith(str(tmp_path / "core.yaml"))
    assert message in str(caught.value)


def test_published_cores_agree_across_generations() -> None:
    folder = shared("reference")
    old, new = (
        read_architecture(folder / name / "hardware" / "cores" / "pooling.yaml").cores[0]
        for name in ("eenn", "stream_quad_tpu")
    )
    assert old.array == new.array and old.dataflow == new.dataflow
    # The older counts reading ports before writing ones; the newer lists them in that order.
    assert old.memories == new.memories
