from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile.data.dataset import evenly
from eecompile.data.preprocess import preprocesses
from eecompile.data.sources import load_data
from eecompile.exits.answers import answers
from eecompile.quantization.calibration import calibrate
from eecompile.quantization.calibration_names import CALIBRATIONS
from eecompile.quantization.calibrators import grid_of
from eecompile.runtime.sessions import session
from passes.errors import InputError
from passes.integers.quantize import to_integers
from passes.model.graph import from_model, load
from passes.model.writing import to_model
from passes.number_formats import Levels
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from tests.eecompile.quantization.test_calibrators import counted
from tests.eecompile.schemes import assign
from tests.passes.net_builder import NetBuilder

EXAMPLE = Path(__file__).parents[3] / "examples" / "digits_resnet.onnx"


@pytest.fixture(scope="module")
def digits() -> tuple[gs.Graph, np.ndarray]:
    graph = load(EXAMPLE)
    parse_pipeline("canonicalize,fold-batchnorm,insert-exits{at=1}")(graph)
    data = load_data("digits")
    rule = preprocesses("unit", data.val.x, (1, 1, 8, 8))[0]
    return graph, rule.apply(data.train.x[:128])


def test_every_scale_of_the_digital_core_is_a_power_of_two(digits: tuple[gs.Graph, np.ndarray]) -> None:
    graph = copy_graph(digits[0])
    assign(graph)
    calibrate(graph, digits[1])
    grids = state_of(graph).grids
    assert len(grids) > 10
    for name, grid in grids.items():
        mantissa, _ = np.frexp(grid.scale)
        assert (mantissa == 0.5).all(), name
        assert len(grid.scale) == 1, f"{name}: one scale per tensor on DIANA"


def test_requantization_is_a_right_shift(digits: tuple[gs.Graph, np.ndarray]) -> None:
    graph = copy_graph(digits[0])
    assign(graph)
    calibrate(graph, digits[1])
    grids = state_of(graph).grids
    for node in graph.nodes:
        if node.op not in ("Conv", "Gemm"):
            continue
        output = node.outputs[0]
        if output.name not in grids and output.outputs:
            output = output.outputs[0].outputs[0]
        if output.name in grids:
            accumulator = grids[node.inputs[0].name].scale[0] * grids[node.inputs[1].name].scale[0]
            shift = np.log2(grids[output.name].scale[0] / accumulator)
            assert 0 <= shift <= 31


def test_quantized_digits_stay_accurate(digits: tuple[gs.Graph, np.ndarray]) -> None:
    data = load_data("digits")
    rule = preprocesses("unit", data.val.x, (1, 1, 8, 8))[0]
    graph = copy_graph(digits[0])
    assign(graph)
    calibrate(graph, digits[1])
    parse_pipeline("quantize,fold-qdq")(graph)
    before = answers(digits[0], data.val, rule).correct[-1].mean()
    after = answers(graph, data.val, rule).correct[-1].mean()
    assert before - after <= 0.01


def test_per_channel_scheme_gives_one_scale_per_channel(digits: tuple[gs.Graph, np.ndarray]) -> None:
    graph = copy_graph(digits[0])
    assign(graph, "int8-channel")
    calibrate(graph, digits[1])
    conv = next(n for n in graph.nodes if n.op == "Conv")
    grid = state_of(graph).grids[conv.inputs[1].name]
    assert grid.axis == 0
    assert len(grid.scale) == conv.inputs[1].shape[0]


def test_schemes_may_differ_by_node(digits: tuple[gs.Graph, np.ndarray]) -> None:
    graph = copy_graph(digits[0])
    conv = next(n for n in graph.nodes if n.op == "Conv")
    assign(graph, "int8-pow2", {conv.name: "ternary-analog"})
    calibrate(graph, digits[1])
    grid = state_of(graph).grids[conv.inputs[1].name]
    assert (grid.low, grid.high) == (127, 129)
    assert all(len(np.unique(np.abs(channel))) <= 2 for channel in conv.inputs[1].values)


