from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.errors import InputError
from passes.integers.schemes import scheme
from passes.state import state_of
from targets.contract.placement import Placement, Refusal
from targets.contract.support import support_table
from targets.evaluation.report import evaluate
from targets.gap9.parameter_sets import values
from targets.gap9.target import Gap9Target
from targets.network.layer import Layer, LoopDims
from targets.network.workload import ExitPath, Workload
from targets.testing.conformance import TargetConformance, sample_layer
from tests.targets.graphs import graph_of, residual
from tests.targets.networks import linear_layer, loops, square

GAP9 = Gap9Target()
LOW = Gap9Target(point="0.65V")
CALL = 30
POWER = values(GAP9.arch)["ne16.active_power_mw"]
PRODUCT = GAP9.arch.core("ne16").rate("energy_pj_per_mac")
SCALE = GAP9.arch.operating_point("0.65V").scale


class TestAtTheFirstPoint(TargetConformance):
    target = GAP9


class TestAtTheLowPoint(TargetConformance):
    target = LOW


def placed(layer: Layer) -> Placement:
    result = GAP9.place(layer)
    assert isinstance(result, Placement), str(result)
    return result


def conv(**changes: int) -> Layer:
    return linear_layer(replace(square(16, 16, 32, 3), **changes))


def test_an_ordinary_convolution_runs_on_ne16() -> None:
    placement = placed(conv())
    assert placement.core == "ne16"
    (declined,) = placement.declined
    assert declined.core == "cluster" and declined.rule.startswith(
        "NE16 does not take it, or has fewer than 16"
    )
    cost = placement.cost
    # Tiles of 15, 15 and 2 rows would take 12 blocks of rows; 18 and 14 take 6 + 5, as all 32 do.
    assert cost.compute_cycles == 25531, "PLiNIO, worked out by hand"
    first, last = 20 * 512 + 16 * 16 * 9 + 64, 14 * 512
    assert cost.dma_cycles == math.ceil(first / 8) + math.ceil(last / 8), "8 bytes a cycle"
    assert cost.job_cycles == 2 * CALL and cost.stall_cycles == cost.host_cycles == 0
    power_pj = POWER * cost.latency_cycles / 370e6 * 1e9
    assert cost.energy_pj == pytest.approx(power_pj + PRODUCT * 16 * 16 * 9 * 1024)


def test_pointwise_and_depthwise_passes_take_longer_than_the_formula() -> None:
    """Fitted to GreenWaves' log of EfficientNet-Lite0 and MLPerf Tiny v1.0."""
    ne16 = GAP9.arch.core("ne16")
    more, deep = (ne16.rate(f"cycles_more_per_{kind}_pass") for kind in ("pointwise", "depthwise"))
    pointwise, depthwise = linear_layer(square(32, 48, 9, 1)), linear_layer(square(32, 32, 9, 3, groups=32))
    assert placed(pointwise).cost.compute_cycles == 9 * (3 * 65 + 54) + round(27 * more)
    assert placed(depthwise).cost.compute_cycles == 9 * 2 * 227 + round(18 * deep)
    assert 2 < more < 8 and 5 < deep < 25


def test_transfers_longer_than_the_work_stall_it() -> None:
    narrow = linear_layer(loops(128, 640, 1, 1, 1, 1), "Gemm")
    assert placed(narrow).cost.stall_cycles == 0, "its weights come before the work"
    layer = sample_layer("Cast", channels=64, size=32)
    wide = replace(layer, inputs=(replace(layer.inputs[0], bits=32),))
    cost = placed(wide).cost
    # 262,144 bytes in and 65,536 out, in as many pieces as leave least over.
    assert cost.stall_cycles > 0 and cost.host_cycles < placed(wide).cost.latency_cycles / 2
    assert cost.latency_cycles - cost.job_cycles == pytest.approx((262144 + 65536) / 8, abs=3)


