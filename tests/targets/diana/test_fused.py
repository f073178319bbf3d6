from __future__ import annotations

from dataclasses import replace

import pytest

from targets.contract.placement import Refusal
from targets.diana import match, odimo
from targets.diana.fused import ANALOG_WEIGHTS, FusedCosts, FusedRun, analog_cycles, fused_network
from targets.diana.target import DianaTarget
from targets.network.layer import Layer, Operand
from targets.network.workload import ExitPath, Workload
from targets.schedule.check.checker import problems
from targets.schedule.machine import OUTER
from targets.schedule.network import ALL_HELD, Option, weights_name
from targets.schedule.plan import LayerChoice, Segment, finished, simulate
from targets.schedule.result import Schedule
from targets.schedule.tiles import Cut, tiles_of
from tests.targets.networks import linear_layer, square

RUN = FusedRun(DianaTarget(), unroll=2)


def ternary(name: str, source: str, result: str) -> Layer:
    layer = linear_layer(square(64, 64, 16, 3))
    assert layer.dims is not None and layer.weight is not None
    dims = replace(layer.dims, pad_top=1, pad_left=1, pad_bottom=1, pad_right=1)
    return replace(
        layer,
        name=name,
        dims=dims,
        weight=replace(layer.weight, bits=2),
        bias=None,
        inputs=(replace(layer.inputs[0], name=source),),
        outputs=(replace(layer.outputs[0], name=result),),
    )


def add(first: str, second: str, result: str) -> Layer:
    shape = (1, 64, 16, 16)
    inputs = (Operand(first, shape, 8), Operand(second, shape, 8))
    return Layer("add", "Add", (), 0, None, inputs, (Operand(result, shape, 8),))


def block() -> Workload:
    layers = (ternary("one", "x", "a"), replace(ternary("two", "a", "b"), producers=(0,)))
    last = replace(add("b", "x", "y"), producers=(1,))
    path = ExitPath("final", "", (0, 1, 2), 0, decides=False)
    return Workload((*layers, last), (path,), (), frozenset({"y"}))


def scheduled(run: FusedRun, rows: int = 4) -> Schedule:
    network = fused_network(run, block())
    parts = 16 // rows
    cores = ("analog", "analog", "simd")
    choices = tuple(LayerChoice((core,) * parts, Cut("OY", parts)) for core in cores)
    schedule = finished(simulate(network, [Segment(network.order, choices)]))
    assert problems(network, schedule) == []
    return schedule


def option(tile: Layer, core: str, run: FusedRun = RUN) -> Option:
    found = FusedCosts(run).option(tile, core, ALL_HELD)
    assert found is not None
    return found


