from __future__ import annotations

from pathlib import Path

import pytest

from passes.errors import InputError
from targets.description.architecture import Architecture, Link
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


def joined(links: list[Link]) -> set[tuple[str, ...]]:
    return {link.cores for link in links}


def test_cores_keep_their_ids_and_get_names_of_their_own(tmp_path: Path) -> None:
    arch = read(MESH, tmp_path)
    assert [core.name for core in arch.cores] == [*(f"tiny_{i}" for i in range(6)), "pooling", "vector"]
    assert [core.kind for core in arch.cores] == [*["mac_array"] * 6, "pooling", "simd"]
    assert list(arch.offchip) == ["dram"] and arch.overlap
    hierarchy = arch.hierarchy("tiny_0")
    assert hierarchy is not None and list(hierarchy.memories) == ["rf", "sram", "dram"]
    assert hierarchy.memories["dram"].served_dimensions == ("D1", "D2")


def test_a_mesh_joins_neighbours_column_by_column(tmp_path: Path) -> None:
    arch = read(MESH, tmp_path)
    mesh = [
        link for link in arch.links if link.bandwidth_bits_per_cycle == 32 and "pooling" not in link.cores
    ]
    edges = [(0, 1), (2, 3), (4, 5), (0, 2), (2, 4), (1, 3), (3, 5)]
    assert joined(mesh) == {(f"tiny_{a}", f"tiny_{b}") for a, b in edges}
    assert {link.energy_pj_per_bit for link in mesh} == {0.5}, "16 pJ per busy cycle of 32 bits"
    pooling = [link for link in arch.links if "pooling" in link.cores and link.bandwidth_bits_per_cycle == 32]
    assert joined(pooling) == {(f"tiny_{i}", "pooling") for i in range(6)}
    free = [link for link in arch.links if link.bandwidth_bits_per_cycle is None]
    assert joined(free) == {*((f"tiny_{i}", "vector") for i in range(6)), ("pooling", "vector")}
    (bus,) = [link for link in arch.links if link.kind == "bus"]
    assert bus.cores == (*(f"tiny_{i}" for i in range(6)), "pooling", "vector", "offchip")
    assert (bus.bandwidth_bits_per_cycle, bus.direction) == (64, "both"), "one port that reads and writes"


def test_memory_off_chip_with_two_ports_has_a_bus_each_way(tmp_path: Path) -> None:
    two = (
        OFFCHIP.replace("r_port: 0", "r_port: 1")
        .replace("w_port: 0", "w_port: 1")
        .replace("rw_port: 1", "rw_port: 0")
    )
    for old, new in (("fh: rw", "fh: w"), ("tl: rw", "tl: r"), ("fl: rw", "fl: w"), ("th: rw", "th: r")):
        two = two.replace(old, new)
    buses = [link for link in read(MESH, tmp_path, offchip=two).links if link.kind == "bus"]
    assert [(b.direction, b.bandwidth_bits_per_cycle) for b in buses] == [
        ("to_offchip", 32),
        ("from_offchip", 64),
    ]


def test_links_and_buses(tmp_path: Path) -> None:
    arch = read(LINKS, tmp_path)
    assert [core.name for core in arch.cores] == ["tiny_0", "tiny_1", "simd"]
    assert [core.kind for core in arch.cores] == ["mac_array", "mac_array", "simd"]
    link, bus = arch.links
    assert (link.kind, link.cores, link.bandwidth_bits_per_cycle) == (
        "point_to_point",
        ("tiny_0", "tiny_1"),
        32,
    )
    assert link.energy_pj_per_bit == 0.25, "8 pJ per busy cycle of 32 bits"
    assert (bus.kind, bus.cores) == ("bus", ("tiny_0", "tiny_1", "simd", "offchip"))
    assert (bus.bandwidth_bits_per_cycle, bus.energy_pj_per_bit) == (128, 0)


def test_cores_may_be_written_in_place(tmp_path: Path) -> None:
    inline = "\n".join(f"    {line}" for line in changed(NAMED, "tiny", "own").strip().splitlines())
    arch = read(changed(LINKS, "  2: simd.yaml", f"  2:\n{inline}"), tmp_path)
    assert [core.name for core in arch.cores] == ["tiny_0", "tiny_1", "own"]


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
    "link": (LINKS, "cores: [0, 1]", "cores: [0, 4]", "core_connectivity[0].cores[1]: there is no core 4"),
    "link twice": (
        LINKS,
        "cores: [0, 1]",
        "cores: [0, 0]",
        "core_connectivity[0].cores[1]: core 0 is named twice",
    ),
    "link of three": (
        LINKS,
        "cores: [0, 1]",
        "cores: [0, 1, 2]",
        "core_connectivity[0].cores: a link joins 2",
    ),
    "width": (LINKS, "bandwidth: 32", "bandwidth: 0", "core_connectivity[0].bandwidth: must be > 0"),
    "no width": (LINKS, ", bandwidth: 32", "", "core_connectivity[0].bandwidth: is missing"),
    "type": (LINKS, "type: bus", "type: ring", "core_connectivity[1].type: 'ring' is not known here"),
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
    "mesh": (
        MESH,
        "nb_rows: 2",
        "nb_rows: 4",
        "graph.nb_rows: a mesh of 4 x 3 has no place for 6 compute cores",
    ),
    "rows": (MESH, "nb_rows: 2", "nb_rows: 0", "graph.nb_rows: must be a finite number >= 1"),
    "graph": (MESH, "2d_mesh", "torus", "graph.type: 'torus' is not known here"),
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
