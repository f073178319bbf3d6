"""Views: which nodes only rename axes, and what a chain of them becomes."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.canonical.canonicalize import Canonicalize
from passes.canonical.views import is_view, moves_only_ones, permutation
from passes.model.graph import from_model
from passes.state import Exit, state_of
from tests.passes.equivalence import check_passes
from tests.passes.net_builder import NetBuilder


def ops(graph: gs.Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def node(op: str, shape: tuple[int, ...], made: tuple[int, ...], *values: object, **attrs: object) -> gs.Node:
    """Return a node that makes ``made`` of ``shape``, with ``values`` as its other inputs."""
    others = [gs.Constant(f"c{i}", np.asarray(v, np.int64)) for i, v in enumerate(values)]
    source = gs.Variable("x", np.float32, list(shape))
    return gs.Node(op, "node", attrs, [source, *others], [gs.Variable("y", np.float32, list(made))])


def test_a_transpose_without_a_permutation_reverses_the_axes() -> None:
    assert permutation(node("Transpose", (1, 2, 3), (3, 2, 1))) == (2, 1, 0)
    assert permutation(node("Transpose", (1, 2, 3), (1, 3, 2), perm=[0, 2, 1])) == (0, 2, 1)


@settings(deadline=None)
@given(st.data())
def test_a_permutation_that_moves_only_ones_keeps_the_order_of_elements(data: st.DataObject) -> None:
    shape = (2, *data.draw(st.lists(st.sampled_from([1, 1, 2, 3]), min_size=1, max_size=4)))
    perm = tuple(data.draw(st.permutations(range(len(shape)))))
    values = np.arange(np.prod(shape)).reshape(shape)
    moved = values.transpose(perm)
    kept = moved.shape[0] == 2 and perm[0] == 0 and moved.reshape(-1).tolist() == values.reshape(-1).tolist()
    assert moves_only_ones(perm, shape) is kept


@pytest.mark.parametrize(
    ("made", "view"),
    [
        (node("Flatten", (1, 2, 3), (1, 6)), True),
        (node("Flatten", (1, 2, 3), (2, 3), axis=2), False),
        (node("Reshape", (1, 2, 3), (1, 3, 2), [1, 3, 2]), True),
        (node("Reshape", (1, 2, 3), (2, 3), [2, 3]), False),
        (node("Squeeze", (1, 2, 1), (1, 2), [2]), True),
        (node("Squeeze", (1, 2, 1), (1, 2), [-1]), True),
        (node("Squeeze", (1, 1, 2), (1, 2), [0]), False),
        (node("Squeeze", (1, 1, 2), (1, 2), [-3]), False),
        (node("Squeeze", (1, 2, 1), (2,)), False),
        (node("Unsqueeze", (1, 2), (1, 2, 1), [2]), True),
        (node("Unsqueeze", (1, 2), (1, 1, 2), [0]), False),
        (node("Unsqueeze", (1, 2), (1, 1, 2), [1]), True),
        (node("Transpose", (1, 5, 1, 1), (1, 1, 1, 5), perm=[0, 2, 3, 1]), True),
        (node("Transpose", (1, 5, 2, 1), (1, 2, 1, 5), perm=[0, 2, 3, 1]), False),
        (node("Transpose", (1, 1, 5), (1, 1, 5), perm=[1, 0, 2]), False),
        (node("Slice", (1, 2), (1, 2)), False),
    ],
    ids=lambda case: f"{case.op} {case.inputs[0].shape}" if isinstance(case, gs.Node) else str(case),
)
def test_a_view_renames_the_axes_behind_the_batch(made: gs.Node, view: bool) -> None:
    assert is_view(made) is view


def chained(net: NetBuilder, x: str, shapes: list[list[int]]) -> str:
    for shape in shapes:
        x = net.op("Reshape", x, net.const(shape, np.int64))
    return x


@pytest.mark.parametrize(
    ("shapes", "left"),
    [
        ([[1, 24]], ["Flatten"]),
        ([[-1, 24]], ["Flatten"]),
        ([[1, 6, 4], [1, 24]], ["Flatten"]),
        ([[1, 6, 4]], ["Reshape"]),
        ([[1, 24], [1, 4, 6]], ["Reshape"]),
        ([[1, 24], [1, 2, 3, 4]], []),
    ],
    ids=str,
)
def test_a_chain_of_views_is_one_or_none(shapes: list[list[int]], left: list[str]) -> None:
    net = NetBuilder((1, 2, 3, 4))
    model = net.model(net.op("Tanh", chained(net, net.op("Relu", "x"), shapes)))
    graph = check_passes(model, "canonicalize")
    assert ops(graph) == ["Relu", *left, "Tanh"]
    for view in graph.nodes[1:-1]:
        if view.op == "Reshape":
            assert view.inputs[1].values.tolist() == [0, *shapes[-1][1:]], "no batch size stays"
        assert len(state_of(graph).origins[view.name]) == len(shapes)


def test_transposes_of_single_pixels_and_squeezes_are_of_the_chain() -> None:
    net = NetBuilder((1, 2, 4, 4))
    last = net.to_last(net.op("GlobalAveragePool", "x"))
    flat = net.op(
        "Squeeze", net.op("Unsqueeze", last, net.const([1], np.int64)), net.const([1, 2, 3], np.int64)
    )
    graph = check_passes(net.model(net.op("Tanh", flat)), "canonicalize")
    assert ops(graph) == ["GlobalAveragePool", "Flatten", "Tanh"]


def test_a_plain_view_is_left_as_it_is() -> None:
    net = NetBuilder((1, 2, 3, 4))
    graph = from_model(net.model(net.op("Tanh", net.op("Reshape", "x", net.const([0, 6, 4], np.int64)))))
    assert not Canonicalize()(graph)


def test_a_view_an_exit_reads_ends_the_chain() -> None:
    net = NetBuilder((1, 2, 3, 4))
    first = net.op("Reshape", net.op("Relu", "x"), net.const([0, 6, 4], np.int64))
    graph = from_model(net.model(net.op("Tanh", net.op("Flatten", first))))
    state_of(graph).exits = [Exit("exit_0", first, "somewhere")]
    Canonicalize()(graph)
    assert ops(graph) == ["Relu", "Reshape", "Flatten", "Tanh"]


def test_a_view_others_read_stays_for_them() -> None:
    net = NetBuilder((1, 2, 3, 4))
    first = net.op("Reshape", net.op("Relu", "x"), net.const([1, 6, 4], np.int64))
    graph = check_passes(net.model(net.op("Tanh", first), net.op("Flatten", first)), "canonicalize")
    assert sorted(ops(graph)) == ["Flatten", "Relu", "Reshape", "Tanh"]
    (flatten,) = [n for n in graph.nodes if n.op == "Flatten"]
    assert flatten.inputs[0].name == "n0_Relu_out"


def test_a_view_of_a_zero_that_means_zero_is_written_plainly() -> None:
    net = NetBuilder((1, 2, 3, 4))
    first = net.op("Reshape", net.op("Relu", "x"), net.const([1, 6, 4], np.int64), allowzero=1)
    graph = check_passes(net.model(net.op("Tanh", first)), "canonicalize")
    assert dict(graph.nodes[1].attrs) == {}


def test_what_moves_the_batch_axis_says_so() -> None:
    net = NetBuilder((1, 2, 3, 4))
    rows = net.op("Reshape", net.op("Relu", "x"), net.const([6, 4], np.int64))
    graph = check_passes(net.model(net.op("Tanh", rows)), "canonicalize", any_batch=False)
    assert ops(graph) == ["Relu", "Reshape", "Tanh"]
    assert [d.reason for d in state_of(graph).declined] == ["Reshape to [6, 4] moves the batch axis"]


def strided(order: list[int], shape: list[int]) -> onnx.ModelProto:
    """A pooled map flattened, gathered in ``order`` and flattened again, as PyTorch exports as_strided."""
    net = NetBuilder((1, 4, 2, 2))
    flat = net.op("Reshape", net.op("GlobalMaxPool", "x"), net.const([-1], np.int64))
    taken = net.op("Gather", flat, net.const(np.reshape(order, shape), np.int64), axis=0)
    return net.model(
        net.op("Gemm", net.op("Reshape", taken, net.const([1, 4], np.int64)), net.normal(3, 4), transB=1)
    )


def test_a_gather_of_all_in_order_is_a_view() -> None:
    graph = check_passes(strided([0, 1, 2, 3], [1, 4, 1, 1]), "canonicalize")
    assert [node.op for node in graph.nodes] == ["GlobalMaxPool", "Flatten", "Gemm"]


@pytest.mark.parametrize("order", [[0, 2, 1, 3], [0, 1, 2, 2], [1, 2, 3, 0]])
def test_a_gather_in_another_order_stays(order: list[int]) -> None:
    graph = check_passes(strided(order, [1, 4, 1, 1]), "canonicalize", any_batch=False)
    assert "Gather" in [node.op for node in graph.nodes]


@pytest.mark.parametrize(("index", "part"), [(0, 0), (1, 0), (2, 1), (4, 2), (-1, 2), (-4, 0)])
@pytest.mark.parametrize("scalar", [True, False])
def test_a_gather_of_one_place_reads_the_part_that_holds_it(index: int, part: int, scalar: bool) -> None:
    net = NetBuilder((1, 2, 3))
    first = net.op("Slice", "x", *(net.const([value], np.int64) for value in (0, 1, 1)))
    parts = [net.op("Neg", "x"), net.op("Relu", first), net.op("Abs", "x")]
    place = net.const(index if scalar else [index], np.int64)
    picked = net.op("Gather", net.op("Concat", *parts, axis=1), place, axis=1)
    model = net.model(net.op("Gemm", net.op("Flatten", picked), net.normal(3, 2)))
    graph = check_passes(model, "canonicalize")
    (gather,) = [node for node in graph.nodes if node.op == "Gather"]
    assert gather.inputs[0].inputs[0].op == ("Neg", "Relu", "Abs")[part]
    assert "Concat" not in {node.op for node in graph.nodes}


def test_a_gather_of_several_places_or_along_another_axis_stays() -> None:
    for places, axis in (([0, 1], 1), (1, 2)):
        net = NetBuilder((1, 2, 3))
        joined = net.op("Concat", net.op("Neg", "x"), net.op("Abs", "x"), axis=1)
        picked = net.op("Gather", joined, net.const(places, np.int64), axis=axis)
        size = 6 if axis == 1 else 4
        model = net.model(net.op("Gemm", net.op("Flatten", picked), net.normal(size, 2)))
        assert "Concat" in {node.op for node in check_passes(model, "canonicalize").nodes}
