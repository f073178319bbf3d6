from __future__ import annotations

from pathlib import Path

import pytest

from passes.errors import InputError
from targets.description.architecture import Architecture
from targets.description.readers.files import read_architecture
from tests.shared_files import shared
from tests.targets.description.readers.files import COUNTED, NAMED, OFFCHIP, changed

MESH = """
name: system
cores: [tiny.yaml, tiny.yaml, tiny.yaml, tiny.yaml, tiny.yaml, tiny.yaml,
        pooling.yaml, vector.yaml, offchip.yaml]
graph:
  type: 2d_mesh
  nb_rows: 2
  nb_cols: 3
  bandwidth: 32
  unit_energy_cost: 16
  pooling_core_id: 6
  simd_core_id: 7
  offchip_core_id: 8
"""

LINKS = """
name: system
cores:
  0: tiny.yaml
  1: tiny.yaml
  2: simd.yaml
  3: offchip.yaml
offchip_core_id: 3
unit_energy_cost: 8
core_connectivity:
  - {cores: [0, 1], bandwidth: 32}
  - {type: bus, cores: [0, 1, 2, 3], bandwidth: 128, unit_energy_cost: 0}
"""


def read(text: str, folder: Path, **files: str) -> Architecture:
    cores = folder / "cores"
    cores.mkdir()
    for name, core in {"tiny": NAMED, "pooling": NAMED, "vector": COUNTED, "simd": NAMED, **files}.items():
        (cores / f"{name}.yaml").write_text(core)
    # Beside the system file, where core files may lie too.
    (folder / "offchip.yaml").write_text(files.get("offchip", OFFCHIP))
    (cores / "offchip.yaml").unlink(missing_ok=True)
    (folder / "system.yaml").write_text(text)
    return read_architecture(folder / "system.yaml")


def test_cores_keep_their_ids_and_get_names_of_their_own(tmp_path: Path) -> None:
    arch = read(MESH, tmp_path)
    assert [core.name for core in arch.cores] == [*(f"tiny_{i}" for i in range(6)), "pooling", "vector"]
    assert [core.kind for core in arch.cores] == [*["mac_array"] * 6, "pooling", "simd"]
    assert list(arch.offchip) == ["dram"] and arch.overlap
    assert arch.links[-1].cores == (*(core.name for core in arch.cores), "offchip")
    assert (arch.links[0].energy_pj_per_bit, arch.links[0].source) == (0.5, "system.yaml")
    hierarchy = arch.hierarchy("tiny_0")
    assert hierarchy is not None and list(hierarchy.memories) == ["rf", "sram", "dram"]
    assert hierarchy.memories["dram"].served_dimensions == ("D1", "D2")


def test_cores_may_be_written_in_place(tmp_path: Path) -> None:
    inline = "\n".join(f"    {line}" for line in changed(NAMED, "tiny", "own").strip().splitlines())
    arch = read(changed(LINKS, "  2: simd.yaml", f"  2:\n{inline}"), tmp_path)
    assert [core.name for core in arch.cores] == ["tiny_0", "tiny_1", "own"]
    assert [link.cores for link in arch.links] == [
        ("tiny_0", "tiny_1"),
        ("tiny_0", "tiny_1", "own", "offchip"),
    ]


def test_a_core_with_its_own_outermost_memory_of_that_name_keeps_its_numbers(tmp_path: Path) -> None:
    own = changed(NAMED, "  sram:", "  dram:")
    hierarchy = read(LINKS, tmp_path, tiny=own).hierarchy("tiny_0")
    assert hierarchy is not None and list(hierarchy.memories) == ["rf", "dram"]
    assert hierarchy.memories["dram"].read_energy_pj == 4


WRONG = {
    "file": (LINKS, "0: tiny", "0: absent", "system.yaml: cores.0: there is no core file 'absent.yaml'"),
    "ids": (LINKS, "  1: tiny", "  7: tiny", "system.yaml: cores: the ids are 0, 7, 2, 3"),
    "not last": (
        LINKS,
        "offchip_core_id: 3",
        "offchip_core_id: 2",
        "offchip_core_id: core 2 is not the last",
    ),
    "no such core": (
        LINKS,
        "offchip_core_id: 3",
        "offchip_core_id: 9",
        "offchip_core_id: there is no core 9",
    ),
    "sharing": (
        LINKS,
        "unit_energy",
        'core_memory_sharing: ["0, 1"]\nunit_energy',
        "core_memory_sharing: is not sup",
    ),
    "key": (LINKS, "unit_energy_cost: 8", "unit_energy: 8", "did you mean 'unit_energy_cost'"),
    "memory core": (
        LINKS,
        "2: simd",
        "2: offchip",
        "cores.2: a core without multipliers that is not off chip",
    ),
    "graph key": (MESH, "nb_rows", "rows", "graph.rows: unknown key"),
}


@pytest.mark.parametrize(("text", "old", "new", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_systems_name_the_path(text: str, old: str, new: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(changed(text, old, new), tmp_path)
    assert caught.value.message.startswith(str(tmp_path / "system.yaml")) and message in str(caught.value)


def test_wrong_core_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(LINKS, tmp_path, simd=changed(NAMED, "size: 8192", "size: big"))
    assert caught.value.message.startswith(f"{tmp_path / 'cores' / 'simd.yaml'}: memories.sram.size: ")


def test_an_inner_memory_must_not_have_the_name_of_one_off_chip(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"cores\[2\]: memory 'dram' of core 'simd' .* not its outermost; rename"
    ):
        read(LINKS, tmp_path, simd=changed(NAMED, "  rf:", "  dram:"))


@pytest.mark.parametrize(
    ("path", "links", "own_dram"),
    [
        # 4 mesh, 4 pooling, 5 SIMD, 1 bus; and as the file lists them.
        ("eenn/hardware/edge_tpu_like_quad_core.yaml", 14, True),
        ("stream_quad_tpu/hardware/tpu_like_quad_core.yaml", 13, False),
    ],
)
def test_published_systems(path: str, links: int, own_dram: bool) -> None:
    file = shared("reference", path)
    arch = read_architecture(file)
    stem = file.stem.removesuffix("_quad_core")
    assert [core.name for core in arch.cores] == [*(f"{stem}_{i}" for i in range(4)), "pooling", "simd"]
    assert [core.kind for core in arch.cores] == [*["mac_array"] * 4, "pooling", "simd"]
    assert len(arch.links) == links
    costs = {}
    for core in arch.cores:
        hierarchy = arch.hierarchy(core.name)
        assert hierarchy is not None and list(hierarchy.memories)[-1] == "dram"
        costs[core.name] = hierarchy.memories["dram"].read_energy_pj
    assert costs.pop("pooling") == costs.pop("simd") == 1000
    assert set(costs.values()) == {700 if own_dram else 1000}


def test_what_a_core_of_its_own_would_refuse_is_refused_in_a_system(tmp_path: Path) -> None:
    wide = changed(NAMED, "sizes: [8, 4]", "sizes: [2, 4]")
    with pytest.raises(InputError, match="unrolls 8 iterations over an array dimension of 2"):
        read(LINKS, tmp_path, tiny=wide)