def test_energy_is_power_of_the_chip_by_what_works_and_products() -> None:
    add, pool = placed(sample_layer("Add", size=32)).cost, placed(sample_layer("GlobalAveragePool")).cost
    computing = GAP9.arch.core("cluster").active_power_mw
    assert computing is not None and computing.value > 2 * POWER * 0.9, (
        "eight cores beside the rest of the chip"
    )
    for cost in (add, pool):
        waiting = cost.latency_cycles - cost.host_cycles
        expected = (POWER * waiting + computing.value * cost.host_cycles) / 370e6 * 1e9
        assert cost.energy_pj == pytest.approx(expected)


def test_wide_weights_are_for_the_cluster_and_narrow_ones_are_faster() -> None:
    layer = conv()
    assert layer.weight is not None
    by_bits = {bits: replace(layer, weight=replace(layer.weight, bits=bits)) for bits in (4, 8, 16)}
    assert placed(by_bits[16]).core == "cluster"
    assert placed(by_bits[4]).cost.compute_cycles == 121 * 147, "PLiNIO, worked out by hand"
    assert placed(by_bits[4]).cost.latency_cycles < placed(by_bits[8]).cost.latency_cycles


@pytest.mark.parametrize(
    ("bits", "cycles"),
    [
        # PLiNIO's formula by hand: 2 x 2 blocks of 3 x 3 pixels; 16 input channels are one pass of
        # 31 + 6 + (6 + 32 x bits) + 2, then 9 + 32 + 13 for 32 output channels
        # (of 8 bits in two tiles of 16, as the weights of the second come beside the work on the first)
        (8, 2 * 4 * (31 + 6 + (6 + 128) + 2 + 9 + 16 + 13)),
        (4, 4 * (31 + 6 + (6 + 128) + 2 + 54)),
        (2, 4 * (31 + 6 + (6 + 64) + 2 + 54)),
    ],
)
def test_a_layer_costs_what_the_formula_says_for_the_bits_of_its_node(bits: int, cycles: int) -> None:
    graph = graph_of(
        """
        net (float[1,16,6,6] image) => (float[1,32,6,6] logits) <float[32,16,3,3] w> {
          [conv] logits = Conv<pads=[1,1,1,1]>(image, w)
        }
        """
    )
    state_of(graph).precisions["conv"] = scheme(f"int{bits}-channel").precision(weighted=True)
    (layer,) = evaluate(graph, Gap9Target()).layers
    assert (layer.core, layer.cost.compute_cycles) == ("ne16", cycles)


def test_what_does_not_fit_l2_is_refused_with_demand_and_remedy() -> None:
    found = GAP9.place(linear_layer(square(64, 3, 224, 3)))
    assert isinstance(found, Refusal)
    assert any("(needs 3,211,264 bytes, there are 1,572,864)" in r.rule for r in found.reasons)
    assert "smaller input image" in str(found)


def test_large_weights_are_warned_about() -> None:
    big = linear_layer(loops(2048, 1024, 1, 1, 1, 1), "Gemm")
    (warning,) = GAP9.warnings(Workload((big,), (ExitPath("final", "", (0,), 0, False),), ()))
    assert "2,105,344 bytes, are fetched from l3 for each inference" in warning


def test_weights_of_convolutions_are_fetched_while_others_run_and_those_of_products_are_waited_for() -> None:
    """GreenWaves' log of EfficientNet-Lite0: of 4.6 MB of weights only those of the last layer take time."""
    rate = GAP9.arch.memory("l3").bandwidth_bytes_per_cycle.value
    hidden = linear_layer(square(192, 672, 7, 1))
    cost = GAP9.cost(hidden, "ne16")
    assert GAP9.fetching(hidden, "ne16", cost) == cost, "shorter than the work of the layer"
    short = linear_layer(square(256, 256, 2, 3))
    plain = GAP9.cost(short, "ne16")
    found = GAP9.fetching(short, "ne16", plain)
    fetched = math.ceil((256 * 256 * 9 + 1024) / rate)
    assert found.latency_cycles == fetched > plain.latency_cycles, (
        "what takes longer than the layer is waited for"
    )
    product = linear_layer(loops(1000, 1280, 1, 1, 1, 1), "Gemm")
    plain = GAP9.cost(product, "ne16")
    found = GAP9.fetching(product, "ne16", plain)
    assert (
        found.load_cycles
        == math.ceil((1280 * 1000 + 4000) / rate)
        == found.latency_cycles - plain.latency_cycles
    )
    assert found.energy_pj - plain.energy_pj == pytest.approx(POWER * found.load_cycles / 370e6 * 1e9)
    assert 0 < found.bound_cycles <= found.latency_cycles and 0 < found.utilization < plain.utilization


