from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile.runtime.sessions import session
from passes.fuse_layers import FuseLayers
from passes.integers.analog import (
    EXACT,
    affine_key,
    affine_step,
    analog_forms,
    chunk_ends,
    converter_key,
    in_array,
    why_digital,
)
from passes.integers.fold_qdq import FoldQdq
from passes.integers.quantize import Quantize
from passes.integers.schemes import DIANA_ARRAY, scheme
from passes.model.graph import from_model, load
from passes.model.writing import save, to_model
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from tests.passes.integers.analog_nets import Case, case_graph, draw_grids, reference
from tests.passes.net_builder import NetBuilder

CASES = {
    "one chunk": Case(6),
    "two chunks": Case(200, activation="Relu"),
    "three chunks that are not alike": Case(257, residual=True),
    "four chunks of 1x1": Case(4000, 1, pads=(0, 0, 0, 0), activation="Clip"),
    "stride, pads at two sides": Case(9, stride=2, pads=(0, 0, 1, 1), activation="Relu", residual=True),
    "5x5": Case(60, 5, pads=(2, 2, 2, 2), activation="Relu"),
    "no bias": Case(7, bias=False),
}


def run(graph: gs.Graph, images: np.ndarray) -> np.ndarray:
    found: np.ndarray = session(to_model(graph, "N")).run(None, {"x": images})[0]
    return found


def images_for(graph: gs.Graph, seed: int = 1) -> np.ndarray:
    shape = [int(d) for d in graph.inputs[0].shape]
    found: np.ndarray = np.random.default_rng(seed).normal(size=(3, *shape[1:])).astype(np.float32)
    return found


@pytest.mark.parametrize("name", CASES)
def test_onnxruntime_computes_what_the_array_does_to_the_bit(name: str) -> None:
    for seed in range(3):
        graph = case_graph(CASES[name], seed)
        images = images_for(graph, seed)
        expected = reference(graph, images)
        assert len(np.unique(expected)) > 12, "the case tells something"
        quantized = copy_graph(graph)
        Quantize()(quantized)
        lowered = copy_graph(quantized)
        FoldQdq()(lowered)
        for form in (quantized, lowered):
            np.testing.assert_array_equal(run(form, images), expected)


def network() -> gs.Graph:
    """Return convolutions of one and of several chunks around a skip."""
    net = NetBuilder((1, 4, 7, 6), seed=2)
    x = net.op("Relu", net.conv("x", 4, 140))
    y = net.op("Relu", net.conv(x, 140, 12, strides=[2, 2]))
    z = net.op("Relu", net.op("Add", net.conv(y, 12, 12), y))
    graph = from_model(net.model(net.op("Flatten", z)))
    draw_grids(graph, 5)
    return graph


def test_a_network_of_them_survives_files_passes_and_fusing(tmp_path: object) -> None:
    graph = network()
    images = images_for(graph)
    expected = reference(graph, images)
    Quantize()(graph)
    again = load(save(graph, f"{tmp_path}/model.onnx"))
    assert [f.names for f in analog_forms(again)] == [f.names for f in analog_forms(graph)]
    parse_pipeline("canonicalize,fold-batchnorm,quantize,fold-qdq,fuse-layers")(again)
    np.testing.assert_array_equal(run(again, images), expected)
    assert [len(f.convs) for f in analog_forms(again)] == [1, 2, 1]


@pytest.mark.parametrize("add", [False, True])
def test_all_nodes_of_one_are_one_layer_of_the_node_it_came_from(add: bool) -> None:
    graph = network()
    fuse = FuseLayers(add=add)
    plain = copy_graph(graph)
    fuse(plain)
    Quantize()(graph)
    lowered = copy_graph(graph)
    FoldQdq()(lowered)
    for form in (graph, lowered):
        fuse(form)
        state, layers = state_of(form), state_of(plain).layers
        assert {*state.layers.values()} - {"quantize_input"} == {*layers.values()}
        for found in analog_forms(form):
            (layer,) = {state.layers[name] for name in found.names}
            assert layer == layers[found.convs[0].name]
            made = (n for n in form.nodes if n.name in found.names)
            assert {state.origins[n.name] for n in made if n.op in ("Conv", "Mul", "Add", "Split")} <= {
                (found.convs[0].name,)
            }


@pytest.mark.parametrize(
    ("channels", "taps", "expected"),
    [(128, 9, [0, 128]), (129, 9, [0, 64, 129]), (1152, 1, [0, 1152]), (7, 1152, [*range(8)])],
)
def test_chunks_are_as_few_and_as_even_as_can_be(channels: int, taps: int, expected: list[int]) -> None:
    assert chunk_ends(channels, taps, 1152) == expected


def test_what_the_array_does_not_take_is_written_without_it_and_said() -> None:
    net = NetBuilder((1, 4, 6, 6))
    grouped = net.conv("x", 4, 4, group=2)
    wide = net.conv(grouped, 4, 3, kernel=35, pads=[17] * 4)
    graph = from_model(net.model(net.op("Gemm", net.op("Flatten", wide), net.normal(2, 108), transB=1)))
    precision = scheme("ternary-analog").precision(True)
    reasons = [why_digital(n, precision) for n in graph.nodes if n.op in ("Conv", "Gemm")]
    assert reasons[0] == "the analog array takes convolutions of one group"
    assert "one channel takes 1225 of the 1152 rows" in reasons[1]
    assert reasons[2] == "the analog array takes convolutions, not Gemm"
    assert not in_array(graph.nodes[0], None)
    assert why_digital(graph.nodes[0], scheme("int8-pow2").precision(True))
    draw_grids(graph, 0)
    Quantize()(graph)
    assert not analog_forms(graph)
    said = {d.subject: d.reason for d in state_of(graph).declined}
    assert [said[n.name] for n in graph.nodes if n.op in ("Conv", "Gemm")][:2] == reasons[:2]


def test_without_a_calibrated_converter_there_is_none_and_that_is_said() -> None:
    graph = case_graph(Case(6))
    state, conv = state_of(graph), graph.nodes[0]
    del state.grids[converter_key(conv)]
    Quantize()(graph)
    assert not analog_forms(graph)
    assert "converter was not calibrated" in {d.subject: d.reason for d in state.declined}[conv.name]


def test_grids_inside_a_convolution_go_with_its_name() -> None:
    graph = case_graph(Case(6))
    state, conv = state_of(graph), graph.nodes[0]
    held = [state.grids[converter_key(conv)], state.grids[affine_key(conv)]]
    state.rename({conv.name: "other"}, {})
    conv.name = "other"
    assert [state.grids["other/converter"], state.grids["other/affine"]] == held


@pytest.mark.parametrize("chunks", [1, 4, 60])
@pytest.mark.parametrize(("largest", "offset"), [(0.7, 0.1), (1e-3, 40.0), (0.0, 0.0)])
def test_the_affine_is_as_fine_as_its_bits_and_float32_allow(
    chunks: int, largest: float, offset: float
) -> None:
    def fits(step: float) -> bool:
        scale, shift = np.rint(largest / step), np.rint(offset / step)
        return bool(max(scale, shift) < 2**15 and scale * 32 * chunks + shift <= EXACT)

    step = affine_step(largest, offset, DIANA_ARRAY, chunks)
    assert fits(step) and np.log2(step) % 1 == 0
    assert not largest or not fits(step / 4)
