"""Divided layers: which there are, what they become, and what that costs and computes."""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile.quantization.assignment import assign_precisions
from eecompile.quantization.calibration import calibrate
from eecompile.quantization.layer_schemes import weighted_layers
from eecompile.quantization.mapping.channel_splits import divide, divided, divisions, written
from eecompile.quantization.mapping.scheme_front import LabelledImages, SchemeSearch
from eecompile.quantization.post_training import integer_forms
from eecompile.quantization.wishes import SchemeWish
from eecompile.runtime.sessions import Evaluator
from passes.exits.recognise import recognise_exits
from passes.integers.channel_parts import channel_parts
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from targets.contract.registry import load_target
from targets.evaluation.report import evaluate
from targets.evaluation.scheduling import Wishes
from targets.objective import EDP
from tests.passes.net_builder import NetBuilder

DIANA = load_target("diana")
HALF = "int8-pow2:16+ternary-analog:16"


@pytest.fixture(scope="module")
def network() -> gs.Graph:
    """Return convolutions of 16, 32 and 64 channels around a skip, and a classifier."""
    net = NetBuilder((1, 4, 16, 16))
    stem = net.op("Relu", net.conv("x", 4, 16))
    wide = net.op("Relu", net.conv(stem, 16, 32, strides=[2, 2]))
    both = net.op("Relu", net.op("Add", net.conv(wide, 32, 32), wide))
    deep = net.op("Relu", net.conv(both, 32, 64, strides=[2, 2]))
    flat = net.op("Flatten", net.op("GlobalAveragePool", deep))
    graph = from_model(net.model(net.op("Gemm", flat, net.normal(3, 64), net.normal(3), transB=1)))
    parse_pipeline("canonicalize")(graph)
    recognise_exits(graph)
    return graph


def images(count: int = 24) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 4, 16, 16)).astype(np.float32)


def test_layers_are_divided_in_whole_blocks_between_two_kinds_of_cores(network: gs.Graph) -> None:
    layers = {layer.name: layer for layer in weighted_layers(network, DIANA)}
    found = {name: divisions(network, layer, "int8-pow2", DIANA) for name, layer in layers.items()}
    assert found == {
        "conv_0": (), "conv_1": (HALF,), "conv_2": (HALF,),
        "conv_3": ("int8-pow2:48+ternary-analog:16", "int8-pow2:32+ternary-analog:32",
                   "int8-pow2:16+ternary-analog:48"),
        "gemm_0": (),
    }  # fmt: skip
    assert divisions(network, layers["conv_1"], "ternary-analog", DIANA) == (
        "ternary-analog:16+int8-pow2:16",
    )
    gap9 = load_target("gap9")
    assert not any(divisions(network, one, "int8-channel", gap9) for one in weighted_layers(network, gap9))
    assert divided(HALF) == [("int8-pow2", 16), ("ternary-analog", 16)] and written(divided(HALF)) == HALF
    assert divided("int8-pow2") == []


def made(network: gs.Graph, schemes: dict[str, str]) -> gs.Graph:
    """Return the network calibrated by a mapping."""
    graph, chosen = divide(network, weighted_layers(network, DIANA), schemes)
    graph = copy_graph(graph)
    assign_precisions(graph, DIANA, wish=SchemeWish(chosen=chosen))
    calibrate(graph, images())
    return graph


MIXED = {"conv_0": "int8-pow2", "conv_1": HALF, "conv_2": "int8-pow2:16+ternary-analog:16",
         "conv_3": "int8-pow2:16+ternary-analog:48", "gemm_0": "int8-pow2"}  # fmt: skip


