"""Fold-batchnorm: what goes into which weights, and what is left as Mul and Add."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from passes.canonical.fold_batchnorm import FoldBatchnorm
from passes.model.graph import from_model
from passes.state import Exit, state_of
from tests.passes.equivalence import check_passes
from tests.passes.net_builder import NetBuilder


def ops(graph: gs.Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def reasons(graph: gs.Graph) -> list[str]:
    return [d.reason for d in state_of(graph).declined if d.pass_name == "fold-batchnorm"]


def known_batchnorm(net: NetBuilder, x: str, **attrs: float) -> str:
    """Add a BatchNormalization of one channel: 2 * (x - 3) / sqrt(3 + epsilon) + 1."""
    return net.op("BatchNormalization", x, *(net.const([v]) for v in (2, 1, 3, 3)), **attrs)


def test_weights_and_bias_behind_a_conv_are_those_worked_out_by_hand() -> None:
    net = NetBuilder((1, 1, 2, 2))
    conv = net.op("Conv", "x", net.const([[[[5]]]]), net.const([7]))
    graph = from_model(net.model(known_batchnorm(net, conv, epsilon=1.0)))
    assert FoldBatchnorm()(graph)
    # sqrt(3 + 1) = 2, so 2 * (5 x + 7 - 3) / 2 + 1 = 5 x + 5
    (only,) = graph.nodes
    assert [t.values.reshape(-1).tolist() for t in only.inputs[1:]] == [[5.0], [5.0]]
    assert state_of(graph).origins[only.name] == ("n0_Conv", "n1_BatchNormalization")


def test_weights_and_bias_behind_a_batchnorm_are_those_worked_out_by_hand() -> None:
    net = NetBuilder((1, 1, 2, 2))
    normal = known_batchnorm(net, net.op("Relu", "x"), epsilon=1.0)
    graph = from_model(net.model(net.op("Conv", normal, net.const([[[[5]]]]), net.const([7]))))
    assert FoldBatchnorm()(graph)
    # 5 (2 (x - 3) / 2 + 1) + 7 = 5 x - 3
    assert ops(graph) == ["Relu", "Conv"]
    assert [t.values.reshape(-1).tolist() for t in graph.nodes[1].inputs[1:]] == [[5.0], [-3.0]]
    assert state_of(graph).origins["n2_Conv"] == ("n2_Conv", "n1_BatchNormalization")


def test_the_epsilon_that_is_left_out_is_that_of_onnx() -> None:
    net = NetBuilder((1, 2, 4, 4))
    # a variance as small as the default epsilon, so that another one would show
    parameters = [net.const([v, v]) for v in (1.0, 0.0, 0.0, 1e-5)]
    model = net.model(net.op("BatchNormalization", net.conv("x", 2, 2), *parameters))
    assert ops(check_passes(model, "fold-batchnorm")) == ["Conv"]


@pytest.mark.parametrize("groups", [1, 2])
def test_batchnorm_folds_into_conv_transpose(groups: int) -> None:
    net = NetBuilder((1, 4, 4, 4))
    up = net.op("ConvTranspose", "x", net.normal(4, 6 // groups, 2, 2), group=groups, strides=[2, 2])
    graph = check_passes(net.model(net.batchnorm(up, 6)), "canonicalize,fold-batchnorm")
    assert [n.op for n in graph.nodes] == ["ConvTranspose"]


@pytest.mark.parametrize("groups", [1, 2])
def test_batchnorm_folds_forward_into_groups(groups: int) -> None:
    net = NetBuilder((1, 4, 4, 4))
    normal = net.batchnorm(net.op("Relu", "x"), 4)
    conv = net.conv(normal, 4, 6, pads=[0] * 4, group=groups)
    graph = check_passes(net.model(conv), "fold-batchnorm")
    assert [n.op for n in graph.nodes] == ["Relu", "Conv"]


@pytest.mark.parametrize("transposed", [0, 1])
def test_batchnorm_folds_forward_into_gemm(transposed: int) -> None:
    net = NetBuilder((1, 4))
    normal = net.batchnorm(net.op("Relu", "x"), 4)
    weights = net.normal(3, 4) if transposed else net.normal(4, 3)
    graph = check_passes(net.model(net.op("Gemm", normal, weights, transB=transposed)), "fold-batchnorm")
    assert ops(graph) == ["Relu", "Gemm"]


@pytest.mark.parametrize("attrs", [{"pads": [1, 1, 1, 1]}, {"auto_pad": "SAME_UPPER"}], ids=str)
@pytest.mark.parametrize("shifted", [True, False])
def test_only_a_batchnorm_without_offset_goes_into_a_padded_conv(
    attrs: dict[str, Any], shifted: bool
) -> None:
    net = NetBuilder((1, 2, 4, 4))
    offset = [0.5, 0.0] if shifted else [0.0, 0.0]
    parameters = [net.const(v) for v in ([2.0, 3.0], offset, [0.0, 0.0], [1.0, 2.0])]
    normal = net.op("BatchNormalization", net.op("Relu", "x"), *parameters)
    model = net.model(net.conv(normal, 2, 2, **attrs))
    left = ["Mul", "Add"] if shifted else []
    assert ops(check_passes(model, "fold-batchnorm")) == ["Relu", *left, "Conv"]
    graph = from_model(model)
    FoldBatchnorm()(graph)
    why = "Conv 'n2_Conv' behind it pads with zeros, which its offset would shift"
    assert reasons(graph) == ([why] if shifted else [])


def test_an_unpadded_conv_may_say_so_by_auto_pad() -> None:
    net = NetBuilder((1, 2, 4, 4))
    normal = net.batchnorm(net.op("Relu", "x"), 2)
    graph = check_passes(net.model(net.conv(normal, 2, 2, auto_pad="VALID")), "fold-batchnorm")
    assert ops(graph) == ["Relu", "Conv"]


def test_what_others_read_too_is_not_folded_into() -> None:
    net = NetBuilder((1, 2, 4, 4))
    conv = net.conv("x", 2, 2)
    graph = check_passes(net.model(net.op("Add", net.batchnorm(conv, 2), conv)), "fold-batchnorm")
    assert ops(graph) == ["Conv", "Mul", "Add", "Add"]
    assert reasons(graph) == ["more than one node reads the output of Conv 'n0_Conv'"]


def test_what_an_exit_reads_stays() -> None:
    net = NetBuilder((1, 2, 4, 4))
    normal = net.batchnorm(net.op("Relu", "x"), 2)
    graph = from_model(net.model(net.conv(normal, 2, 2, pads=[0] * 4)))
    state_of(graph).exits = [Exit("exit_0", normal, "somewhere")]
    FoldBatchnorm()(graph)
    assert ops(graph) == ["Relu", "Mul", "Add", "Conv"]
    assert graph.nodes[2].outputs[0].name == normal


def test_computed_parameters_stay() -> None:
    net = NetBuilder((1, 2, 4, 4))
    computed = net.op("ReduceMean", "x", net.const([0, 2, 3], np.int64), keepdims=0)
    rest = [net.const([1.0, 1.0]) for _ in range(3)]
    graph = check_passes(
        net.model(net.op("BatchNormalization", net.conv("x", 2, 2), computed, *rest)),
        "fold-batchnorm",
        any_batch=False,
    )
    assert "BatchNormalization" in ops(graph)
    assert reasons(graph) == ["its parameters are computed, not constant"]


@pytest.mark.parametrize("behind", [True, False], ids=["behind a Conv", "alone"])
def test_a_variance_of_nothing_stays_and_says_why(behind: bool) -> None:
    net = NetBuilder((1, 2, 4, 4))
    x = net.conv("x", 2, 2) if behind else net.op("Tanh", "x")
    parameters = [net.const(v) for v in ([1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0])]
    graph = from_model(net.model(net.op("BatchNormalization", x, *parameters, epsilon=0.0)))
    FoldBatchnorm()(graph)
    assert ops(graph)[-1] == "BatchNormalization"
    (reason,) = reasons(graph)
    assert reason.startswith("of a channel, variance and epsilon are too small together")


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 4), (1, 3, 4, 4)], ids=str)
def test_alone_it_is_a_product_and_a_sum_per_channel(shape: tuple[int, ...]) -> None:
    net = NetBuilder(shape)
    graph = check_passes(net.model(net.op("Relu", net.batchnorm("x", 3))), "fold-batchnorm")
    assert ops(graph) == ["Mul", "Add", "Relu"]
    assert all(state_of(graph).origins[n.name] == ("n0_BatchNormalization",) for n in graph.nodes[:2])


def test_a_product_that_thereby_stands_behind_a_conv_goes_into_it() -> None:
    net = NetBuilder((1, 2, 4, 4))
    scaled = net.op("Mul", net.batchnorm(net.conv("x", 2, 2), 2), net.normal(2, 1, 1))
    assert ops(check_passes(net.model(scaled), "fold-batchnorm")) == ["Conv"]
