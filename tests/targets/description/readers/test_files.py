"""Accelerator files of all forms, told apart by their keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from passes.errors import InputError
from targets.description.architecture import Architecture
from targets.description.readers.files import read_architecture
from tests.targets.description.readers.files import COUNTED, NAMED, OFFCHIP, changed
from tests.targets.small_arch import small_arch, small_text

CORES = "cores: [tiny.yaml, offchip.yaml]\n"
SYSTEM = f"name: system\noffchip_core_id: 1\ncore_connectivity: []\n{CORES}"


def read(text: str, folder: Path) -> Architecture:
    for name, core in (("tiny", NAMED), ("offchip", OFFCHIP)):
        (folder / f"{name}.yaml").write_text(core)
    path = folder / "accelerator.yaml"
    path.write_text(text)
    return read_architecture(path)


def test_our_own_form(tmp_path: Path) -> None:
    assert read(small_text(), tmp_path) == small_arch()


@pytest.mark.parametrize("text", [NAMED, COUNTED], ids=["named ports", "counted ports"])
def test_a_core_file_is_an_accelerator_of_one_core(text: str, tmp_path: Path) -> None:
    arch = read(text, tmp_path)
    assert [core.name for core in arch.cores] == [arch.name] == ["tiny"] and arch.offchip == {}


@pytest.mark.parametrize(
    "text",
    [
        SYSTEM,
        changed(SYSTEM, CORES, "cores: {0: tiny.yaml, 1: offchip.yaml}\n"),
        "name: system\ngraph: {type: 2d_mesh, nb_rows: 1, nb_cols: 1, bandwidth: 8, offchip_core_id: 1}\n"
        + CORES,
    ],
    ids=["list", "ids", "mesh"],
)
def test_a_system_names_its_core_files(text: str, tmp_path: Path) -> None:
    arch = read(text, tmp_path)
    assert (arch.name, [core.name for core in arch.cores]) == ("system", ["tiny"])
    assert list(arch.offchip) == ["dram"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # What is missed tells which form a file is taken for.
        ("name: toy\noperational_array: {}\n", "memories: is missing"),
        ("name: toy\nmemories: {l1: {}}\n", "operational_array: is missing"),
        ("name: toy\noffchip_core_id: 1\n", "cores: is missing"),
        ("name: toy\ngraph: {}\n", "cores: is missing"),
        ("name: toy\ncore_connectivity: []\n", "cores: is missing"),
        ("name: system\ncores: {0: tiny.yaml}\n", "core_connectivity: is missing"),
        ("name: system\ncores: [tiny.yaml]\n", "core_connectivity: is missing"),
        ("name: toy\ncores: [{kind: host}]\n", "cores[0].name: is missing"),
        ("name: toy\ncores: 3\n", "cores: expected a list"),
        ("name: toy\nmemories: []\n", "none of the known forms of an accelerator description"),
        ("colour: red\n", "none of the known forms of an accelerator description"),
        ("- a\n", "expected keys and values such as 'name:' and 'cores:'"),
        ("", "expected keys and values such as 'name:' and 'cores:'"),
        ("- {name: Conv}\n", "holds mappings, not an accelerator\ngive it with `mapping`"),
        ("layers: []\n", "holds mappings, not an accelerator\ngive it with `mapping`"),
    ],
)
def test_files_of_no_known_form(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(text, tmp_path)
    assert caught.value.message.startswith(f"{tmp_path / 'accelerator.yaml'}: ")
    assert message in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the accelerator description .*absent\.yaml"):
        read_architecture(tmp_path / "absent.yaml")


def test_tables_above_named_ports_are_left_over_in_any_file(tmp_path: Path) -> None:
    twice = changed(NAMED, "    ports:\n", "    ports: [{fh: w_port_1, tl: r_port_1}]\n    ports:\n")
    assert read(twice, tmp_path) == read(NAMED, tmp_path)
    with pytest.raises(InputError, match="the key 'size' is there twice"):
        read(changed(NAMED, "    size: 16\n", "    size: 16\n    size: 16\n"), tmp_path)
