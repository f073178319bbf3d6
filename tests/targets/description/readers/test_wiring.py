"""Links between the cores of a system: as listed, and as Stream builds a mesh."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from passes.errors import InputError
from targets.description.architecture import Link
from targets.description.hierarchy import MemoryLevel
from targets.description.readers.entry import Entry
from targets.description.readers.wiring import Ends, read_connections, read_graph
from tests.targets.cost.small import memory

ONE_PORT = memory("WIO", 8, {"W to_below, I to_below, O to_below, O from_below": 64})
TWO_PORTS = memory("WIO", 8, {"W to_below, I to_below, O to_below": 64, "O from_below": 32})
ROLES = {"pooling_core_id": 6, "simd_core_id": 7, "offchip_core_id": 8}
MESH = {"type": "2d_mesh", "nb_rows": 2, "nb_cols": 3, "bandwidth": 32, "unit_energy_cost": 16} | ROLES


def ends(compute: int, *others: str, offchip: MemoryLevel | None = ONE_PORT) -> Ends:
    """Return compute cores ``c0``, ``c1`` …, ``others``, and a memory off chip behind them."""
    names = [*(f"c{i}" for i in range(compute)), *others, "dram_core"]
    levels = {} if offchip is None else {"dram": offchip}
    return Ends(names, (), levels, len(names) - 1, "system.yaml")


def mesh(values: dict[str, Any], found: Ends) -> tuple[Link, ...]:
    roles = {key: value for key, value in values.items() if key in ROLES}
    return read_graph(Entry(values, "system.yaml", "graph"), found, roles)


def connections(*links: dict[str, Any], found: Ends | None = None, **more: Any) -> tuple[Link, ...]:
    document = Entry({"core_connectivity": list(links), **more}, "system.yaml")
    return read_connections(document.items(), found or ends(3))


def joined(links: tuple[Link, ...], bandwidth: float | None) -> set[tuple[str, ...]]:
    of_width = [
        link for link in links if (link.kind, link.bandwidth_bits_per_cycle) == ("point_to_point", bandwidth)
    ]
    assert len(of_width) == len({frozenset(link.cores) for link in of_width}), "each pair once"
    return {link.cores for link in of_width}


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 4), (4, 1), (2, 3), (3, 2), (3, 3)])
def test_a_mesh_joins_neighbours_column_by_column(rows: int, columns: int) -> None:
    values: dict[str, Any] = {"type": "2d_mesh", "nb_rows": rows, "nb_cols": columns, "bandwidth": 8}
    values["offchip_core_id"] = rows * columns
    links = mesh(values, ends(rows * columns))
    places = {f"c{i}": divmod(i, rows) for i in range(rows * columns)}
    neighbours = {
        (a, b) for (a, (x, y)), (b, (u, v)) in combinations(places.items(), 2) if abs(x - u) + abs(y - v) == 1
    }
    assert joined(links, 8) == neighbours
    assert {link.energy_pj_per_bit for link in links} == {0.0}, "no energy is given"


def test_pooling_and_simd_are_joined_to_all() -> None:
    links = mesh(MESH, ends(6, "pooling", "simd"))
    edges = [(0, 1), (2, 3), (4, 5), (0, 2), (2, 4), (1, 3), (3, 5)]
    cores = [f"c{i}" for i in range(6)]
    assert joined(links, 32) == {(f"c{a}", f"c{b}") for a, b in edges} | {(c, "pooling") for c in cores}
    assert joined(links, None) == {(core, "simd") for core in [*cores, "pooling"]}
    wires = [link for link in links if link.kind == "point_to_point"]
    assert {link.energy_pj_per_bit for link in wires if link.bandwidth_bits_per_cycle} == {0.5}, (
        "16 pJ per busy cycle of 32 bits"
    )
    assert {link.energy_pj_per_bit for link in wires if link.bandwidth_bits_per_cycle is None} == {0.0}
    (bus,) = (link for link in links if link.kind == "bus")
    assert bus.cores == (*cores, "pooling", "simd", "offchip")
    assert (bus.bandwidth_bits_per_cycle, bus.direction) == (64, "both"), "one port that reads and writes"
    assert bus.energy_pj_per_bit == 0.25, "16 pJ per busy cycle of 64 bits"
    assert {(link.known, link.source) for link in links} == {("published", "system.yaml")}


def test_memory_off_chip_with_two_ports_has_a_bus_each_way() -> None:
    values = {"type": "2d_mesh", "nb_rows": 1, "nb_cols": 2, "bandwidth": 8, "offchip_core_id": 2}
    buses = [link for link in mesh(values, ends(2, offchip=TWO_PORTS)) if link.kind == "bus"]
    assert [(b.direction, b.bandwidth_bits_per_cycle) for b in buses] == [
        ("to_offchip", 32),
        ("from_offchip", 64),
    ]
    assert all(bus.cores == ("c0", "c1", "offchip") for bus in buses)


def test_ports_off_chip_are_those_of_the_memory_of_results() -> None:
    values = {"type": "2d_mesh", "nb_rows": 1, "nb_cols": 1, "bandwidth": 8, "offchip_core_id": 1}
    levels = {"weights": memory("W", 8, {"W to_below": 128}), "dram": TWO_PORTS}
    links = mesh(values, Ends(["c0", "dram_core"], (), levels, 1, "system.yaml"))
    assert [link.bandwidth_bits_per_cycle for link in links] == [32, 64]


def test_without_an_off_chip_core_there_is_no_bus() -> None:
    alone = Ends(["c0", "c1"], (), {}, None, "system.yaml")
    (link,) = mesh({"type": "2d_mesh", "nb_rows": 2, "nb_cols": 1, "bandwidth": 8}, alone)
    assert link.cores == ("c0", "c1")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nb_rows": 4}, "graph.nb_rows: a mesh of 4 x 3 has no place for 6 compute cores"),
        ({"nb_rows": 0}, "graph.nb_rows: must be a finite number >= 1"),
        ({"nb_cols": 1.5}, "graph.nb_cols: must be a whole number"),
        ({"type": "torus"}, "graph.type: 'torus' is not known here"),
        ({"bandwidth": 0}, "graph.bandwidth: must be > 0"),
        ({"bandwidth": -8}, "graph.bandwidth: must be a finite number >= 0"),
        ({"unit_energy_cost": -1}, "graph.unit_energy_cost: must be a finite number >= 0"),
        ({"rows": 2}, "graph.rows: unknown key"),
    ],
)
def test_wrong_meshes_name_the_path(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        mesh(MESH | changes, ends(6, "pooling", "simd"))
    assert caught.value.message.startswith(f"system.yaml: {message}")


@pytest.mark.parametrize(
    "level",
    [None, memory("WI", 8, {"W to_below, I to_below": 8}), memory("O", 8, {"O to_below": 8})],
    ids=["no memory", "no results", "not written"],
)
def test_the_memory_off_chip_reads_and_writes_results(level: MemoryLevel | None) -> None:
    with pytest.raises(InputError, match="graph: no memory off chip reads and writes operand O"):
        mesh(MESH, ends(6, "pooling", "simd", offchip=level))


def test_links_and_buses_as_listed() -> None:
    link, bus, dear = connections(
        {"cores": [0, 1], "bandwidth": 32},
        {"type": "bus", "cores": [2, 0, 3], "bandwidth": 128, "unit_energy_cost": 0},
        {"type": "link", "cores": [1, 2], "bandwidth": 0.5, "unit_energy_cost": 3},
        unit_energy_cost=8,
    )
    assert (link.kind, link.cores, link.bandwidth_bits_per_cycle) == ("point_to_point", ("c0", "c1"), 32)
    assert link.energy_pj_per_bit == 0.25, "8 pJ per busy cycle of 32 bits"
    assert (bus.kind, bus.cores, bus.direction) == ("bus", ("c2", "c0", "offchip"), "both")
    assert (bus.bandwidth_bits_per_cycle, bus.energy_pj_per_bit) == (128, 0)
    assert (dear.kind, dear.energy_pj_per_bit) == ("point_to_point", 6), "its own cost, not that of all"
    (free,) = connections({"cores": [0, 1], "bandwidth": 32})
    assert free.energy_pj_per_bit == 0


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ({"cores": [0, 4]}, "cores[1]: there is no core 4\nthe ids are 0 to 3"),
        ({"cores": [-1, 0]}, "cores[0]: must be a finite number >= 0"),
        ({"cores": [0, 0]}, "cores[1]: core 0 is named twice"),
        ({"cores": [0, 1, 2]}, "cores: a link joins 2 cores, not 3\nuse type: bus"),
        ({"cores": [0]}, "cores: needs 2 or more entries"),
        ({"cores": [0], "type": "bus"}, "cores: needs 2 or more entries"),
        ({"bandwidth": 0}, "bandwidth: must be > 0"),
        ({"bandwidth": None}, "bandwidth: is missing"),
        ({"type": "ring"}, "type: 'ring' is not known here"),
        ({"unit_energy": 8}, "unit_energy: unknown key\ndid you mean 'unit_energy_cost'"),
    ],
)
def test_wrong_links_name_the_path(link: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        connections({"cores": [0, 1], "bandwidth": 8}, {"cores": [0, 1], "bandwidth": 8} | link)
    assert str(caught.value).startswith(f"system.yaml: core_connectivity[1].{message}")
