"""Bounds of activations: what a Relu, Clip, Min or Max lets through, in one form."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from onnx import TensorProto

from passes.canonical.activations import bounds_of, merge_clips, minmax_to_clip
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.rewrite.rewriter import Rewriter
from passes.state import state_of
from tests.passes.equivalence import batch_of, check_passes, run_model
from tests.passes.net_builder import NetBuilder

INF, MOST = float("inf"), float(np.finfo(np.float32).max)
CLIPS: list[tuple[float | None, float | None]] = [
    (None, None), (-0.5, None), (None, 0.5), (-0.5, 0.5), (0.0, None), (0.5, -0.5), (1.0, 2.0), (-MOST, 0.5),
    (-0.5, MOST), (-INF, 0.5), (-0.5, INF), (INF, None), (None, -INF),
]  # fmt: skip


@pytest.mark.parametrize("second", CLIPS, ids=str)
@pytest.mark.parametrize("first", CLIPS, ids=str)
def test_clips_in_a_row(
    first: tuple[float | None, float | None], second: tuple[float | None, float | None]
) -> None:
    net = NetBuilder((1, 2, 4, 4))
    x = "x"
    for bounds in (first, second):
        x = net.op("Clip", x, *("" if bound is None else net.const(bound) for bound in bounds))
    model = net.model(net.op("Sigmoid", x))
    graph = from_model(model)
    parse_pipeline("canonicalize")(graph)
    for image in batch_of(model, 4):
        expected, found = run_model(model, image[None]), run_model(to_model(graph), image[None])
        np.testing.assert_array_equal(found[0], expected[0])
    odd = INF in (first[0], second[0]) or -INF in (first[1], second[1])
    assert odd or sum(n.op in ("Clip", "Relu") for n in graph.nodes) <= 1


@pytest.mark.parametrize("bound", [-INF, -0.5, 0.0, 0.5, INF])
@pytest.mark.parametrize("op", ["Min", "Max"])
def test_min_and_max_with_a_number(op: str, bound: float) -> None:
    net = NetBuilder((1, 2, 4, 4))
    model = net.model(net.op("Sigmoid", net.op(op, "x", net.const(bound))))
    graph = from_model(model)
    parse_pipeline("canonicalize")(graph)
    for image in batch_of(model, 4):
        expected, found = run_model(model, image[None]), run_model(to_model(graph), image[None])
        np.testing.assert_array_equal(found[0], expected[0])


def clip(low: object, high: object) -> gs.Node:
    """Return a Clip of a float32 tensor by arrays, or by nothing where None is given."""
    data = gs.Variable("x", np.float32, [1, 2])
    bounds = [
        gs.Variable.empty() if value is None else gs.Constant(name, np.asarray(value, np.float32))
        for name, value in (("low", low), ("high", high))
    ]
    return gs.Node("Clip", "clip", {}, [data, *bounds], [gs.Variable("y", np.float32, [1, 2])])


@pytest.mark.parametrize(
    ("low", "high", "bounds"),
    [
        (-1.0, 2.0, (-1.0, 2.0)),
        (None, 2.0, (-INF, 2.0)),
        (-1.0, None, (-1.0, INF)),
        ([-1.0], [[2.0]], (-1.0, 2.0)),
        (-MOST, MOST, (-INF, INF)),
        (-INF, INF, (-INF, INF)),
        (3.0, -3.0, (3.0, -3.0)),
        ([1.0, 2.0], None, None),
        (INF, None, None),
        (None, -INF, None),
    ],
)
def test_bounds_of_a_clip(low: object, high: object, bounds: tuple[float, float] | None) -> None:
    assert bounds_of(clip(low, high)) == bounds


def test_bounds_of_other_nodes() -> None:
    data, made = gs.Variable("x", np.float32, [1]), gs.Variable("low", np.float32, [])
    assert bounds_of(gs.Node("Relu", "r", {}, [data])) == (0.0, INF)
    assert bounds_of(gs.Node("LeakyRelu", "l", {}, [data])) is None
    assert bounds_of(gs.Node("Clip", "c", {}, [data, made])) is None, "its bound is computed"


def test_an_activation_that_others_read_is_not_merged() -> None:
    net = NetBuilder((1, 2, 4, 4))
    inner = net.op("Relu", "x")
    outer = net.op("Clip", inner, "", net.const(0.5))
    graph = check_passes(net.model(net.op("Add", inner, outer)), "canonicalize")
    assert [n.op for n in graph.nodes] == ["Relu", "Clip", "Add"]


def test_a_merged_activation_comes_from_both() -> None:
    net = NetBuilder((1, 2, 4, 4))
    outer = net.op("Clip", net.op("Relu", "x"), net.const(-1.0), net.const(0.5))
    graph = check_passes(net.model(net.op("Sigmoid", outer)), "canonicalize")
    (only,) = [n for n in graph.nodes if n.op == "Clip"]
    assert [float(t.values) for t in only.inputs[1:]] == [0.0, 0.5]
    assert state_of(graph).origins[only.name] == ("n1_Clip", "n0_Relu")


def integers_net(op: str, bound: int) -> onnx.ModelProto:
    """Return Cast to int32, ``op`` with a number, Cast back."""
    net = NetBuilder((1, 2, 4, 4))
    whole = net.op("Cast", "x", to=TensorProto.INT32)
    return net.model(net.op("Cast", net.op(op, whole, net.const(bound, np.int32)), to=TensorProto.FLOAT))


@pytest.mark.parametrize("op", ["Clip", "Min", "Max"])
def test_integers_are_left_as_they_are(op: str) -> None:
    graph = check_passes(integers_net(op, 0), "canonicalize")
    assert [n.op for n in graph.nodes] == ["Cast", op, "Cast"]


@pytest.mark.parametrize("op", ["Min", "Max"])
@pytest.mark.parametrize("case", ["two computed", "three", "many numbers", "a number that widens"])
def test_other_minima_and_maxima_are_no_clip(op: str, case: str) -> None:
    net = NetBuilder((1, 2, 4, 4))
    others = {
        "two computed": [net.op("Tanh", "x")],
        "three": [net.const(0.1), net.const(0.2)],
        "many numbers": [net.normal(4)],
        "a number that widens": [net.const(np.zeros((1, 1, 1, 1, 1)))],
    }[case]
    graph = from_model(net.model(net.op(op, "x", *others)))
    node = graph.nodes[-1]
    assert not minmax_to_clip(Rewriter(graph, "canonicalize"), node)
    assert node.op == op


def test_a_plain_clip_is_left_as_it_is() -> None:
    net = NetBuilder((1, 2, 4, 4))
    plain = net.op("Clip", "x", net.const(-1.0), net.const(1.0))
    listed = net.op("Clip", plain, net.const([-0.5]), net.const([0.5]))
    graph = from_model(net.model(plain, listed))
    rewriter = Rewriter(graph, "canonicalize")
    assert not merge_clips(rewriter, graph.nodes[0])
    assert merge_clips(rewriter, graph.nodes[1]), "bounds are scalars in the plain form"
    assert [t.values.shape for t in graph.nodes[1].inputs[1:]] == [(), ()]
