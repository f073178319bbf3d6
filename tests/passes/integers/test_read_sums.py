"""Averages of windows and joins as integers, and additions of both kinds of bytes, against onnxruntime."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime as ort
import pytest

from passes.errors import InputError
from passes.integers.fold_qdq import FoldQdq
from passes.integers.interpreter import interpret
from passes.integers.program import Concatenation, WindowAverage
from passes.integers.read_program import integer_program
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.number_formats import TARGET
from passes.state import copy_graph
from tests.passes.integers.joined_nets import joined_network

Array = np.ndarray[Any, Any]
network = functools.cache(joined_network)
SIGNED = """<ir_version: 10, opset_import: ["": 21]>
net (float[1,4,3,3] x) => (float[1,2] y)
   <float s = {0.11}, int8 z = {-3}, float s2 = {0.3}, int8 z2 = {7}, float s3 = {0.05}, int8 z3 = {0},
    int8[2,4] w, float sw = {0.02}, int8 zw = {0}>
{
   a = QuantizeLinear (x, s, z)
   b = DequantizeLinear (a, s, z)
   c = DequantizeLinear (a, s, z)
   [total] d = Add (b, c)
   e = QuantizeLinear (d, s2, z2)
   f = DequantizeLinear (e, s2, z2)
   g = DequantizeLinear (a, s, z)
   [other] h = Add (f, g)
   i = QuantizeLinear (h, s3, z3)
   j = DequantizeLinear (i, s3, z3)
   k = GlobalAveragePool (j)
   l = QuantizeLinear (k, s3, z3)
   m = DequantizeLinear (l, s3, z3)
   n = Flatten (m)
   o = QuantizeLinear (n, s3, z3)
   p = DequantizeLinear (o, s3, z3)
   q = DequantizeLinear (w, sw, zw)
   y = Gemm <transB = 1> (p, q)
}"""


def test_additions_of_signed_bytes_are_those_of_onnxruntime() -> None:
    model = onnx.parser.parse_model(SIGNED)
    weights = np.random.default_rng(0).integers(-127, 128, (2, 4)).astype(np.int8)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    graph = from_model(model)
    FoldQdq()(graph)
    program = integer_program(graph)
    images = np.random.default_rng(1).normal(0, 6, (120, 4, 3, 3)).astype(np.float32)
    for name in [op.writes for op in program.operations][:3]:
        _same(graph, name, images)


def _same(graph: gs.Graph, name: str, images: Array) -> None:
    """Compare the integers ``name`` of the program with those of onnxruntime, fused as it does by default."""
    watched = copy_graph(graph)
    program = integer_program(watched)
    watched.outputs.append(watched.tensors()[name])
    session = ort.InferenceSession(to_model(watched).SerializeToString())
    want = np.concatenate([session.run([name], {"x": image[None]})[0] for image in images])
    found = interpret(program, program.quantized(images))[name]
    np.testing.assert_array_equal(found, want)
    assert len(np.unique(found)) > 20


@pytest.mark.parametrize(("kind", "count"), [(WindowAverage, 2), (Concatenation, 1)])
def test_averages_and_joins_are_those_of_onnxruntime(kind: type, count: int) -> None:
    graph = copy_graph(network())
    operations = [op for op in integer_program(graph).operations if isinstance(op, kind)]
    assert len(operations) == count
    images = np.random.default_rng(1).normal(0, 2, (60, 4, 9, 8)).astype(np.float32)
    for op in operations:
        _same(graph, op.writes, images)
    program = integer_program(graph)
    ours = interpret(program, program.quantized(images), TARGET)
    theirs = interpret(program, program.quantized(images))
    assert max(int(np.abs(ours[op.writes] - theirs[op.writes]).max()) for op in operations) <= 2


def test_padding_counts_where_the_network_says() -> None:
    counts = {
        op.padding_counts: sorted(op.rescales)
        for op in integer_program(copy_graph(network())).operations
        if isinstance(op, WindowAverage)
    }
    assert counts == {True: [6], False: [2, 3, 4, 6]}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[other] h = Add (f, g)", "[other] h = Add (f, s)", r"'other' \(Add\) .* it reads 's' as float"),
        ("k = GlobalAveragePool (j)", "[mean] k = AveragePool <kernel_shape = [3, 3]> (j)",
         r"'mean' \(AveragePool\) .* no power of two"),
        ("h = Add (f, g)", "h = Concat <axis = 0> (f, g)", r"'other' \(Concat\) .* it joins images"),
    ],
)  # fmt: skip
def test_what_has_no_integer_form_is_named(old: str, new: str, message: str) -> None:
    assert old in SIGNED
    graph = from_model(
        onnx.parser.parse_model(
            SIGNED.replace(old, new)
            .replace("float[1,2] y", "float[n,2] y")
            .replace("int8[2,4] w", "int8[2,4] w = {1, 2, 3, 4, 5, 6, 7, 8}")
        )
    )
    FoldQdq()(graph)
    with pytest.raises(InputError, match=message):
        integer_program(graph)
