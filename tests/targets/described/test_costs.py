"""What tiles cost the scheduler: by what lies in the stores, with room and energies worked out by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from targets.described.costs import EngineCosts
from targets.described.target import EngineTarget
from targets.description.architecture import parse_architecture
from targets.description.mapping import Mapping, MappingRule
from targets.network.layer import Layer
from targets.network.workload import ExitPath, Workload
from targets.schedule.network import ALL_HELD, Option
from targets.schedule.tiles import Cut, tiles_of, weight_extent
from targets.testing.conformance import sample_layer
from tests.targets.networks import linear_layer, square
from tests.targets.small_arch import small_arch

RULE = MappingRule("default", {"D1": {"K": 4}, "D2": {"C": 4}})
TWINS = EngineTarget(architecture=small_arch(kinds=("mac_array", "mac_array")), rules=(RULE,))
# 8 x 8 channels, 4 x 4 pixels, 3 x 3 taps: inputs and results have 1,024 bits each, weights 4,608.
CONV = sample_layer("Conv", channels=8, size=4)
# Inside the array 4 x 4 channels; the taps below, then all input channels and pixels, then the other results.
SAVED = Mapping(
    spatial={"D1": {"K": 4}, "D2": {"C": 4}},
    loops=(("FX", 3), ("FY", 3), ("C", 2), ("OX", 4), ("OY", 4), ("K", 2)),
    levels={"W": (3, 6), "I": (5, 6), "O": (3, 5, 6)},
)


def costs_of(target: EngineTarget, *layers: Layer) -> EngineCosts:
    path = ExitPath("final", "", tuple(range(len(layers))), 0, False)
    return EngineCosts(target, target.machine(), Workload(layers, (path,), ()))


def found(costs: EngineCosts, tile: Layer, core: str = "mac_array_0", held: str = "WIO") -> Option:
    option = costs.option(tile, core, frozenset(held))
    assert option is not None
    return option


def read_offchip_pj(option: Option) -> dict[str, float]:
    """Return the energy of accesses off chip by operand."""
    assert option.cost.detail is not None
    accesses = option.cost.detail.accesses
    return {
        operand: sum(a.energy_pj for a in accesses if (a.operand, a.memory) == (operand, "dram"))
        for operand in "WIO"
    }


def test_a_run_takes_its_core_alone_and_cores_come_by_name() -> None:
    kinds = ("simd", "mac_array", "mac_array")
    target = EngineTarget(architecture=small_arch(kinds=kinds), rules=(RULE,))
    costs = costs_of(target, CONV)
    assert costs.cores(CONV) == ("mac_array_1", "mac_array_2")
    assert costs.cores(replace(sample_layer("Add"), name="add")) == ("simd_0",)
    assert costs.resources("simd_0", found(costs, CONV, "mac_array_1").cost) == (("simd_0", 1.0),)


def test_held_operands_are_not_fetched_and_take_no_buffer() -> None:
    costs = costs_of(TWINS, CONV)
    held, streamed, weights = (found(costs, CONV, held=held) for held in ("WIO", "", "W"))
    assert not any(read_offchip_pj(held).values()) and held.buffers == ()
    # Words off chip have 64 bits: 500 pJ to read, 600 pJ to write, each element once.
    assert read_offchip_pj(streamed) == {"W": 72 * 500, "I": 16 * 500, "O": 16 * 600}
    assert read_offchip_pj(weights) == {"W": 0, "I": 16 * 500, "O": 16 * 600}
    assert [store for store, _ in streamed.buffers] == ["mac_array_0.sram", "mac_array_0.weights"]
    assert [store for store, _ in weights.buffers] == ["mac_array_0.sram"]
    assert held.cost.energy_pj < weights.cost.energy_pj < streamed.cost.energy_pj


@pytest.mark.parametrize(
    ("held", "inside", "sums_bits"),
    [
        ("", (3, 5, 6), 4 * 4 * 4 * 8),  # all taps and channels run below: results come complete
        ("", (2, 5, 6), 4 * 4 * 4 * 32),  # input channels run above the sums: partial sums come
        ("O", (3, 6), 0),
        ("O", (2, 6), 8 * 4 * 4 * (32 - 8)),  # the room of the results is counted as theirs
    ],
)
def test_buffers_are_what_the_mapping_keeps_in_each_store(
    held: str, inside: tuple[int, ...], sums_bits: int
) -> None:
    levels = {**SAVED.levels, "O": inside}
    target = replace(TWINS, rules=(MappingRule("sample", fixed=replace(SAVED, levels=levels)),), engines=None)
    option = found(costs_of(target, CONV), CONV, held=held)
    weights = 4 * 8 * 9 * 8  # four results' weights
    inputs = 8 * 4 * 4 * 8  # all inputs
    assert dict(option.buffers) == {"mac_array_0.weights": weights, "mac_array_0.sram": inputs + sums_bits}


WIDE_CORE = """
name: wide
cores:
  - name: core
    kind: mac_array
    array: {{dimensions: {{D1: 256, D2: 128}}, operation_energy_pj: 0.1, known: placeholder, source: test}}
    dataflow: {{D1: {{C: 256}}, D2: {{K: 128}}}}
    memories:
      sums:
        {{size_bits: 32, read_energy_pj: 1, write_energy_pj: 1, operands: [O], served_dimensions: [D1],
         ports: [{{name: r, bandwidth_bits_per_cycle: 32, serves: [O to_below, O to_above]}},
                 {{name: w, bandwidth_bits_per_cycle: 32, serves: [O from_above, O from_below]}}]}}
      sram:
        {{size_bits: {size_bits}, read_energy_pj: 8, write_energy_pj: 9, operands: [W, I, O],
         served_dimensions: [D1, D2],
         ports: [{{name: r, bandwidth_bits_per_cycle: 1024,
                  serves: [W to_below, I to_below, O to_below, O to_above]}},
                 {{name: w, bandwidth_bits_per_cycle: 1024,
                  serves: [W from_above, I from_above, O from_above, O from_below]}}]}}
