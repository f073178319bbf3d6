from __future__ import annotations

from targets.cost.model.nest_of_layer import nest_of
from targets.cost.model.residency import Residency, tensor_stores, without_trips
from targets.testing.conformance import sample_layer
from tests.targets.networks import linear_layer, loops
from tests.targets.small_arch import small_arch

HIERARCHY = small_arch().hierarchy("mac_array_0")
OFFCHIP = frozenset({"dram"})


def test_only_whole_memories_on_chip_hold_tensors() -> None:
    assert HIERARCHY is not None
    assert tensor_stores(HIERARCHY, "O", OFFCHIP) == (("sram", 1 << 20),), (
        "registers are repeated, dram is out"
    )
    assert tensor_stores(HIERARCHY, "W", OFFCHIP) == (("weights", 65536),)


def test_a_resident_operand_has_no_memory_above() -> None:
    assert HIERARCHY is not None
    seen = without_trips(HIERARCHY, Residency("c", (("I", "sram", 0),), (("sram", 1000),)), {})
    assert [name for name, _ in seen.levels("I")] == ["sram"]
    assert [name for name, _ in seen.levels("O")] == ["sums", "sram", "dram"]
    assert seen.memories["dram"].operands == ("W", "O")
    assert not any(t.startswith("I") for port in seen.memories["dram"].ports for t in port.serves)
    assert seen.memories["sram"].size_bits == (1 << 20) - 1000
    both = without_trips(HIERARCHY, Residency("c", (("I", "sram", 0), ("O", "sram", 0))), {})
    assert both.memories["dram"].operands == ("W",)


def test_a_linked_operand_loses_the_chain_it_uses() -> None:
    assert HIERARCHY is not None
    seen = without_trips(HIERARCHY, Residency("c", (("W", "sram", 0),)), {"W": "I", "I": "W"})
    assert [name for name, _ in seen.levels("I")] == ["sram"]


def test_what_a_layer_leaves_out_of_its_tensors_is_reserved() -> None:
    strided = linear_layer(loops(8, 8, 8, 8, 1, 1, 2))
    bits = strided.inputs[0].elements * 8
    around = Residency("c", (("I", "sram", bits),)).seen_by(nest_of(strided))
    assert around.reserved == (("sram", bits * 3 // 4),), "stride 2 reads a quarter, the whole is there"
    dense = sample_layer("Relu")
    assert Residency("c", (("I", "sram", 8192),)).seen_by(nest_of(dense)).reserved == (("sram", 0),)
