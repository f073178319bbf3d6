"""Engines of cores: which are equal, what is off chip, which memories hold whole tensors."""

from __future__ import annotations

import pytest

from targets.cost.model.nest_of_layer import nest_of
from targets.cost.model.residency import Residency
from targets.described.engines import Engines
from targets.description.architecture import Architecture, Core, parse_architecture
from targets.description.mapping import DEFAULT_RULE, Mapping, MappingRule
from targets.objective import EDP
from targets.testing.conformance import sample_layer
from tests.targets.small_arch import small_arch, small_text

TWINS = small_arch(kinds=("mac_array", "mac_array", "simd"))
SRAM, WEIGHTS = ("sram", 1 << 20), ("weights", 65536)
EXCHANGED = {"I": "W", "W": "I"}


def with_host(arch: Architecture) -> Architecture:
    return arch.model_copy(update={"cores": (*arch.cores, Core(name="host", kind="host"))})


def test_cores_are_alike_by_their_arrays_and_memories_not_by_kind() -> None:
    engines = Engines(with_host(TWINS))
    names = ("mac_array_0", "mac_array_1", "simd_2")
    assert [engines.alike(name) for name in names] == ["mac_array_0"] * 3
    text = small_text(kinds=("mac_array", "mac_array", "mac_array"))
    before, name, last = text.rpartition("- name: mac_array_2")
    other = Engines(parse_architecture(before + name + last.replace("65536", "32768"), "small.yaml"))
    assert [other.alike(f"mac_array_{i}") for i in range(3)] == ["mac_array_0", "mac_array_0", "mac_array_2"]
    assert not engines.has("host") and all(engines.has(name) for name in names)


def test_where_nothing_is_said_to_be_off_chip_the_outermost_memory_is() -> None:
    assert Engines(TWINS).offchip("simd_2") == {"dram"}
    described = TWINS.cores[0].model_copy(update={"memories": TWINS.cores[0].memories | TWINS.offchip})
    alone = TWINS.model_copy(update={"cores": (described,), "offchip": {}})
    assert Engines(alone).offchip("mac_array_0") == {"dram"}
    bare = TWINS.model_copy(update={"offchip": {}})
    assert Engines(bare).offchip("mac_array_0") == {"sram"}


def test_memories_hold_whole_tensors_if_they_serve_the_whole_array_on_chip() -> None:
    engines = Engines(TWINS)
    plain = engines.stores("mac_array_1", DEFAULT_RULE)
    assert plain == {"W": (WEIGHTS,), "I": (SRAM,), "O": (SRAM,)}, "registers of sums are repeated"
    exchanged = engines.stores("mac_array_1", MappingRule("Add", links=EXCHANGED))
    assert exchanged == {"W": (SRAM,), "I": (WEIGHTS,), "O": (SRAM,)}


def test_a_complete_mapping_starts_where_its_levels_end() -> None:
    engines = Engines(TWINS)

    def stores(**levels: tuple[int, ...]) -> dict[str, tuple[tuple[str, int], ...]]:
        rule = MappingRule("sample", fixed=Mapping({}, (("K", 4),), levels))
        return dict(engines.stores("mac_array_0", rule))

    assert stores(W=(1,), I=(1,), O=(0, 1)) == {"W": (WEIGHTS,), "I": (SRAM,), "O": (SRAM,)}
    assert stores(W=(0, 1), I=(1,), O=(0, 1, 1)) == {"W": (), "I": (SRAM,), "O": ()}, "two start off chip"
    links = MappingRule("sample", links=EXCHANGED, fixed=Mapping({}, (), {"W": (0,), "I": (0,), "O": (0,)}))
    assert engines.stores("mac_array_0", links) == {"W": (SRAM,), "I": (WEIGHTS,), "O": ()}
    assert stores(I=(0, 0, 1), O=(1,)) == {"W": (), "I": (), "O": ()}, "too many levels, or too few"


def test_what_stays_is_not_fetched_and_equal_cores_share_the_answer() -> None:
    engines, layer = Engines(TWINS), sample_layer("Conv", channels=8, size=4)
    rule = MappingRule("default", {"D1": {"K": 4}, "D2": {"C": 4}})
    weights = ("W", "weights", 8 * 8 * 9 * 8)

    def best(core: str, *operands: tuple[str, str, int], limit: int | None = 6) -> set[str]:
        found = engines.best(nest_of(layer), rule, EDP, limit, Residency(core, operands))
        assert found is engines.best(nest_of(layer), rule, EDP, limit, Residency("mac_array_0", operands))
        return {access.operand for access in found.accesses if access.memory == "dram" and access.words}

    assert best("mac_array_1") == {"W", "I", "O"}
    assert best("mac_array_1", weights) == {"I", "O"}
    assert best("mac_array_0", limit=3) == {"W", "I", "O"}


def test_exchanged_operands_stay_in_the_memories_of_one_another() -> None:
    engines, layer = Engines(TWINS), sample_layer("Add", channels=8, size=4)
    rule = MappingRule("Add", links=EXCHANGED)
    residency = Residency("mac_array_0", (("I", "weights", 1024),))
    found = engines.best(nest_of(layer), rule, EDP, 6, residency)
    fetched = {access.operand for access in found.accesses if access.memory == "dram" and access.words}
    assert fetched == {"W", "O"}


@pytest.mark.parametrize("limit", [6, 7, 8])
def test_the_limit_of_factors_is_part_of_the_question(limit: int) -> None:
    engines, layer = Engines(TWINS), sample_layer("Conv", channels=8, size=4)
    rule = MappingRule("default", {"D1": {"K": 4}, "D2": {"C": 4}})
    sixes = engines.best(nest_of(layer), rule, EDP, 6, Residency("mac_array_0"))
    found = engines.best(nest_of(layer), rule, EDP, limit, Residency("mac_array_0"))
    # Left in time: 2 of K and of C, 3 of FX and of FY, 2 x 2 of OX and of OY: six loops, eight factors.
    assert len(sixes.mapping.loops) == 6 and len(found.mapping.loops) == limit