def test_parts_run_on_their_cores_and_cost_the_same_in_all_forms(network: gs.Graph) -> None:
    calibrated = made(network, MIXED)
    forms = [calibrated, *integer_forms(calibrated)]
    paid = []
    for form in map(copy_graph, forms):
        parse_pipeline(DIANA.pipeline(quantized=form is not forms[0]))(form)
        layers = {layer.name: layer for layer in evaluate(form, DIANA).layers}
        for name in ("conv_1", "conv_2", "conv_3"):
            cores = [layers[f"{name}.{part}"].core for part in ("0", "1", "join")]
            assert cores == ["digital", "analog", "simd"]
            assert layers[f"{name}.join"].cost.latency_cycles == 0
        paid.append([(n, x.core, x.cost.latency_cycles, x.cost.energy_pj) for n, x in layers.items()])
    assert paid[0] == paid[1] == paid[2]


def test_what_is_written_computes_near_the_network_and_alike_in_both_forms(network: gs.Graph) -> None:
    seen = images(40)
    forms = integer_forms(made(network, MIXED))
    name = [network.outputs[-1].name]
    real, quantized, lowered = (
        Evaluator.of(partial(to_model, graph)).run(seen.__getitem__, 40, name)[0]
        for graph in (network, *forms)
    )
    np.testing.assert_array_equal(quantized, lowered)
    whole = integer_forms(made(network, dict.fromkeys(MIXED, "ternary-analog") | {"gemm_0": "int8-pow2"}))
    (analog,) = Evaluator.of(partial(to_model, whole.quantized)).run(seen.__getitem__, 40, name)
    assert np.square(quantized - real).mean() < np.square(analog - real).mean() < np.square(real).mean()
    for graph in forms:
        assert len(channel_parts(graph)) == 3, "parts and whole are on one grid"


def test_parts_that_would_be_calibrated_apart_get_the_grid_of_the_whole(network: gs.Graph) -> None:
    uneven = copy_graph(network)
    node = next(n for n in uneven.nodes if n.op == "Conv" and n.outputs[0].shape[1] == 64)
    node.inputs[1].values = node.inputs[1].values * np.where(np.arange(64) < 16, 8, 1)[:, None, None, None]
    node.inputs[1].values = node.inputs[1].values.astype(np.float32)
    calibrated = made(uneven, MIXED)
    (found,) = (f for f in channel_parts(calibrated) if f.join.name.startswith(node.name))
    grids = {state_of(calibrated).grids[name] for name in found.tensors}
    assert len(grids) == 1
    for form in integer_forms(calibrated):
        assert len(channel_parts(form)) == 3


@pytest.mark.parametrize(("mode", "at_once"), [("rows", True), ("layers", False)])
def test_both_cores_work_at_once_where_the_host_does_not_wait(
    network: gs.Graph, mode: str, at_once: bool
) -> None:
    graph = made(network, MIXED)
    parse_pipeline(DIANA.pipeline(quantized=False))(graph)
    report = evaluate(graph, DIANA, EDP, wishes=Wishes(mode))
    ours = {n for n, layer in enumerate(report.workload.layers) if layer.name.endswith((".0", ".1"))}
    runs = [run for run in report.planned.schedule.runs if run.layer in ours]
    spans = {core: [(r.start, r.end) for r in runs if r.core == core] for core in ("digital", "analog")}
    assert all(spans.values())
    assert at_once is any(a < d and c < b for a, b in spans["digital"] for c, d in spans["analog"])


def test_the_search_tries_divisions_and_measures_them(network: gs.Graph) -> None:
    val = images(10)
    (logits,) = Evaluator.of(partial(to_model, network)).run(val.__getitem__, 10, [network.outputs[-1].name])
    labelled = LabelledImages(val, logits.argmax(axis=1))
    held = SchemeWish(bits={"conv_0": 8, "conv_2": 8, "conv_3": 8, "gemm_0": 8})
    search = SchemeSearch(network, DIANA, EDP, images(8), labelled, held)
    assert search._ladders["conv_1"] == ("int8-pow2", HALF, "ternary-analog")
    half = search._measured({**search._usual, "conv_1": HALF}, "half")
    fused = copy_graph(search.quantized(half.schemes))
    parse_pipeline(DIANA.pipeline(quantized=True))(fused)
    assert {"conv_1.0", "conv_1.1", "conv_1.join"} <= {*state_of(fused).layers.values()}
    assert evaluate(fused, DIANA).total == half.cost