def test_no_images_and_no_weights_are_refused(digits: tuple[gs.Graph, np.ndarray]) -> None:
    with pytest.raises(InputError, match="at least one image"):
        calibrate(copy_graph(digits[0]), digits[1][:0])
    with pytest.raises(ValueError, match="no node says which integers"):
        calibrate(copy_graph(digits[0]), digits[1])
    symbolic = copy_graph(digits[0])
    state_of(symbolic).symbolic = True
    with pytest.raises(InputError, match="no weights"):
        calibrate(symbolic, digits[1])


def test_operators_with_several_outputs_are_walked() -> None:
    net = NetBuilder((1, 4, 8, 8))
    first = net.op("Split", net.conv("x", 4, 4), axis=1, num_outputs=2)
    net.nodes[-1].output.append("second")
    joined = net.op("Concat", net.op("Relu", first), net.op("Relu", "second"), axis=1)
    flat = net.op("Flatten", net.op("GlobalAveragePool", net.conv(joined, 4, 8)))
    graph = from_model(net.model(net.op("Gemm", flat, net.normal(3, 8), transB=1)))
    assign(graph)
    calibrate(graph, np.random.default_rng(0).normal(size=(70, 4, 8, 8)).astype(np.float32))
    parse_pipeline("quantize,fold-qdq")(graph)
    assert [n.op for n in graph.nodes].count("QLinearConv") == 2


def test_pooling_writes_the_grid_it_reads_even_where_a_layer_coarsened_it() -> None:
    net = NetBuilder((1, 2, 8, 8))
    tiny = net.op("Conv", "x", net.const(np.full((2, 2, 1, 1), 1e-4)), net.const(np.zeros(2)))
    pooled = net.op("MaxPool", net.op("Relu", tiny), kernel_shape=[2, 2], strides=[2, 2])
    flat = net.op("Flatten", net.conv(pooled, 2, 2))
    graph = from_model(net.model(net.op("Gemm", flat, net.normal(3, 32), transB=1)))
    assign(graph)
    calibrate(graph, np.full((8, 2, 8, 8), 100.0, np.float32))
    grids = state_of(graph).grids
    pool = next(n for n in graph.nodes if n.op == "MaxPool")
    assert grids[pool.inputs[0].name] == grids[pool.outputs[0].name]


def test_a_large_bias_on_small_weights_fits_its_bits() -> None:
    net = NetBuilder((1, 2, 4, 4))
    conv = net.op("Conv", "x", net.const(np.full((2, 2, 1, 1), 1e-7)), net.const(np.full(2, 50.0)))
    flat = net.op("Flatten", net.op("Relu", conv))
    graph = from_model(net.model(net.op("Gemm", flat, net.normal(3, 32), transB=1)))
    assign(graph)
    calibrate(graph, np.random.default_rng(0).normal(size=(8, 2, 4, 4)).astype(np.float32))
    parse_pipeline("quantize")(graph)
    constants = [t for t in graph.tensors().values() if isinstance(t, gs.Constant)]
    biases = [c.values for c in constants if c.dtype == np.int32]
    assert biases
    assert all(np.abs(b.astype(np.int64)).max() < 2**31 - 1 for b in biases)


def test_images_are_taken_evenly() -> None:
    images = np.arange(100, dtype=np.float32)
    assert evenly(images, 4).tolist() == [0, 33, 66, 99]
    assert evenly(images, 200) is images


@pytest.mark.parametrize("value", [3e38, 1e9, 0.0])
def test_images_that_are_one_large_number_have_a_grid(value: float) -> None:
    net = NetBuilder((1, 1, 4, 4))
    graph = from_model(net.model(net.op("GlobalAveragePool", net.op("Relu", "x"))))
    assign(graph)
    calibrate(graph, np.full((4, 1, 4, 4), value, np.float32))
    scale = state_of(graph).grids["x"].scale[0]
    assert 127 * scale >= value * 0.99 and scale <= max(value, 1.0) / 60  # the next power of two


