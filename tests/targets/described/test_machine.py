"""Stores and routes of described accelerators; cycles and energies by hand from the files' numbers."""

from __future__ import annotations

import pytest

from targets.described.target import EngineTarget
from targets.description.readers.files import read_architecture
from targets.schedule.machine import OUTER, Machine, Route, Word
from tests.shared_files import shared
from tests.targets.small_arch import small_arch

# An image of 16 channels of 32 x 32 elements of 8 bits.
IMAGE_BITS = 16 * 32 * 32 * 8


def tpu_like() -> Machine:
    path = shared("reference", "stream_quad_tpu", "hardware", "tpu_like_quad_core.yaml")
    return EngineTarget(architecture=read_architecture(path)).machine()


def edge_tpu_like() -> Machine:
    path = shared("reference", "eenn", "hardware", "edge_tpu_like_quad_core.yaml")
    return EngineTarget(architecture=read_architecture(path)).machine()


def move_pj(machine: Machine, source: str, target: str, bits: int) -> tuple[float, float]:
    return machine.stores[source].read.energy_of(bits), machine.stores[target].write.energy_of(bits)


def test_each_core_has_its_store() -> None:
    machine = tpu_like()
    assert machine.store_of("tpu_like_2", "W") == machine.store_of("tpu_like_2", "O") == "tpu_like_2.sram_2MB"
    assert machine.stores["tpu_like_2.sram_2MB"].size_bits == 16777216
    assert machine.stores["pooling.sram_128KB"].size_bits == 1048576
    assert machine.stores[OUTER].size_bits is None
    assert machine.store_of("nobody", "I") == OUTER


def test_weights_and_activations_may_have_stores_of_their_own() -> None:
    machine = edge_tpu_like()
    core = "edge_tpu_like_3"
    stores = {operand: machine.store_of(core, operand) for operand in "WIO"}
    assert stores == {"W": f"{core}.sram_32KB", "I": f"{core}.sram_2MB", "O": f"{core}.sram_2MB"}


def test_neighbours_have_the_bus_and_their_link() -> None:
    routes = tpu_like().routes["tpu_like_0.sram_2MB", "tpu_like_1.sram_2MB"]
    bus, link = sorted(routes, key=lambda route: -route.bandwidth_bits_per_cycle)
    assert bus.uses == (("bus_12.all", 128),)
    assert link.uses == (("link_0.tpu_like_0-tpu_like_1>tpu_like_1", 32),)
    assert bus.cycles(IMAGE_BITS) == 1024, "131,072 bits at 128"
    assert link.cycles(IMAGE_BITS) == 4096, "131,072 bits at 32"


def test_the_wires_of_a_link_are_one_per_direction() -> None:
    machine = tpu_like()
    ways = [machine.routes[f"tpu_like_{a}.sram_2MB", f"tpu_like_{b}.sram_2MB"] for a, b in ((0, 1), (1, 0))]
    there, back = ({name for route in way for name, _ in route.uses if "link" in name} for way in ways)
    assert len(there) == len(back) == 1
    assert there != back
    assert all(machine.capacities[name] == 32 for name in there | back)


def test_cores_in_opposite_corners_have_a_path_of_two_links() -> None:
    routes = tpu_like().routes["tpu_like_0.sram_2MB", "tpu_like_2.sram_2MB"]
    path = min(routes, key=lambda route: route.bandwidth_bits_per_cycle)
    assert len(path.uses) == 2
    assert path.cycles(IMAGE_BITS) == 4096, "both links at once, at the speed of one"


@pytest.mark.parametrize("store", ["tpu_like_0.sram_2MB", "pooling.sram_128KB"])
def test_off_chip_is_as_fast_as_its_port(store: str) -> None:
    machine = tpu_like()
    (inward,), (outward,) = machine.routes[OUTER, store], machine.routes[store, OUTER]
    for route in (inward, outward):
        assert dict(route.uses) == {"bus_12.all": 64, "offchip.rw_port_1": 64}
        assert route.cycles(IMAGE_BITS) == 2048, "131,072 bits at 64"
    assert machine.capacities["offchip.rw_port_1"] == 64, "one transfer at a time: the port reads or writes"
    assert machine.capacities["bus_12.all"] == 128, "beside it the bus has room for a transfer between cores"


def test_energy_of_moves() -> None:
    machine = tpu_like()
    read, write = move_pj(machine, OUTER, "tpu_like_0.sram_2MB", IMAGE_BITS)
    assert read == pytest.approx(2048 * 1000), "2,048 words of 64 bits"
    assert write == pytest.approx(64 * 378.4), "64 words of 2,048 bits"
    read, write = move_pj(machine, "tpu_like_0.sram_2MB", OUTER, 100)
    assert read == pytest.approx(128 / 2048 * 416.16), "two of the 32 parts of a word"
    assert write == 2 * 1000, "two words of 64 bits"


def test_weights_from_off_chip_by_hand() -> None:
    machine = edge_tpu_like()
    bits = 32 * 1024 * 8
    (route,) = machine.routes[OUTER, "edge_tpu_like_0.sram_32KB"]
    assert route.cycles(bits) == 4096, "262,144 bits at 64"
    assert move_pj(machine, OUTER, "edge_tpu_like_0.sram_32KB", bits) == pytest.approx(
        (4096 * 700, 512 * 52.01)
    )
    assert machine.stores["edge_tpu_like_0.sram_32KB"].size_bits == bits, "they just fit"


def test_streaming_takes_the_way_off_chip() -> None:
    assert dict(tpu_like().streaming["tpu_like_1"]) == {"bus_12.all": 64, "offchip.rw_port_1": 64}


def test_without_links_cores_meet_off_chip() -> None:
    machine = EngineTarget(architecture=small_arch(kinds=("mac_array", "mac_array"))).machine()
    first, second = machine.store_of("mac_array_0", "I"), machine.store_of("mac_array_1", "I")
    assert (first, second) == ("mac_array_0.sram", "mac_array_1.sram")
    assert (first, second) not in machine.routes
    assert machine.routes[OUTER, first] == (Route((("offchip.p", 64),), 64),)
    assert machine.routes[first, OUTER][0].cycles(130) == 3
    assert machine.store_of("mac_array_0", "W") == "mac_array_0.weights"


def test_a_part_of_a_word_costs_its_share() -> None:
    word = Word(128, 4.0, 32)
    assert [word.energy_of(bits) for bits in (0, 1, 32, 33, 128, 129)] == [0, 1, 1, 2, 4, 5]
    assert Word(128, 4.0).energy_of(1) == 4, "no smaller part can be had"


def test_a_route_starts_with_its_setup() -> None:
    assert Route((), 10, setup_cycles=7).cycles(21) == 7 + 3
