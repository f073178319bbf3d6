from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

from passes.errors import InputError
from passes.fuse_layers import FuseLayers
from passes.integers.fold_qdq import FoldQdq
from passes.integers.quantize import Quantize
from passes.integers.schemes import scheme
from passes.model.graph import from_model
from passes.state import QuantGrid, copy_graph, state_of
from targets.diana.target import DianaTarget
from targets.evaluation.report import evaluate
from targets.network.layer import Bits, Layer, LoopDims, Operand
from targets.network.workload import INPUT_REASON, VIEW_REASON, build_workload
from tests.passes.integers.analog_nets import draw_grids
from tests.passes.net_builder import NetBuilder
from tests.targets.graphs import graph_of, lowered, residual


def without_names(layer: Layer) -> Layer:
    """Integer tensors have other names than the float ones they stand for."""

    def plain(operand: Operand | None) -> Operand | None:
        return operand and Operand("", (operand.elements,), operand.bits)

    inputs = tuple(Operand("", t.shape, t.bits) for t in layer.inputs)
    outputs = tuple(Operand("", t.shape, t.bits) for t in layer.outputs)
    return replace(layer, inputs=inputs, outputs=outputs, weight=plain(layer.weight), bias=plain(layer.bias))


def test_float_and_lowered_graph_give_the_same_layers() -> None:
    graph = residual(softmax=True)
    plain, integer = build_workload(graph), build_workload(lowered(graph))
    assert [without_names(x) for x in plain.layers] == [without_names(x) for x in integer.layers]
    assert [(p.layers, p.macs) for p in plain.exits] == [(p.layers, p.macs) for p in integer.exits]


@pytest.mark.parametrize("form", ["float", "lowered"])
def test_a_pooling_in_front_has_its_own_loops_and_the_layer_reads_what_it_reads(form: str) -> None:
    graph = residual() if form == "float" else lowered(residual())
    FuseLayers(before=16)(graph)
    by_name = {layer.name: layer for layer in build_workload(graph).layers}
    last = by_name["gemm_1"]
    assert last.front == LoopDims(1, 8, 1, 1, 1, 1, 8, 8, 8, 8, 8, 8)
    assert last.dims == LoopDims(1, 1, 12, 8, 1, 1, 1, 1, 1, 1) and last.macs == 12 * 8
    assert [t.shape for t in (*last.inputs, *last.outputs)] == [(1, 8, 8, 8), (1, 12)]
    assert {"average", "flatten", "fc"} <= set(last.origin) and last.op_type == "Gemm"
    assert [name for name, layer in by_name.items() if layer.front is not None] == ["gemm_1"]
    assert by_name["maxpool_0"].dims is not None, "what is flattened to several positions is no front"


def test_layers_of_a_residual_network() -> None:
    workload = build_workload(residual())
    by_name = {layer.name: layer for layer in workload.layers}
    stem = by_name["conv_0"]
    assert stem.op_type == "Conv" and stem.origin == ("stem", "stem_relu") and stem.activation
    assert stem.macs == 8 * 4 * 9 * 64
    assert stem.dims is not None and stem.macs == stem.dims.iterations
    assert stem.weight is not None and stem.weight.elements == 8 * 4 * 9 and stem.weight.bits == 8
    assert stem.bias is not None and stem.bias.size_bytes == 8 * 4
    assert [workload.layers[i].name for i in by_name["add_0"].producers] == ["conv_0", "conv_1"]
    # The view between pooling and Gemm is no layer, the dependency stays.
    assert [workload.layers[i].name for i in by_name["gemm_0"].producers] == ["maxpool_0"]
    assert all(layer.macs == 0 for layer in workload.layers if layer.op_type not in ("Conv", "Gemm"))


def test_logits_leave_as_accumulators_and_bits_are_given() -> None:
    layers = build_workload(residual(), Bits(weight=2, activation=7, accumulator=24)).layers
    by_name = {layer.name: layer for layer in layers}
    assert by_name["gemm_1"].outputs[0].bits == 24
    assert by_name["conv_1"].inputs[0].bits == 7
    assert by_name["conv_1"].weight is not None and by_name["conv_1"].weight.bits == 2