def anywhere(graph: gs.Graph) -> None:
    """Give all nodes weights of one step per channel, and activations whose zero point is free."""
    assign(graph, "int8-channel")
    precisions = state_of(graph).precisions
    for name, found in precisions.items():
        free = replace(found.inputs, symmetric=False)
        precisions[name] = replace(found, inputs=free, output=free)


def asymmetric_network() -> gs.Graph:
    """Return padded, depthwise and joined layers, with all that clips behind them."""
    net = NetBuilder((1, 3, 8, 8))
    first = net.op("Relu", net.conv("x", 3, 4))
    signed = net.conv(first, 4, 4, group=4)
    clipped = net.op("Clip", net.conv(signed, 4, 4, strides=[2, 2]), net.const(-0.5), net.const(1.25))
    pooled = net.op("MaxPool", signed, kernel_shape=[2, 2], strides=[2, 2])
    joined = net.op("Concat", net.op("Relu", net.op("Add", clipped, pooled)), pooled, axis=1)
    flat = net.op("Flatten", net.op("GlobalAveragePool", net.conv(joined, 8, 5)))
    return from_model(net.model(net.op("Gemm", flat, net.normal(3, 5), net.normal(3), transB=1)))


def test_free_zero_points_are_exact_in_every_form() -> None:
    graph = asymmetric_network()
    x = np.random.default_rng(1).normal(0.7, 1, size=(40, 3, 8, 8)).astype(np.float32)
    before = session(to_model(graph, "N")).run(None, {"x": x})[0]
    anywhere(graph)
    calibrate(graph, x)
    grids = state_of(graph).grids
    for node in graph.nodes:
        if node.op == "Relu":
            assert grids[node.outputs[0].name].zero_point == 0, "all levels are for what a Relu lets pass"
    signed = next(n for n in graph.nodes if n.attrs.get("group") == 4).outputs[0].name
    assert 0 < grids[signed].zero_point != 128 != grids["x"].zero_point > 0
    parse_pipeline("quantize")(graph)
    lowered = copy_graph(graph)
    parse_pipeline("fold-qdq")(lowered)
    assert [n.op for n in lowered.nodes].count("QLinearConv") == 4
    as_written, folded = (session(to_model(g, "N")).run(None, {"x": x})[0] for g in (graph, lowered))
    assert np.array_equal(as_written, folded)
    assert np.abs(folded - before).max() < 0.05 * np.abs(before).max()


def test_padding_is_the_zero_point_and_a_relu_ends_there() -> None:
    """Integers computed here in numpy, by the rule of onnxruntime's integer convolution."""
    net = NetBuilder((1, 2, 5, 5))
    graph = from_model(net.model(net.op("Flatten", net.op("Relu", net.conv("x", 2, 3)))))
    anywhere(graph)
    x = np.random.default_rng(2).normal(3, 1, size=(6, 2, 5, 5)).astype(np.float32)
    conv = graph.nodes[0]
    calibrate(graph, x)
    weight, bias = (t.values.astype(np.float64) for t in conv.inputs[1:])
    # the grid of the result is moved, so that the Relu does not end where the levels do
    result = graph.nodes[1].outputs[0].name
    grids = state_of(graph).grids
    grids[result] = replace(grids[result], zero_point=31)
    given, written = grids["x"], grids[result]
    steps = np.array(grids[conv.inputs[1].name].scale)
    flat = graph.nodes[2].outputs[0].name
    parse_pipeline("quantize,fold-qdq")(graph)
    (found,) = session(to_model(graph, "N")).run([flat], {"x": x})
    integers = to_integers(x, given).astype(np.int64)
    padded = np.pad(integers, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=given.zero_point)
    windows = np.lib.stride_tricks.sliding_window_view(padded - given.zero_point, (3, 3), (2, 3))
    whole = np.rint(weight / steps[:, None, None, None]).astype(np.int64)
    sums = np.einsum("nchwij,kcij->nkhw", windows, whole)
    sums += np.rint(bias / (given.scale[0] * steps)).astype(np.int64)[:, None, None]
    factor = np.float32(given.scale[0]) * steps.astype(np.float32) / np.float32(written.scale[0])
    expected = np.rint(sums.astype(np.float32) * factor.astype(np.float32)[:, None, None]) + 31
    expected = (np.clip(expected, 31, 255) - 31).astype(np.float32) * np.float32(written.scale[0])
    assert (expected == 0).any() and (expected > 0).any()
    assert np.array_equal(found, expected.reshape(len(x), -1))


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_a_calibrator_gives_the_grid_of_its_definition(name: str) -> None:
    net = NetBuilder((1, 3, 8, 8))
    graph = from_model(net.model(net.conv("x", 3, 2)))
    anywhere(graph)
    x = np.random.default_rng(3).laplace(0.5, 1, size=(40, 3, 8, 8)).astype(np.float32)
    done = calibrate(graph, x, name)
    assert done.calibration == name
    free = Levels(-128, 127, 8, symmetric=False)
    assert state_of(graph).grids["x"] == grid_of(name, counted(name, free, x.astype(np.float64)), free)


