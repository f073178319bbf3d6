from __future__ import annotations

from pathlib import Path

import pytest

from passes.errors import InputError
from targets.description.architecture import Architecture, load_architecture, parse_architecture

DESCRIPTION = """
name: toy
cores:
  - name: array
    kind: mac_array
    active_power_mw: {value: POWER, known: published, source: "a paper"}
    rates: {macs_per_cycle: {value: 16, known: placeholder, source: "a guess"}}
memories:
  - name: l1
    size_bytes: {value: 1024, known: published, source: "a paper"}
    bandwidth_bytes_per_cycle: {value: 8, known: published, source: "a paper"}
"""


def describe(power: str = "5", **more: str) -> str:
    extra = "\n".join(f"{key}: {value}" for key, value in more.items())
    return DESCRIPTION.replace("POWER", power) + extra + "\n"


def test_reads_figures_with_provenance() -> None:
    arch = parse_architecture(describe(), "toy.yaml")
    power = arch.core("array").active_power_mw
    assert power is not None and power.value == 5
    assert arch.core("array").rate("macs_per_cycle") == 16
    assert arch.size_bytes("l1") == 1024
    assert arch.clock_hz is None and arch.host is None
    assert {figure.source for figure in arch.figures().values()} == {"a paper", "a guess"}
    assert "cores[0].rates.macs_per_cycle" in arch.figures()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (describe("0"), "toy.yaml: cores[0].active_power_mw: must be > 0"),
        (describe(".nan"), "cores[0].active_power_mw: "),
        (describe(colour="red"), "colour: unknown key"),
        ("name: toy\n", "cores: is missing"),
        ("- a\n- b\n", "expected keys and values"),
        ("a: [", "not readable as YAML"),
        ("a: &x [1, 2]\nb: [*x, *x]\n", "anchors and aliases are not allowed"),
        ("a: !!python/object/apply:os.system ['true']\n", "not readable as YAML"),
        (describe().replace("known: placeholder", "known: guessed"), "cores[0].rates.macs_per_cycle.known: "),
        (describe().replace('"a guess"', '""'), "cores[0].rates.macs_per_cycle.source: "),
    ],
)
def test_wrong_descriptions_name_the_value(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_architecture(text, "toy.yaml")
    assert "toy.yaml" in caught.value.message and message in caught.value.message


def test_names_are_unique_and_suggested() -> None:
    core = describe().split("cores:")[1].split("memories:")[0]
    with pytest.raises(InputError, match="cores: the name 'array' is used twice"):
        parse_architecture(f"name: toy\ncores:{core}{core}", "toy.yaml")
    arch = parse_architecture(describe(), "toy.yaml")
    with pytest.raises(InputError, match="did you mean 'array'"):
        arch.core("arrray")
    with pytest.raises(InputError, match="no memory 'l3'"):
        arch.memory("l3")
    with pytest.raises(InputError, match="no rate 'macs'"):
        arch.core("array").rate("macs")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        load_architecture(tmp_path / "absent.yaml")
    large = tmp_path / "large.yaml"
    large.write_text("#" * (2 << 20))
    with pytest.raises(InputError, match="larger than 1 MiB"):
        load_architecture(large)


LEVEL = "size_bits: 8192, read_energy_pj: 1, write_energy_pj: 1, operands: [W, I, O], "
PORTS = (
    "ports: [{name: rw, bandwidth_bits_per_cycle: 64, serves: [W to_below, W from_above, I to_below, "
    "I from_above, O to_below, O from_below, O to_above, O from_above]}]"
)
ARRAY = f"""
name: toy
cores:
  - name: array
    kind: mac_array
    array: {{dimensions: {{D1: 8, D2: 1}}}}
    memories:
      l1: {{{LEVEL}{PORTS}, served_dimensions: [D1]}}
  - name: host
    kind: host
offchip:
  dram: {{{LEVEL}{PORTS}}}
links:
  - {{kind: bus, cores: [array, host, offchip], bandwidth_bits_per_cycle: 32, energy_pj_per_bit: 0.5}}
"""


def array(old: str = "", new: str = "") -> Architecture:
    assert old in ARRAY
    return parse_architecture(ARRAY.replace(old, new, 1), "toy.yaml")


def test_memories_off_chip_lie_above_and_serve_the_whole_array() -> None:
    hierarchy = array().hierarchy("array")
    assert hierarchy is not None and list(hierarchy.memories) == ["l1", "dram"]
    assert hierarchy.memories["dram"].served_dimensions == ("D1", "D2")
    assert array().hierarchy("host") is None


def test_a_core_that_describes_the_memory_off_chip_keeps_its_own() -> None:
    hierarchy = array("l1: {size_bits: 8192", "dram: {size_bits: 4096").hierarchy("array")
    assert hierarchy is not None
    assert [(name, level.size_bits) for name, level in hierarchy.memories.items()] == [("dram", 4096)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "served_dimensions: [D1]",
            "served_dimensions: [D3]",
            "cores[0].memories.l1.served_dimensions: the array has",
        ),
        ("I to_below, ", "", "cores[0].memories.l1.ports: no port serves 'I to_below'"),
        ("size_bits: 8192", "size_bits: 0", "toy.yaml: cores[0].memories.l1.size_bits: must be > 0"),
        (
            "offchip:\n  dram: {",
            "offchip:\n  dram: {served_dimensions: [D1], ",
            "offchip.dram.served_dimensions: leave",
        ),
        ("[array, host", "[aray, host", "links[0].cores: there is no core 'aray'; did you mean 'array'"),
        ("[array, host, offchip]", "[array, array]", "links[0].cores: one is named twice"),
        ("bus", "point_to_point", "links[0].cores: 3 of them need a bus"),
        ("offchip], ", "array], ", "links[0].cores: one is named twice"),
        (
            "host, offchip], ",
            "host], direction: to_offchip, ",
            "links[0].direction: 'to_offchip' needs 'offchip'",
        ),
        ("kind: host", "kind: hots", "cores[1].kind: 'hots' is not known here; did you mean 'host'"),
        ("{dimensions: {D1: 8, D2: 1}}", "8", "cores[0].array: expected keys with values"),
        ("D1: 8, D2: 1", "", "cores[0].array.dimensions: needs 1 or more entries, not 0"),
        (f"l1: {{{LEVEL}{PORTS}, served_dimensions: [D1]}}", "{}", "cores[0].memories: an array needs one"),
        (
            "    memories:",
            "    dataflow: {D1: {k: 8}}\n    memories:",
            "dataflow.D1: 'k' is no loop name; did",
        ),
        (
            "    memories:",
            "    dataflow: {D1: {K: 4, C: 4}}\n    memories:",
            "D1: unrolls 16 iterations over",
        ),
        ("per_cycle: 32", "per_cycle: 0", "links[0].bandwidth_bits_per_cycle: must be > 0"),
        ("- name: host", "- name: offchip", "cores: the name 'offchip' stands for the memories off chip"),
    ],
)
def test_wrong_hierarchies_and_links_name_the_path(old: str, new: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        array(old, new)
    assert caught.value.message.startswith("toy.yaml: ") and message in caught.value.message


def test_numbers_may_be_whole_where_fractions_are_expected() -> None:
    assert array("size_bits: 8192", "size_bits: 8.192e+3").hierarchy("array") == array().hierarchy("array")


TWO_CORES = DESCRIPTION.replace("POWER", "5").replace(
    "memories:",
    """\
  - {name: lanes, kind: simd}
memories:""",
)


def together(*cores: str) -> str:
    power = '{value: 7, known: published, source: "another paper"}'
    return f"{TWO_CORES}powers_together: [{{cores: [{', '.join(cores)}], active_power_mw: {power}}}]\n"


def test_a_power_of_cores_at_work_at_once_is_read_with_its_source() -> None:
    arch = parse_architecture(together("lanes", "array"), "toy.yaml")
    assert [(p.cores, p.active_power_mw.value) for p in arch.powers_together] == [(("lanes", "array"), 7)]
    assert arch.figures()["powers_together[0].active_power_mw"].source == "another paper"
    assert parse_architecture(describe(), "toy.yaml").powers_together == ()


@pytest.mark.parametrize(
    ("cores", "message"),
    [
        (("array", "lane"), r"powers_together\[0\].cores: there is no core 'lane'; did you mean 'lanes'"),
        (("array", "array"), r"powers_together\[0\].cores: one is named twice"),
        (("array",), r"powers_together\[0\].cores"),
    ],
)
def test_a_power_is_of_several_cores_that_are_there(cores: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_architecture(together(*cores), "toy.yaml")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            "[int9-channel]",
            r"cores\[0\]\.schemes: no core of a file computes by 'int9-channel'; did you mean",
        ),
        ("[ternary-analog]", "no core of a file computes by 'ternary-analog'"),
        ("[int8-pow2, int8-pow2]", "'int8-pow2' is there twice"),
        ("int8-pow2", r"cores\[0\]\.schemes"),
    ],
)
def test_schemes_of_a_core_are_known_ones(names: str, said: str) -> None:
    text = describe().replace("kind: mac_array", f"kind: mac_array\n    schemes: {names}")
    with pytest.raises(InputError, match=said):
        parse_architecture(text, "toy.yaml")


def test_schemes_of_a_core_are_read_in_order() -> None:
    names = "[int4-channel, int8-channel]"
    text = describe().replace("kind: mac_array", f"kind: mac_array\n    schemes: {names}")
    assert parse_architecture(text, "toy.yaml").core("array").schemes == ("int4-channel", "int8-channel")
