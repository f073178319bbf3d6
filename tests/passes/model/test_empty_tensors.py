"""Tensors without values are taken out where they are not missed, and refused where they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from passes.errors import InputError
from passes.macs import node_macs
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from targets.contract.registry import load_target
from targets.evaluation.report import evaluate
from targets.objective import EDP
from tests.passes.equivalence import batch_of, run_model
from tests.passes.net_builder import NetBuilder


def classified(net: NetBuilder, x: str) -> onnx.ModelProto:
    pooled = net.op("Flatten", net.op("GlobalAveragePool", x))
    return net.model(net.op("Gemm", pooled, net.normal(3, 4), transB=1))


def started(size: int = 8) -> tuple[NetBuilder, str]:
    net = NetBuilder((1, 3, size, size))
    return net, net.op("Relu", net.conv("x", 3, 4))


def nothing_of(net: NetBuilder, x: str, axis: int) -> str:
    return net.op("Slice", x, *[net.const([value], np.int64) for value in (2, 2, axis)])


def plain() -> onnx.ModelProto:
    net, x = started()
    return classified(net, net.op("Relu", net.conv(x, 4, 4)))


def with_slice() -> onnx.ModelProto:
    net, x = started()
    joined = net.op("Concat", x, nothing_of(net, x, 1), axis=1)
    return classified(net, net.op("Relu", net.conv(joined, 4, 4)))


def with_work_on_nothing() -> onnx.ModelProto:
    net, x = started()
    empty = net.op("Relu", net.conv(nothing_of(net, x, 2), 4, 4))
    return classified(net, net.op("Relu", net.conv(net.op("Concat", empty, x, axis=2), 4, 4)))


def with_split() -> onnx.ModelProto:
    net, x = started()
    part = net.op("Split", x, net.const([4, 0], np.int64), axis=1)
    net.nodes[-1].output.append("rest")
    joined = net.op("Concat", part, "rest", axis=1)
    return classified(net, net.op("Relu", net.conv(joined, 4, 4)))


def with_no_channels() -> onnx.ModelProto:
    net, x = started()
    empty = net.op("Conv", x, net.const(np.zeros((0, 4, 3, 3))), pads=[1] * 4)
    return classified(net, net.op("Relu", net.conv(net.op("Concat", x, empty, axis=1), 4, 4)))


@pytest.mark.parametrize("target", ["diana", "gap9", "edge_tpu_quad", "max78000"])
@pytest.mark.parametrize("build", [with_slice, with_work_on_nothing, with_split, with_no_channels])
def test_what_is_not_missed_costs_nothing(build: Callable[[], onnx.ModelProto], target: str) -> None:
    accelerator = load_target(target)
    costs = []
    for model in (plain(), build()):
        graph = from_model(model)
        assert all(0 not in t.shape for node in graph.nodes for t in node.inputs)
        parse_pipeline(f"canonicalize,{accelerator.pipeline(quantized=False)}")(graph)
        costs.append(evaluate(graph, accelerator, EDP))
    macs = {node.name: node_macs(node) for node in from_model(build()).nodes}
    assert sum(macs.values()) == costs[0].total.macs
    # A Split stays, a copy as any other.
    same = costs[0].total == costs[1].total
    assert same or build is with_split


@pytest.mark.parametrize("build", [with_slice, with_split])
def test_it_computes_the_same(build: Callable[[], onnx.ModelProto]) -> None:
    model = build()
    x = batch_of(model, 1)
    for found, expected in zip(run_model(to_model(from_model(model)), x), run_model(model, x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def no_output(op: str, kernel: int) -> onnx.ModelProto:
    net, x = started(3)
    if op == "Conv":
        return classified(net, net.conv(x, 4, 4, kernel=kernel, pads=[0] * 4))
    return classified(net, net.op(op, x, kernel_shape=[kernel, kernel], strides=[1, 1]))


def mean_of_nothing() -> onnx.ModelProto:
    net, x = started()
    return classified(net, nothing_of(net, x, 2))


def product_of_nothing() -> onnx.ModelProto:
    net, x = started()
    flat = nothing_of(net, net.op("Flatten", x), 1)
    return net.model(net.op("Gemm", flat, net.const(np.zeros((0, 3))), net.normal(3)))


def output_of_nothing() -> onnx.ModelProto:
    net, x = started()
    return net.model(nothing_of(net, x, 1))


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        *[
            (lambda op=op: no_output(op, 4), f"reads 'n2_{op}_out' .* which holds no values")
            for op in ("Conv", "MaxPool", "AveragePool")
        ],
        (mean_of_nothing, r"GlobalAveragePool 'n3_.*' reads .* \(from Slice .*\), which holds no values"),
        (product_of_nothing, "Gemm .* reads .* which holds no values"),
        (output_of_nothing, "an output is 'n2_Slice_out' .* which holds no values"),
    ],
)
def test_results_of_values_that_are_not_there_are_refused(
    build: Callable[[], onnx.ModelProto], reason: str
) -> None:
    with pytest.raises(InputError, match=reason) as error:
        from_model(build())
    assert "a window is larger than what it reads" in str(error.value)


@pytest.mark.parametrize("op", ["Conv", "MaxPool"])
def test_a_window_far_larger_than_what_it_reads(op: str) -> None:
    with pytest.raises(InputError, match=f"{op} 'n2_{op}' writes .* which holds no values"):
        from_model(no_output(op, 6))