@pytest.mark.parametrize("form", ["float", "Q/DQ", "integers"])
def test_nodes_with_a_precision_are_costed_at_its_numbers(form: str) -> None:
    plain = graph_of(
        """
        net (float[1,4,4,4] image) => (float[1,5] logits)
        <float[8,4,1,1] w, float[8] b, float[5,128] v, float[5] d> {
          [conv] c = Conv(image, w, b)
          [flat] f = Flatten(c)
          [fc] logits = Gemm<transB=1>(f, v, d)
        }
        """
    )
    state = state_of(plain)
    narrow = replace(scheme("int4-channel"), bias_bits=16, accumulator_bits=24)
    five = replace(narrow, activations=replace(narrow.activations, bits=5))
    state.precisions = {
        "conv": five.precision(True),
        "flat": five.precision(False),
        "fc": narrow.precision(True),
    }
    state.grids = {name: QuantGrid((0.125,), 128, 0, 255, "uint8") for name in ("image", "c", "f", "w", "v")}
    if form != "float":
        Quantize()(plain)
    if form == "integers":
        FoldQdq()(plain)
    FuseLayers()(plain)
    conv, dense = (x for x in build_workload(plain, Bits(8, 8, 40)).layers if x.weight is not None)
    for layer in (conv, dense):
        assert layer.weight and layer.bias
        assert (layer.weight.bits, layer.bias.bits, layer.accumulator_bits) == (4, 16, 24)
    assert (conv.outputs[0].bits, dense.inputs[0].bits, dense.outputs[0].bits) == (5, 5, 24)


def test_what_leaves_the_accelerator_is_known() -> None:
    assert build_workload(residual()).outputs == {"early", "logits"}


def test_free_layers_say_why() -> None:
    reasons = {f.name: f.reason for f in build_workload(lowered(residual())).free}
    assert reasons == {"flatten_0": VIEW_REASON, "flatten_1": VIEW_REASON, "quantize_input": INPUT_REASON}


def test_exit_paths_are_nested_and_decide() -> None:
    workload = build_workload(residual())
    early, final = workload.exits
    names = [workload.layers[i].name for i in early.layers]
    assert names == ["conv_0", "maxpool_0", "gemm_0", "exit_0.decide"]
    assert early.decides and not final.decides and early.mount == "r0"
    assert set(early.layers) < set(final.layers) and len(final.layers) == len(workload.layers)
    assert early.macs == 18432 + 12 * 128
    assert sorted(i for stage in workload.stages() for i in stage) == list(final.layers)
    decision = workload.layers[early.layers[-1]]
    assert decision.exit_name == "exit_0" and decision.op_type == "Softmax" and decision.input_elements == 12


def test_a_plain_network_has_one_exit_and_its_softmax() -> None:
    graph = residual(exits=False, softmax=True)
    graph.outputs = [t for t in graph.outputs if t.name == "logits"]
    workload = build_workload(graph.cleanup())
    assert [path.name for path in workload.exits] == ["final"]
    assert workload.layers[-1].name == "final.softmax" and workload.layers[-1].exit_name is None
    assert len(workload.exits[0].layers) == len(workload.layers)


def test_a_softmax_set_apart_behind_each_of_several_outputs() -> None:
    workload = build_workload(residual(exits=False, softmax=True))
    assert [path.name for path in workload.exits] == ["final"]
    assert [layer.name for layer in workload.layers[-2:]] == ["final.softmax", "final_1.softmax"]
    assert len(workload.exits[0].layers) == len(workload.layers)


def test_constant_and_given_outputs_are_no_layers() -> None:
    graph = graph_of(
        "n (float[1,4] x) => (float[1,4] y, float[1,4] x, float[2] k) <float[1] one = {1}> "
        "{ [a] y = Relu(x) [b] k = Concat<axis=0>(one, one) }"
    )
    workload = build_workload(graph)
    assert [layer.op_type for layer in workload.layers] == ["Relu"]
    assert workload.outputs == {"y"}
    assert workload.layers[0].inputs[0].bits == 8


def test_nodes_without_a_layer_stand_alone() -> None:
    graph = graph_of(
        "n (float[1,4,4,4] x) => (float[1,4,4,4] y) { [a] t = Relu(x) [b] y = Sigmoid(t) }", fuse=False
    )
    assert [layer.name for layer in build_workload(graph).layers] == ["a", "b"]


