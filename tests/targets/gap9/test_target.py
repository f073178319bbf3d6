from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.errors import InputError
from targets.contract.placement import Placement, Refusal
from targets.contract.support import support_table
from targets.evaluation.report import evaluate
from targets.gap9.target import Gap9Target
from targets.network.layer import Layer, LoopDims
from targets.network.workload import ExitPath, Workload
from targets.testing.conformance import TargetConformance, sample_layer
from tests.targets.graphs import residual
from tests.targets.networks import linear_layer, loops, square

GAP9 = Gap9Target()
LOW = Gap9Target(point="0.65V")
CALL = 970


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
    assert [(r.core, r.rule) for r in placement.declined] == [
        ("cluster", "NE16 does not take it; what it takes runs there, as in the public flows")
    ]
    cost = placement.cost
    assert cost.compute_cycles == 25531, "PLiNIO, worked out by hand"
    # Half of the 32 rows with the two rows both halves read, and all weights with 16 biases of 4 bytes.
    assert cost.dma_cycles == math.ceil((17 * 512 + 16 * 16 * 9 + 64) / 8)
    assert cost.job_cycles == 3 * CALL, "input, weights, and biases with scales"
    assert cost.stall_cycles == cost.host_cycles == 0, "the other half and the results move meanwhile"
    power_pj = 56.8 * cost.latency_cycles / 370e6 * 1e9
    assert cost.energy_pj == pytest.approx(power_pj + 0.3 * 16 * 16 * 9 * 1024), "Horowitz: 0.3 pJ a product"


def test_transfers_longer_than_the_work_stall_it() -> None:
    wide = linear_layer(square(128, 640, 1, 1), "Gemm")
    cost = placed(wide).cost
    assert cost.compute_cycles == 4 * (40 * 65 + 54)
    # 81,920 bytes of weights and 512 of biases in three chunks; the input stays, results leave in three.
    chunk, later = 640 + math.ceil(82432 / 3), 82432 - math.ceil(82432 / 3) + 128
    assert cost.dma_cycles == math.ceil(chunk / 8)
    beside = math.ceil(later / 8) + (2 * 2 + 3) * CALL
    assert cost.stall_cycles == beside - cost.compute_cycles > 0


def test_wide_weights_are_for_the_cluster_and_narrow_ones_are_faster() -> None:
    layer = conv()
    assert layer.weight is not None
    by_bits = {bits: replace(layer, weight=replace(layer.weight, bits=bits)) for bits in (4, 8, 16)}
    assert placed(by_bits[16]).core == "cluster"
    assert placed(by_bits[4]).cost.compute_cycles == 121 * 147, "PLiNIO, worked out by hand"


def test_what_does_not_fit_l2_is_refused_with_demand_and_remedy() -> None:
    found = GAP9.place(linear_layer(square(64, 3, 224, 3)))
    assert isinstance(found, Refusal)
    assert any("(needs 3,211,264 bytes, there are 1,572,864)" in r.rule for r in found.reasons)
    assert "smaller input image" in str(found)


def test_large_weights_are_warned_about() -> None:
    big = linear_layer(loops(2048, 1024, 1, 1, 1, 1), "Gemm")
    (warning,) = GAP9.warnings(Workload((big,), (ExitPath("final", "", (0,), 0, False),), ()))
    assert "2,105,344 bytes, are fetched from l3 for each inference" in warning


def test_an_add_is_cut_only_where_that_is_faster() -> None:
    small = placed(sample_layer("Add", channels=16, size=32)).cost
    assert (small.host_cycles, small.dma_cycles, small.job_cycles) == (16384 / 4, 2 * 16384 / 8, 2 * CALL)
    assert small.stall_cycles == 0, "results leave beside the work"
    large = placed(sample_layer("Add", channels=64, size=32)).cost
    first = math.ceil(2 * 65536 / 3)
    assert large.dma_cycles == math.ceil(first / 8), "two sets of thirds fit L1, two of halves do not"
    beside = math.ceil((3 * 65536 - first) / 8) + (3 * 3 - 2) * CALL
    assert large.stall_cycles == beside - 65536 / 4


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
    assert low.total.energy_pj == pytest.approx(0.691 * high.total.energy_pj)
    for at_low, at_high in zip(low.layers, high.layers, strict=True):
        assert at_low.cost.latency_cycles == at_high.cost.latency_cycles
        assert at_low.energy_pj == pytest.approx(0.691 * at_high.energy_pj)


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