def test_an_add_takes_its_rate_and_the_ends_of_its_transfers() -> None:
    rate = GAP9.arch.core("cluster").rate("cycles_per_added_element")
    small = placed(sample_layer("Add", channels=16, size=32)).cost
    assert small.host_cycles == math.ceil(16384 * rate) and small.stall_cycles == 0
    assert small.dma_cycles == 2 * 16384 / 2 / 8 + 16384 / 2 / 8 and small.job_cycles == 2 * CALL, "in halves"


def test_weights_of_layers_that_are_not_tiled_take_time() -> None:
    layer = replace(conv(), dims=None)
    assert layer.weight is not None
    huge = replace(layer, weight=replace(layer.weight, shape=(256, 256, 4, 4)))
    least = (layer.input_bytes + 256 * 256 * 16 + layer.output_bytes) / 8
    cost = placed(huge).cost
    assert cost.latency_cycles >= least
    more = cost.latency_cycles - placed(layer).cost.latency_cycles
    assert more > 0, "1 MiB of weights takes longer than the arithmetic"


def test_the_low_point_takes_as_many_cycles_and_less_energy() -> None:
    high, low = (evaluate(residual(), target) for target in (GAP9, LOW))
    assert (high.clock_hz, low.clock_hz) == (370e6, 240e6), "MLPerf Tiny v1.0, GAP9"
    assert low.total.latency_cycles == high.total.latency_cycles
    assert low.total.energy_pj == pytest.approx(SCALE * high.total.energy_pj)
    for at_low, at_high in zip(low.layers, high.layers, strict=True):
        assert at_low.cost.latency_cycles == at_high.cost.latency_cycles
        assert at_low.energy_pj == pytest.approx(SCALE * at_high.energy_pj)


def test_points_are_checked() -> None:
    assert GAP9.at_point("0.65V") == LOW
    with pytest.raises(InputError, match=r"no operating point '0.6V'\ndid you mean"):
        Gap9Target(point="0.6V")


def test_all_operators_of_other_targets_have_a_core() -> None:
    operators = {row.op_type for row in support_table(GAP9)}
    assert {"Conv", "Gemm", "MatMul", "Add", "MaxPool", "GlobalAveragePool", "Softmax", "Concat"} <= operators
    rules = {row.core: row.sentences for row in support_table(GAP9) if row.op_type == "Conv"}
    assert "Dilation is 1" in rules["ne16"] and rules["cluster"][-1] == "Every tensor fits L2"


@given(
    st.integers(1, 80),
    st.integers(1, 80),
    st.integers(1, 40),
    st.integers(1, 7),
    st.sampled_from((1, 2, 3)),
    st.booleans(),
    st.sampled_from((0.0, 1.0, 4.0)),
)
def test_costs_respect_their_bounds(
    k: int, c: int, size: int, kernel: int, stride: int, depthwise: bool, host_scale: float
) -> None:
    dims: LoopDims = (
        square(c, c, size, kernel, stride, c) if depthwise else square(k, c, size, kernel, stride)
    )
    layer = linear_layer(dims)
    target = Gap9Target(host_scale=host_scale)
    cost = target.cost(layer, placed(layer).core)
    assert 0 < cost.bound_cycles <= cost.latency_cycles
    assert 0 < cost.utilization <= 1
    if host_scale:
        assert cost.latency_cycles * 162 >= layer.macs, "NE16 does 162 products of 8 bits per cycle at most"
    moved = layer.input_bytes + layer.output_bytes + layer.weight_bytes
    assert cost.latency_cycles * 8 >= moved - 8, "8 bytes per cycle between L2 and L1"
