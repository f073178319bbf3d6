"""Networks of the zoo with control flow: early exits and skipped blocks as others write them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.passes.net_builder import NetBuilder


def branching(kind: str) -> onnx.ModelProto:
    """Return a network with an If.

    Its kind: two nested ``exits``, ``labels`` behind them, ``heads`` in its bodies, a ``known`` condition, a
    ``block`` that is skipped with layers behind, a ``gate`` with weights.
    """
    net = NetBuilder((1, 4, 16, 16))
    x = net.op("Relu", net.conv("x", 4, 8))

    def logits(data: str, classes: int = 4) -> str:
        flat = net.op("Flatten", net.op("GlobalAveragePool", data))
        return net.op("Gemm", flat, net.normal(classes, 8), transB=1)

    def body(first: int, result: str, shape: list[int]) -> onnx.GraphProto:
        nodes = net.nodes[first:]
        if not nodes:
            nodes, result = [helper.make_node("Identity", [result], ["same"], name="same")], "same"
        del net.nodes[first:]
        made = helper.make_tensor_value_info(result, TensorProto.FLOAT, shape)
        return helper.make_graph(nodes, f"body_{first}", [], [made])

    def branch(data: str, depth: int) -> str:
        early = logits(data, 1 if kind == "gate" else 4)
        sure: str = net.op(
            "ReduceMax", net.op("Softmax", early, axis=1), net.const([1], np.int64), keepdims=0
        )
        if kind in ("block", "heads"):
            sure = net.op("ReduceMax", data, keepdims=0)
        leaves = net.op("Greater", sure, net.const(0.5)) if kind != "known" else net.const(True, np.bool_)
        first, shape = len(net.nodes), [1, 8, 16, 16] if kind == "block" else [1, 4]
        given = data if kind == "block" else logits(data) if kind in ("heads", "gate") else early
        then = body(first, given, shape)
        deep = net.op("Relu", net.conv(data, 8, 8))
        if kind != "block":
            deep = branch(deep, depth - 1) if depth > 1 else logits(deep)
        otherwise = body(first, deep, shape)
        made = f"if_{depth}_out"
        net.nodes.append(
            helper.make_node(
                "If", [leaves], [made], name=f"if_{depth}", then_branch=then, else_branch=otherwise
            )
        )
        return logits(made) if kind == "block" else made

    result = branch(x, 2 if kind in ("exits", "labels") else 1)
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, net.shape)
    made = helper.make_tensor_value_info(result, TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph(net.nodes, "net", [given], [made], net.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    if kind == "labels":
        return behind(model, "ArgMax", [result], TensorProto.INT64, axis=1, keepdims=0)
    return model


def rounds() -> onnx.ModelProto:
    """Return a network that is a Loop of three rounds."""
    net = NetBuilder((1, 16))
    weights = net.normal(16, 16)
    value = partial(helper.make_tensor_value_info, elem_type=TensorProto.FLOAT, shape=[1, 16])
    flag = partial(helper.make_tensor_value_info, elem_type=TensorProto.BOOL, shape=[])
    nodes = [helper.make_node("MatMul", ["v", weights], ["w"]), helper.make_node("Identity", ["go"], ["on"])]
    number = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    body = helper.make_graph(nodes, "body", [number, flag("go"), value("v")], [flag("on"), value("w")])
    start = [net.const(3, np.int64), net.const(True, np.bool_)]
    net.nodes.append(helper.make_node("Loop", [*start, "x"], ["y"], name="rounds", body=body))
    graph = helper.make_graph(net.nodes, "net", [value("x")], [value("y")], net.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def behind(
    model: onnx.ModelProto, op_type: str, inputs: list[str], elements: int, **attributes: Any
) -> onnx.ModelProto:
    """Put a node behind ``model`` whose result, of type ``elements``, is then the only output."""
    model.graph.node.append(helper.make_node(op_type, inputs, ["y"], name="last", **attributes))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("y", elements, None))
    return model
