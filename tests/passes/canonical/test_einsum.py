"""Einsum against the products that it is."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from onnx import TensorProto, helper, numpy_helper

from passes.macs import node_macs
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import state_of
from tests.passes.equivalence import check_stable, run_model

SIZES = {"b": 1, "h": 2, "q": 5, "k": 6, "d": 4, "i": 3, "j": 7, "o": 8, "m": 2}


def net(equation: str, *shapes: tuple[int, ...], constant: int | None = None) -> onnx.ModelProto:
    """Return an Einsum of computed tensors (``constant``: but for one) cut out of one input."""
    sizes = [math.prod(shape) for shape in shapes]
    nodes, constants, names = [], [], []
    for index, shape in enumerate(shapes):
        rng = np.random.default_rng(index)
        if index == constant:
            constants.append(numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), f"t{index}"))
        else:
            begin = sum(sizes[:index])
            for name, values in (("f", [begin]), ("e", [begin + sizes[index]]), ("s", list(shape))):
                constants.append(numpy_helper.from_array(np.array(values, np.int64), f"{name}{index}"))
            constants.append(numpy_helper.from_array(np.array([1], np.int64), f"a{index}"))
            part = [f"x_{index}", f"f{index}", f"e{index}", f"a{index}"]
            nodes.append(helper.make_node("Sin", ["x"], [f"x_{index}"]))
            nodes.append(helper.make_node("Slice", part, [f"p{index}"]))
            nodes.append(helper.make_node("Reshape", [f"p{index}", f"s{index}"], [f"t{index}"]))
        names.append(f"t{index}")
    nodes.append(helper.make_node("Einsum", names, ["y"], name="einsum", equation=equation))
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, sum(sizes)])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "net", [given], [made], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def shapes_of(equation: str) -> list[tuple[int, ...]]:
    return [tuple(SIZES[a] for a in term) for term in equation.partition("->")[0].split(",")]


# Equation: the operators it is, but for views, and its multiply-accumulates.
WRITTEN_OUT = {
    "bhqd,bhkd->bhqk": (["Transpose", "MatMul"], 2 * 5 * 6 * 4),
    "bhqk,bhkd->bhqd": (["MatMul"], 2 * 5 * 6 * 4),
    "bqhd,bkhd->bhqk": (["Transpose", "Transpose", "MatMul"], 2 * 5 * 6 * 4),
    "bhqk,bkhd->bqhd": (["Transpose", "MatMul", "Transpose"], 2 * 5 * 6 * 4),
    "bij,jk->bik": (["MatMul"], 3 * 7 * 6),
    "bij,bjk->bik": (["MatMul"], 3 * 7 * 6),
    "jk,bij->bik": (["MatMul"], 3 * 7 * 6),
    "bijk,bjko->bio": (["MatMul"], 3 * 7 * 6 * 8),
    "qij,dij->qd": (["Transpose", "MatMul"], 5 * 3 * 7 * 4),
    "bhi,hij->bhj": (["Transpose", "MatMul", "Transpose"], 2 * 3 * 7),
    "i,ij->j": (["MatMul"], 21),
    "ij,j->i": (["MatMul"], 21),
    "i,i->": (["MatMul"], 3),
    "bi,bj->bij": (["Mul"], 0),
    "i,j->ij": (["Mul"], 0),
    "bid,d->bid": (["Mul"], 0),
    "bij->bji": (["Transpose"], 0),
    "bij->bi": (["ReduceSum"], 0),
    "bijk->kb": (["ReduceSum", "Transpose"], 0),
    "bij,k->bk": (["ReduceSum", "Mul"], 0),
    "bijm,jk->bik": (["ReduceSum", "MatMul"], 3 * 7 * 6),
    "bij,jk,ko->bio": (["MatMul", "MatMul"], 3 * 7 * 6 + 3 * 6 * 8),
    "bij,jk": (["MatMul"], 3 * 7 * 6),
    "...ij,...jk->...ik": (["MatMul"], 2 * 3 * 7 * 6),
    "...i,io": (["MatMul"], 2 * 3 * 8),
}
ELLIPSIS: dict[str, list[tuple[int, ...]]] = {
    "...ij,...jk->...ik": [(1, 2, 3, 7), (1, 2, 7, 6)],
    "...i,io": [(1, 2, 3), (3, 8)],
}
NO_WORK = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Sin", "Slice", "Split", "Identity"}


def check(model: onnx.ModelProto) -> gs.Graph:
    """Check that canonicalize changes no value, and nothing when it runs again; return what it makes."""
    graph = from_model(model)
    steps = parse_pipeline("canonicalize")
    steps(graph)
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    (expected,), (found,) = run_model(model, x), run_model(to_model(graph), x)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    check_stable(graph, steps)
    return graph


@pytest.mark.parametrize("equation", WRITTEN_OUT)
def test_it_is_written_out(equation: str) -> None:
    ops, macs = WRITTEN_OUT[equation]
    shapes = ELLIPSIS[equation] if equation in ELLIPSIS else shapes_of(equation)
    graph = check(net(equation, *shapes))
    assert Counter(node.op for node in graph.nodes if node.op not in NO_WORK) == Counter(ops)
    assert sum(map(node_macs, graph.nodes)) == macs


@pytest.mark.parametrize(
    ("equation", "constant"), [("bij,jk->bik", 1), ("jk,bij->bik", 0), ("kj,bij->bik", 0), ("bj,kj->bk", 1)]
)
def test_weights_are_the_second_operand_in_the_order_of_a_product(equation: str, constant: int) -> None:
    graph = check(net(equation, *shapes_of(equation), constant=constant))
    (product,) = [node for node in graph.nodes if node.op in ("MatMul", "Gemm")]
    assert isinstance(product.inputs[1], gs.Constant)
    assert product.op == ("Gemm" if equation == "bj,kj->bk" else "MatMul")
    assert "Transpose" not in [node.op for node in graph.nodes]


def test_an_axis_of_size_one_is_repeated_along_the_other() -> None:
    graph = check(net("bij,bjk->bik", (1, 3, 7), (1, 1, 6)))
    assert sum(map(node_macs, graph.nodes)) in (0, 3 * 6 * 7)


def test_what_it_writes_comes_from_it() -> None:
    graph = check(net("bqhd,bkhd->bhqk", *shapes_of("bqhd,bkhd->bhqk")))
    (product,) = [node for node in graph.nodes if node.op == "MatMul"]
    assert state_of(graph).origins[product.name] == ("einsum",)


def test_a_diagonal_is_left_and_says_why() -> None:
    graph = check(net("bii->bi", (1, 3, 3)))
    assert "Einsum" in [node.op for node in graph.nodes]
    (declined,) = [d for d in state_of(graph).declined if d.subject == "einsum"]
    assert declined.reason == "an index stands twice in one operand: it takes a diagonal"