offchip:
  dram:
    {{size_bits: 8000000000, read_energy_pj: 500, write_energy_pj: 600, operands: [I, W, O],
     ports: [{{name: p, bandwidth_bits_per_cycle: 64,
              serves: [I from_above, I to_below, W from_above, W to_below,
                       O from_above, O to_below, O from_below, O to_above]}}]}}
"""
# Parts of layers of ResNet8, without and with taps: on the wide core, channels are added up over the array.
SHORTCUT = linear_layer(square(16, 32, 8, 1, 2))
TAPS = linear_layer(square(32, 16, 16, 3, 2))


@pytest.mark.parametrize("kib", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("layer", [SHORTCUT, TAPS, CONV], ids=["shortcut", "taps", "sample"])
def test_what_a_mapping_keeps_fits_beside_what_is_held(layer: Layer, kib: int) -> None:
    """The bias is held with the weights, so a mapping of what is left must leave room for it too."""
    size_bits = kib * 8192
    costs = costs_of(
        EngineTarget(architecture=parse_architecture(WIDE_CORE.format(size_bits=size_bits), "wide")), layer
    )
    weights, outputs = weight_extent(layer), layer.outputs[0]
    bits = {
        "W": weights.bits_of(weights.whole),
        "I": layer.inputs[0].elements * layer.inputs[0].bits,
        "O": outputs.elements * outputs.bits,
    }
    fitting = 0
    for count in range(4):
        for held in itertools.combinations("WIO", count):
            option = costs.option(layer, "core", frozenset(held))
            if option is not None:
                fitting += 1
                assert sum(bits[op] for op in held) + sum(room for _, room in option.buffers) <= size_bits, (
                    held
                )
    assert fitting


def test_a_saved_mapping_is_for_the_whole_layer_and_for_what_it_holds() -> None:
    held = replace(SAVED, levels={**SAVED.levels, "W": (6,)})
    target = replace(TWINS, rules=(MappingRule("sample", fixed=held),), engines=None)
    costs = costs_of(target, CONV)
    assert costs.option(CONV, "mac_array_0", frozenset("W")) is not None
    for other in ("", "WI", "I", "WIO"):
        assert costs.option(CONV, "mac_array_0", frozenset(other)) is None
    tile = tiles_of(CONV, Cut("OY", 2))[0].layer
    assert costs.option(tile, "mac_array_0", frozenset("W")) is None


@pytest.mark.parametrize(("sram_bits", "fits"), [(2048, True), (2047, False)])
def test_held_tensors_must_fit_their_store_together(sram_bits: int, fits: bool) -> None:
    # Sums are as narrow as results, so that they need no room beside them.
    layer = replace(CONV, accumulator_bits=8)
    target = EngineTarget(architecture=small_arch(sram_bits), rules=(RULE,))
    costs = costs_of(target, layer)
    assert (costs.option(layer, "mac_array_0", ALL_HELD) is not None) is fits
    assert costs.option(layer, "mac_array_0", frozenset("WI")) is not None, "one of the two always fits"


def test_operands_that_exchange_their_memories_are_not_held_where_they_do_not_go() -> None:
    add = sample_layer("Add", channels=8, size=4)
    exchanged = MappingRule("Add", links={"I": "W", "W": "I"})
    costs = costs_of(replace(TWINS, rules=(RULE, exchanged), engines=None), add)
    assert costs.option(add, "mac_array_0", frozenset("O")) is not None
    assert costs.option(add, "mac_array_0", frozenset("I")) is None
    assert costs.option(add, "mac_array_0", frozenset("W")) is None
    plain = costs_of(TWINS, add)
    assert all(plain.option(add, "mac_array_0", frozenset(held)) is not None for held in "IW")


def test_equal_cores_and_equal_layers_are_searched_once() -> None:
    searched: list[str] = []
    target = replace(TWINS, engines=None, watch=searched.append)
    again = replace(CONV, name="again")
    costs = costs_of(target, CONV, again)
    first = found(costs, CONV, "mac_array_0", "")
    twin = found(costs, again, "mac_array_1", "")
    assert searched == ["sample"]
    assert costs.alike("mac_array_1") == "mac_array_0" and twin.cost is first.cost
    assert twin.buffers == tuple((s.replace("array_0", "array_1"), bits) for s, bits in first.buffers)


@pytest.mark.parametrize("bits", [2, 4])
def test_bits_are_part_of_the_question(bits: int) -> None:
    assert CONV.weight is not None
    changed = (
        replace(CONV, name="inputs", inputs=(replace(CONV.inputs[0], bits=bits),)),
        replace(CONV, name="weights", weight=replace(CONV.weight, bits=bits)),
        replace(CONV, name="sums", accumulator_bits=bits + 8),
    )
    costs = costs_of(TWINS, CONV, *changed)
    energies = [found(costs, layer, held="").cost.energy_pj for layer in (CONV, *changed)]
    alone = [found(costs_of(TWINS, layer), layer, held="").cost.energy_pj for layer in (CONV, *changed)]
    assert energies == alone and len(set(energies)) == 4


def test_a_tile_is_unrolled_like_the_whole_layer() -> None:
    layer, target = sample_layer("Conv", channels=2, size=8), replace(TWINS, rules=(), engines=None)
    whole, row = layer, tiles_of(layer, Cut("OY", 8))[1].layer

    def unrolled(costs: EngineCosts, tile: Layer) -> dict[str, dict[str, int]]:
        detail = found(costs, tile).cost.detail
        assert detail is not None
        return {dimension: dict(loops) for dimension, loops in detail.mapping.spatial.items()}

    costs = costs_of(target, whole)
    assert unrolled(costs, whole) == {"D1": {"OX": 2, "OY": 2}, "D2": {"FX": 3}}
    assert unrolled(costs, row) == {"D1": {"OX": 2, "OY": 1}, "D2": {"FX": 3}}, "there is but one row"
    alone = unrolled(costs_of(target, row), row)
    assert alone == {"D1": {"OX": 4}, "D2": {"FX": 3}}, "a layer of one row would have more of it at once"