def degenerate(kind: str) -> tuple[gs.Graph, np.ndarray]:
    """Return a padded and a depthwise convolution, pooled and classified, and images, with something gone."""
    net = NetBuilder((1, 4, 8, 8))
    weight, bias, deep = net.rng.normal(0, 0.3, (6, 4, 3, 3)), net.rng.normal(size=6), np.ones((6, 1, 3, 3))
    x = np.random.default_rng(0).normal(size=(12, 4, 8, 8)).astype(np.float32)
    if kind == "constant channels":
        weight[1], bias[1], weight[2], bias[2] = 0, 5, 0, 0
    if kind == "all weights 0":
        weight[:] = 0
    if kind == "nothing but 0":
        weight[:], bias[:], deep[:] = 0, 0, 0
    if kind == "near the largest float":
        weight *= 1e30
    if kind == "near the least float":
        weight *= 1e-30
    if kind == "one image":
        x = x[:1]
    if kind == "images of one value":
        x[:] = 0.5
    first = net.op("Relu", net.op("Conv", "x", net.const(weight), net.const(bias), pads=[1, 1, 1, 1]))
    second = net.op("Relu", net.op("Conv", first, net.const(deep), pads=[1, 1, 1, 1], group=6))
    flat = net.op("Flatten", net.op("GlobalAveragePool", second))
    return from_model(net.model(net.op("Gemm", flat, net.normal(3, 6), net.normal(3), transB=1))), x


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scheme", ["int8-pow2", "uint8-channel"])
@pytest.mark.parametrize(
    "kind",
    [
        "constant channels", "all weights 0", "nothing but 0", "near the largest float",
        "near the least float", "one image", "images of one value",
    ],
)  # fmt: skip
def test_what_is_degenerate_is_quantized_like_all_else(kind: str, scheme: str) -> None:
    graph, x = degenerate(kind)
    real = session(to_model(graph, "N")).run(None, {"x": x})[0]
    assign(graph, scheme)
    calibrate(graph, x, "minmax" if kind == "nothing but 0" else "least-squares")
    parse_pipeline("quantize,fold-qdq")(graph)
    assert [node.op for node in graph.nodes].count("QLinearConv") == 2
    found = session(to_model(graph, "N")).run(None, {"x": x})[0]
    assert np.isfinite(found).all()
    assert np.abs(found - real).max() <= 0.05 * np.abs(real).max()


def test_ranges_that_are_infinite_are_refused_and_the_tensor_is_named() -> None:
    graph, x = degenerate("near the largest float")
    assign(graph)
    with pytest.raises(InputError, match="'n1_Relu_out' becomes NaN or infinite on training"):
        calibrate(graph, x * np.float32(1e10))
    x[3, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="'x' becomes NaN or infinite on training images\ncheck the pre"):
        calibrate(graph, x)