def test_layers_that_wait_for_each_other_are_an_input_error() -> None:
    graph = graph_of(
        "n (float[1,4] x) => (float[1,4] y) { [a] s = Relu(x) [b] t = Sigmoid(s) [c] y = Add(s, t) }"
    )
    state_of(graph).layers.update({"a": "one", "b": "two", "c": "one"})
    with pytest.raises(InputError, match="depend on each other"):
        build_workload(graph)


@pytest.mark.parametrize("kind", ["INT4", "UINT4"])
def test_weights_of_a_narrow_type_take_its_bits(kind: str) -> None:
    net = NetBuilder((1, 4, 8, 8))
    integers = onnx.helper.make_tensor("w4", getattr(onnx.TensorProto, kind), [8, 4, 3, 3], [1] * 288)
    net.constants.append(integers)
    zero = onnx.helper.make_tensor("z4", getattr(onnx.TensorProto, kind), [], [0])
    net.constants.append(zero)
    real = net.op("DequantizeLinear", "w4", net.const(np.float32(0.5)), "z4")
    conv = net.op("Conv", "x", real, pads=[1, 1, 1, 1])
    flat = net.op("Flatten", net.op("GlobalAveragePool", conv))
    graph = from_model(net.model(net.op("Gemm", flat, net.normal(3, 8), transB=1)))
    FuseLayers()(graph)
    (weight,) = [x.weight for x in build_workload(graph).layers if x.op_type == "Conv"]
    assert weight is not None and weight.bits == 4


@pytest.mark.parametrize("bounds", [(), ("low",), ("", "high"), ("low", "high")], ids=str)
def test_a_clip_costs_the_same_whichever_bounds_it_has(bounds: tuple[str, ...]) -> None:
    text = """
    net (float[1,4,8,8] image) => (float[1,12] logits)
    <float[8,4,1,1] w, float[12,8] v, float low = {0}, float high = {6}> {
      [conv] c = Conv(image, w)
      [act] r = Clip(CLIP)
      [average] g = GlobalAveragePool(r)
      [flatten] f = Flatten(g)
      [fc] logits = Gemm<transB=1>(f, v)
    }
    """
    made, relu = (
        build_workload(graph_of(text.replace("Clip(CLIP)", call)))
        for call in (f"Clip({', '.join(('c', *bounds))})", "Relu(c)")
    )
    assert made.layers == relu.layers
    assert made.layers[0].activation


def test_analog_convolutions_are_the_same_layers_in_all_forms_and_cost_the_same() -> None:
    net = NetBuilder((1, 4, 8, 8), seed=2)
    x = net.op("Relu", net.conv("x", 4, 140))
    y = net.op("Relu", net.conv(x, 140, 12, strides=[2, 2]))
    z = net.op("Relu", net.op("Add", net.conv(y, 12, 12), y))
    flat = net.op("Flatten", net.op("GlobalAveragePool", z))
    plain = from_model(net.model(net.op("Gemm", flat, net.normal(3, 12), transB=1)))
    draw_grids(plain, 3)
    state = state_of(plain)
    state.precisions[plain.nodes[-1].name] = scheme("int8-pow2").precision(weighted=True)
    dense = plain.nodes[-1].inputs[1].name
    state.grids[dense] = QuantGrid((0.125,), 128, 0, 255, "uint8")
    quantized = copy_graph(plain)
    Quantize()(quantized)
    folded = copy_graph(quantized)
    FoldQdq()(folded)
    target, found, paid = DianaTarget(), [], []
    for graph in (plain, quantized, folded):
        FuseLayers()(graph)
        layers = build_workload(graph).layers
        found.append([replace(without_names(layer), activation=False) for layer in layers])
        assert [(x.weight.bits, x.dims.c) for x in layers if x.op_type == "Conv" and x.weight and x.dims] == [
            (2, 4), (2, 140), (2, 12)
        ]  # fmt: skip
        costs = evaluate(graph, target)
        assert [layer.core for layer in costs.layers][:3] == ["analog"] * 3
        paid.append(costs.exits[-1].cost)
    assert found[0] == found[1] == found[2]
    assert paid[0] == paid[1] == paid[2]
