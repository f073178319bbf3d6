from __future__ import annotations

from pathlib import Path

import pytest

from passes.errors import InputError
from targets.arch import load_architecture, parse_architecture

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
    assert arch.core("array").active_power_mw.value == 5
    assert arch.core("array").rate("macs_per_cycle") == 16
    assert arch.size_bytes("l1") == 1024
    assert arch.clock_hz is None and arch.host is None
    assert {figure.source for figure in arch.figures().values()} == {"a paper", "a guess"}
    assert "cores[0].rates.macs_per_cycle" in arch.figures()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (describe("0"), "cores[0].active_power_mw: must be > 0"),
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
