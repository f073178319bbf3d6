"""Windows: explicit pads and attributes, global pools, pads that go into a Conv."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from passes.canonical.canonicalize import Canonicalize
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.state import Exit, state_of
from tests.passes.equivalence import batch_of, check_passes, run_model
from tests.passes.net_builder import NetBuilder

PADS = [0, 0, 1, 0, 0, 0, 2, 3]


def ops(graph: gs.Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def reasons(graph: gs.Graph) -> list[str]:
    return [d.reason for d in state_of(graph).declined]


# ceil(size / stride) windows: what they span beyond the input is padded, an odd element above or below
@pytest.mark.parametrize(
    ("attrs", "pads"),
    [
        ({"auto_pad": "SAME_UPPER"}, [1, 1, 1, 1]),
        ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, [0, 1, 1, 1]),
        ({"auto_pad": "SAME_LOWER", "strides": [2, 2]}, [1, 1, 0, 1]),
        ({"auto_pad": "SAME_UPPER", "strides": [4, 4]}, [0, 1, 1, 1]),
        ({"auto_pad": "VALID", "strides": [2, 1]}, [0, 0, 0, 0]),
        ({"auto_pad": "NOTSET", "pads": [0, 1, 2, 0]}, [0, 1, 2, 0]),
    ],
    ids=str,
)
def test_pads_of_a_conv_are_written_out(attrs: dict[str, Any], pads: list[int]) -> None:
    net = NetBuilder((1, 2, 6, 5))
    graph = check_passes(net.model(net.conv("x", 2, 2, **attrs)), "canonicalize")
    (conv,) = graph.nodes
    given = {name: value for name, value in attrs.items() if name != "auto_pad"}
    plain = {"kernel_shape": [3, 3], "group": 1, "dilations": [1, 1], "strides": [1, 1]}
    assert dict(conv.attrs) == plain | given | {"pads": pads}


# onnxruntime refuses to run these before the pads are written out
@pytest.mark.parametrize(
    ("attrs", "pads"),
    [
        ({"kernel": 3, "dilations": [2, 1]}, [2, 1, 2, 1]),
        ({"kernel": 3, "dilations": [2, 2], "strides": [2, 2]}, [1, 2, 2, 2]),
        ({"kernel": 1, "strides": [4, 4]}, [0, 0, 0, 0]),
    ],
    ids=str,
)
def test_pads_of_windows_with_holes_or_between_windows(attrs: dict[str, Any], pads: list[int]) -> None:
    net = NetBuilder((1, 2, 6, 5))
    model = net.model(net.conv("x", 2, 2, auto_pad="SAME_UPPER", **attrs))
    graph = from_model(model)
    Canonicalize()(graph)
    assert graph.nodes[0].attrs["pads"] == pads
    stride = attrs.get("strides", [1, 1])[0]
    made = run_model(to_model(graph), batch_of(model, 1))[0]
    assert made.shape == (1, 2, -(-6 // stride), -(-5 // stride))


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    ("size", "needed"), [(5, False), (6, True), (7, False)], ids=["fits", "half a step over", "fits again"]
)
def test_rounding_up_is_kept_only_where_it_adds_a_window(op: str, size: int, needed: bool) -> None:
    net = NetBuilder((1, 2, size, 7))
    pooled = net.op(op, "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    (pool,) = check_passes(net.model(pooled), "canonicalize").nodes
    assert pool.attrs.get("ceil_mode", 0) == needed


@pytest.mark.parametrize(
    ("attrs", "kept"),
    [({}, False), ({"pads": [1, 0, 0, 0]}, True), ({"ceil_mode": 1, "strides": [2, 2]}, True)],
    ids=str,
)
def test_counting_pads_matters_only_where_there_are_some(attrs: dict[str, Any], kept: bool) -> None:
    net = NetBuilder((1, 2, 6, 6))
    pooled = net.op("AveragePool", "x", kernel_shape=[3, 3], count_include_pad=1, **attrs)
    (pool,) = check_passes(net.model(pooled), "canonicalize").nodes
    assert ("count_include_pad" in pool.attrs) is kept


@pytest.mark.parametrize(
    ("attrs", "everything"),
    [
        ({"kernel_shape": [4, 6]}, True),
        ({"kernel_shape": [4, 6], "strides": [4, 6], "auto_pad": "VALID"}, True),
        ({"kernel_shape": [4, 5]}, False),
        ({"kernel_shape": [4, 6], "pads": [1, 1, 1, 1]}, False),
        ({"kernel_shape": [4, 6], "pads": [1, 1, 1, 1], "strides": [4, 4], "count_include_pad": 1}, False),
    ],
    ids=str,
)
def test_an_average_over_all_of_space_is_global(attrs: dict[str, Any], everything: bool) -> None:
    net = NetBuilder((1, 2, 4, 6))
    (pool,) = check_passes(net.model(net.op("AveragePool", "x", **attrs)), "canonicalize").nodes
    assert (pool.op == "GlobalAveragePool") is everything


@pytest.mark.parametrize(
    ("op", "pool"), [("ReduceMean", "GlobalAveragePool"), ("ReduceMax", "GlobalMaxPool")]
)
@pytest.mark.parametrize(
    ("shape", "axes"), [((1, 2, 5), [2]), ((1, 2, 4, 3), [3, 2]), ((1, 2, 4, 3), [-1, -2])], ids=str
)
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reducing_space_is_a_global_pool(
    op: str, pool: str, shape: tuple[int, ...], axes: list[int], keepdims: int
) -> None:
    net = NetBuilder(shape)
    reduced = net.op(op, "x", net.const(axes, np.int64), keepdims=keepdims)
    graph = check_passes(net.model(net.op("Tanh", reduced)), "canonicalize")
    assert ops(graph) == [pool, *([] if keepdims else ["Flatten"]), "Tanh"]


@pytest.mark.parametrize("axes", [[2], [1, 2, 3], [1, 2], None], ids=str)
def test_reducing_other_axes_is_none(axes: list[int] | None) -> None:
    net = NetBuilder((1, 2, 4, 3))
    given = [] if axes is None else [net.const(axes, np.int64)]
    graph = check_passes(
        net.model(net.op("ReduceMean", "x", *given)), "canonicalize", any_batch=axes is not None
    )
    assert ops(graph) == ["ReduceMean"]


def test_reducing_a_row_is_none() -> None:
    net = NetBuilder((1, 2))
    graph = check_passes(net.model(net.op("ReduceMax", "x", net.const([], np.int64))), "canonicalize", False)
    assert ops(graph) == ["ReduceMax"]


def test_reduced_axes_are_kept_unless_it_says_otherwise() -> None:
    net = NetBuilder((1, 2, 4, 3))
    graph = check_passes(net.model(net.op("ReduceMean", "x", net.const([2, 3], np.int64))), "canonicalize")
    assert ops(graph) == ["GlobalAveragePool"]


def test_the_maximum_of_integers_is_no_pool() -> None:
    net = NetBuilder((1, 2, 4, 4))
    whole = net.op("Cast", "x", to=6)
    most = net.op("ReduceMax", whole, net.const([2, 3], np.int64))
    assert "ReduceMax" in ops(check_passes(net.model(net.op("Cast", most, to=1)), "canonicalize"))


def padded_net(pads: list[int], value: float | None = None, **attrs: Any) -> tuple[NetBuilder, str]:
    """Return Relu and Pad, and the name of what they make."""
    net = NetBuilder((1, 2, 4, 4))
    extra = [] if value is None else [net.const(value)]
    return net, net.op("Pad", net.op("Relu", "x"), net.const(pads, np.int64), *extra, **attrs)


@pytest.mark.parametrize("value", [None, 0.0])
def test_zeros_around_the_input_of_a_conv_are_its_pads(value: float | None) -> None:
    net, padded = padded_net(PADS, value)
    graph = check_passes(net.model(net.conv(padded, 2, 2, pads=[1, 0, 0, 1])), "canonicalize")
    assert ops(graph) == ["Relu", "Conv"]
    assert graph.nodes[1].attrs["pads"] == [2, 0, 2, 4]
    assert state_of(graph).origins["n2_Conv"] == ("n2_Conv", "n1_Pad")


def test_a_pad_that_others_read_stays_for_them() -> None:
    net, padded = padded_net(PADS)
    model = net.model(net.conv(padded, 2, 2, pads=[0] * 4), net.op("Tanh", padded))
    graph = check_passes(model, "canonicalize")
    assert sorted(ops(graph)) == ["Conv", "Pad", "Relu", "Tanh"]


@pytest.mark.parametrize(
    ("pads", "value", "attrs", "reason"),
    [
        (PADS, 0.5, {}, "it pads with other values than zero"),
        (PADS, None, {"mode": "reflect"}, "it pads by reflect, a Conv pads with zeros"),
        ([0, 0, -1, 0, 0, 0, 0, 0], None, {}, "it crops, or pads the batch or the channels"),
        ([0, 1, 0, 0, 0, 0, 1, 0], None, {}, "it crops, or pads the batch or the channels"),
        ([0, 0, 1, 0, 0, 1, 0, 0], None, {}, "it crops, or pads the batch or the channels"),
    ],
    ids=str,
)
def test_other_pads_stay(pads: list[int], value: float | None, attrs: dict[str, Any], reason: str) -> None:
    net, padded = padded_net([p if p < 3 else 2 for p in pads], value, **attrs)
    conv = net.conv(padded, 2 + pads[1] + pads[5], 2, pads=[0] * 4)
    graph = check_passes(net.model(conv), "canonicalize")
    assert ops(graph) == ["Relu", "Pad", "Conv"]
    assert reasons(graph) == [reason]


def test_pads_of_some_axes_stay() -> None:
    net = NetBuilder((1, 2, 4, 4))
    padded = net.op("Pad", "x", net.const([1, 1], np.int64), "", net.const([3], np.int64))
    graph = check_passes(net.model(net.conv(padded, 2, 2)), "canonicalize")
    assert ops(graph) == ["Pad", "Conv"]
    assert reasons(graph) == ["its pads are not given for all axes as constants"]


def test_what_an_exit_reads_stays_padded() -> None:
    net, padded = padded_net(PADS)
    graph = from_model(net.model(net.conv(padded, 2, 2, pads=[0] * 4)))
    state_of(graph).exits = [Exit("exit_0", padded, "somewhere")]
    Canonicalize()(graph)
    assert ops(graph) == ["Relu", "Pad", "Conv"]
