"""Operators of onnxruntime's own domain: the bits of what it fuses itself, and nothing left in floats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

from passes.integers.contrib_kernels import KERNELS
from passes.integers.fold_qdq import FoldQdq
from passes.integers.interpreter import interpret
from passes.integers.read_program import integer_program
from passes.model.graph import from_model, load
from passes.model.writing import save, to_model
from passes.state import state_of
from tests.passes.equivalence import batch_of, session_of
from tests.passes.integers.joined_nets import joined_model
from tests.passes.integers.test_fold_qdq import QdqNet
from tests.passes.integers.test_interpreter import network

Array = np.ndarray[Any, Any]
FOLD = FoldQdq(contrib=True)


def folded(model: onnx.ModelProto) -> gs.Graph:
    graph = from_model(model)
    assert FOLD(graph)
    assert not FOLD(graph), "once is all"
    return graph


def floats(graph: gs.Graph) -> list[str]:
    """Return the operators that write real numbers."""
    return sorted(n.op for n in graph.nodes if any(np.dtype(t.dtype).kind == "f" for t in n.outputs))


def rounded(graph: gs.Graph) -> list[str]:
    """Return the tensors of bytes."""
    return [name for name, tensor in graph.tensors().items() if tensor.inputs and tensor.dtype == np.uint8]


def values(graph: gs.Graph, names: list[str], images: Array, optimize: bool) -> list[Array]:
    """Return tensors of ``graph``, written out beside its outputs, for each image."""
    tensors = graph.tensors()
    graph.outputs = [tensors[name] for name in names]
    session = session_of(to_model(graph), optimize)
    given = session.get_inputs()[0].name
    found = [session.run(None, {given: image[None]}) for image in images]
    return [np.concatenate(each) for each in zip(*found, strict=True)]


@pytest.mark.parametrize(
    ("model", "kernels"),
    [
        (network(), ("Add", "GlobalAveragePool")),
        *(
            (joined_model(a), ("AveragePool", "Concat", "GlobalAveragePool", "Gemm"))
            for a in ("Relu", "Clip", "")
        ),
    ],
)
def test_a_network_is_integers_up_to_its_logits_with_the_bits_of_what_is_fused(
    model: onnx.ModelProto, kernels: tuple[str, ...], tmp_path: Path
) -> None:
    whole = folded(model)
    exits = len(whole.outputs)
    assert floats(whole) == ["Cast"] * exits + ["Mul"] * exits, (
        "sums of logits become real numbers, nothing else"
    )
    assert {node.op for node in whole.nodes if node.domain} == {KERNELS[op] for op in kernels}
    assert not state_of(whole).declined
    plain = from_model(model)
    names = [name for name in rounded(plain) if name in whole.tensors()]
    assert len(names) >= len(kernels)
    images = batch_of(model, 60)
    fused = values(plain, names, images, optimize=True)
    for name, a, b in zip(names, fused, values(folded(model), names, images, optimize=False), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)
        assert len(np.unique(a)) > 3
    program = integer_program(load(save(whole, tmp_path / "whole.onnx")))
    read = interpret(program, program.quantized(images))
    for name, a in zip(names, fused, strict=True):
        if name in read:
            np.testing.assert_array_equal(a, read[name], err_msg=name)


def averaged(dilated: bool = False, int8: bool = False, read_twice: bool = False) -> onnx.ModelProto:
    net = QdqNet((1, 2, 6, 6))
    attrs = {"dilations": [2, 2]} if dilated else {}
    pooled = net.op("AveragePool", net.snap("x", dtype=np.uint8), kernel_shape=[2, 2], **attrs)
    out = net.snap(pooled, dtype=np.int8 if int8 else np.uint8)
    return net.model(out, *([pooled] if read_twice else []))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"dilated": True}, "onnxruntime has no integer average with dilations"),
        ({"int8": True}, "no such kernel from one type of integers to another"),
        ({"read_twice": True}, "ONNX has no integer average that rescales"),
    ],
)
def test_what_has_no_kernel_stays_and_is_said(given: dict[str, bool], reason: str) -> None:
    graph = from_model(averaged(**given))
    assert not FOLD(graph)
    assert [reason in found.reason for found in state_of(graph).declined] == [True]
    assert [node.op for node in graph.nodes if node.op == "AveragePool"]


def test_an_addition_with_a_real_operand_stays() -> None:
    net = QdqNet((1, 2, 4, 4))
    model = net.model(net.snap(net.op("Add", net.snap("x"), net.op("Sigmoid", "x"))))
    graph = from_model(model)
    assert not FOLD(graph)
    assert [found.reason for found in state_of(graph).declined] == ["not all its operands are quantized"]