@pytest.mark.parametrize("rows", [1, 2, 8])
@pytest.mark.parametrize("model", ["match", "odimo"])
def test_tiles_cost_what_the_whole_convolution_does(model: str, rows: int) -> None:
    layer = linear_layer(square(64, 16, 32, 3))
    assert layer.dims is not None
    run = replace(RUN, target=DianaTarget(model))
    parts = tiles_of(layer, Cut("OY", 32 // rows))
    total = sum(option(tile.layer, "digital", run).cost.compute_cycles for tile in parts)
    whole = match.digital_compute_cycles(layer.dims)
    if model == "odimo":
        whole = odimo.digital_compute_cycles(layer.dims) + odimo.digital_transfer_cycles(layer.dims)
    assert total == whole


@pytest.mark.parametrize("rows", [1, 4, 16])
def test_tiles_cost_what_the_whole_convolution_does_in_the_array(rows: int) -> None:
    layer = ternary("one", "x", "y")
    parts = tiles_of(layer, Cut("OY", 16 // rows))
    total = sum(option(tile.layer, "analog").cost.compute_cycles for tile in parts)
    # 16 x 16 pixels, two at a time, 18.2 cycles each; every tile is rounded up to whole cycles.
    assert 128 * 18.2 <= total <= 128 * 18.2 + len(parts)


def test_the_largest_unroll_of_one_layer_is_that_of_the_layer_alone() -> None:
    layer = ternary("one", "x", "y")
    assert layer.dims is not None
    alone = DianaTarget().cost(layer, "analog").compute_cycles - odimo.analog_weight_cycles(layer.dims)
    assert analog_cycles(layer.dims, 4) == alone
    with pytest.raises(ValueError, match="at most 4 columns"):
        analog_cycles(layer.dims, 8)


def test_sums_and_pooling_cost_what_they_do_alone() -> None:
    layer = add("x", "x2", "y")
    parts = tiles_of(layer, Cut("OY", 8))
    whole = DianaTarget().elementwise_cycles(layer, "simd")[0]
    assert sum(option(tile.layer, "simd").cost.compute_cycles for tile in parts) == whole
    assert whole == 64 * 16 * 16 // 64, "64 lanes"


def test_every_tile_is_a_job_of_the_host() -> None:
    layer = ternary("one", "x", "y")
    for scale in (0.0, 1.0, 4.0):
        run = replace(RUN, target=DianaTarget(host_scale=scale))
        assert option(layer, "analog", run).cost.job_cycles == 300 * scale


def test_a_layer_that_runs_channel_by_channel_has_no_rows() -> None:
    layer = linear_layer(replace(square(1, 1, 16, 3), g=16))
    assert FusedCosts(RUN).cores(layer) == ()
    assert FusedCosts(RUN).option(layer, "digital", ALL_HELD) is None


def test_weights_of_the_digital_core_are_padded_to_16_channels() -> None:
    layer = linear_layer(square(16, 20, 16, 3))
    path = ExitPath("final", "", (0,), 0, decides=False)
    made = fused_network(RUN, Workload((layer,), (path,), (), frozenset({layer.outputs[0].name})))
    extent = made.extents[weights_name(layer)]
    bias_bytes = 4 if layer.bias is not None else 0
    assert layer.dims is not None
    k, c = layer.dims.k, layer.dims.c
    padded = 8 * -(-k // 16) * 16 * (c * 9 + bias_bytes)
    assert padded <= extent.bits_of(extent.whole) < padded + k, "rounded up by channel"


def test_what_is_not_held_in_l1_has_no_cost() -> None:
    assert FusedCosts(RUN).option(ternary("one", "x", "y"), "analog", frozenset("W")) is None


def test_tensors_beyond_l2_are_no_reason_where_they_stay_in_l1() -> None:
    layer = linear_layer(square(64, 3, 112, 7, stride=2))
    refused = DianaTarget().place(layer)
    assert isinstance(refused, Refusal) and "802,816 bytes" in str(refused)
    assert FusedCosts(RUN).cores(layer) == ("digital",)
    assert FusedCosts(RUN).cores(ternary("one", "x", "y")) == ("analog",)


def test_weights_are_written_once_row_by_row() -> None:
    schedule = scheduled(RUN)
    written = [move for move in schedule.moves if move.destination == ANALOG_WEIGHTS]
    assert len(written) == 2
    # 768 rows in blocks of 288, 8 cycles each, and the call of the DMA.
    assert {move.end - move.start for move in written} == {8 * 864 + 70}
    on_array = [run for run in schedule.runs if run.core == "analog"]
    assert all(run.end <= move.start or move.end <= run.start for run in on_array for move in written)


def test_only_the_ends_of_a_segment_cross_to_l2() -> None:
    moved = {(move.tensor, move.destination) for move in scheduled(RUN).moves if "weights" not in move.tensor}
    assert moved == {("x", "l1"), ("y", OUTER)}


def test_nothing_overlaps_while_the_host_waits() -> None:
    serial = scheduled(replace(RUN, host_waits=True))
    running = sum(run.end - run.start for run in serial.runs)
    assert serial.latency_cycles == running + sum(move.end - move.start for move in serial.moves)
    beside = scheduled(RUN)
    busiest = max(sum(r.end - r.start for r in beside.runs if r.core == core) for core in ("analog", "simd"))
    assert busiest <= beside.latency_cycles < serial.latency_cycles


def test_mappings_of_whole_layers_are_no_cost_of_rows() -> None:
    with pytest.raises(ValueError, match="match or odimo"):
        FusedRun(DianaTarget("engine"), 2)


def test_bits_of_layers_in_the_array_are_those_of_their_cells() -> None:
    network = fused_network(RUN, block())
    extent = network.extents["one.weights"]
    assert extent.bits_of(extent.whole) == 864 * 128 * 2
