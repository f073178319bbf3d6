"""Chains of layers that need not fit L2."""

from __future__ import annotations

from dataclasses import replace

import pytest

from passes.errors import InputError
from targets.gap9.chain import places, run_chain, run_layer
from targets.gap9.target import Gap9Target
from targets.gap9.transfers import stored_weight_bytes
from targets.network.layer import Layer
from tests.targets.networks import linear_layer, loops, square

GAP9 = Gap9Target()


def link(*layers: Layer) -> list[Layer]:
    """Return layers each of which reads what the one before writes."""
    made: list[Layer] = []
    for number, layer in enumerate(layers):
        source = made[-1].outputs[0] if made else replace(layer.inputs[0], name="image")
        made.append(
            replace(
                layer,
                name=f"layer {number}",
                inputs=(source,),
                outputs=(replace(layer.outputs[0], name=f"t{number}"),),
            )
        )
    return made


SMALL = link(linear_layer(square(16, 16, 32, 3)), linear_layer(square(32, 16, 32, 1)))


def test_a_chain_that_fits_costs_what_its_layers_cost() -> None:
    for one in run_chain(GAP9, SMALL):
        assert one.core == "ne16" and one.outside == ()
        assert one.cost == GAP9.cost(one.layer, "ne16")


def test_an_image_outside_is_read_from_there() -> None:
    first, second = run_chain(GAP9, SMALL, {"image"})
    rate = GAP9.arch.memory("l3").bandwidth_bytes_per_cycle.value
    assert first.outside == ("image",) and first.cost.load_cycles >= 16 * 32 * 32 / rate
    assert first.cost.latency_cycles >= GAP9.cost(SMALL[0], "ne16").latency_cycles + 16 * 32 * 32 / rate
    assert second.cost.load_cycles == 0


def test_writer_and_reader_pay_for_a_tensor_without_room() -> None:
    """As in GreenWaves' log of EfficientNet-Lite0: 1,204,224 bytes beside 200,704 do not stay in L2."""
    wide = link(linear_layer(square(96, 16, 112, 1)), linear_layer(square(96, 96, 56, 3, 2, groups=96)))
    writes, reads = run_chain(GAP9, wide)
    assert writes.outside == reads.outside == ("t0",)
    assert writes.cost.load_cycles == pytest.approx(1_204_224 / 1.07, rel=0.02), "in whole rows"
    assert reads.cost.load_cycles > 2 * writes.cost.load_cycles, "in runs of some channels of each pixel"


@pytest.mark.parametrize(("width", "outside"), [(512, False), (1600, True)])
def test_weights_come_from_outside_where_they_have_no_room(width: int, outside: bool) -> None:
    layers = link(linear_layer(loops(width, width, 1, 1, 1, 1), "Gemm"))
    assert places(GAP9, layers).weights_outside == outside
    (one,) = run_chain(GAP9, layers)
    rate = GAP9.arch.memory("l3").bandwidth_bytes_per_cycle.value
    least = stored_weight_bytes(layers[0]) / rate if outside else 0
    assert one.cost.load_cycles == pytest.approx(least, rel=0.01)


def test_the_faster_core_is_taken() -> None:
    stem = linear_layer(square(8, 3, 48, 3, 2))
    (one,) = run_chain(GAP9, [stem])
    costs = {core: GAP9.cost(stem, core).latency_cycles for core in ("ne16", "cluster")}
    assert one.core == "cluster" and one.cost.latency_cycles == costs["cluster"] < costs["ne16"]


def test_what_no_core_takes_is_told() -> None:
    with pytest.raises(InputError, match=r"no core of gap9 takes layer 'layer' \(NoSuch\)"):
        run_layer(GAP9, replace(SMALL[0], name="layer", op_type="NoSuch"), places(GAP9, SMALL))
