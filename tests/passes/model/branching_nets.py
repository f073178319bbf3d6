"""Early exits as others write them: an If whose bodies are the two ways on."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.passes.net_builder import NetBuilder

CLASSES = 3


def _body(name: str, nodes: list[onnx.NodeProto], output: str) -> onnx.GraphProto:
    made = helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, CLASSES])
    return helper.make_graph(nodes, name, [], [made])


def _exit(net: NetBuilder, x: str, channels: int) -> str:
    pooled = net.op("Flatten", net.op("GlobalMaxPool", x))
    return net.op("Gemm", pooled, net.normal(CLASSES, channels), net.normal(CLASSES), transB=1)


def _condition(net: NetBuilder, logits: str, kind: str) -> str:
    top = net.op("ReduceMax", net.op("Softmax", logits, axis=1), net.const([1], np.int64), keepdims=0)
    if kind == "less":
        return net.op("Less", top, net.const([0.5]))
    sure = net.op("Greater", top, net.const([0.5]))
    if kind == "and":
        return net.op("And", sure, net.op("Greater", net.op("ReduceMax", logits, keepdims=0), net.const(0.0)))
    return sure


def branching(kind: str = "greater", exits: int = 1) -> onnx.ModelProto:
    """Return a network of ``exits`` nested Ifs; the condition is ``greater``, ``less`` or ``and``."""
    net = NetBuilder((1, 2, 8, 8))
    starts, ways = [], []
    x, channels = "x", 2
    for number in range(exits):
        starts.append(len(net.nodes))
        x = net.op("Relu", net.conv(x, channels, 4))
        channels = 4
        logits = _exit(net, x, 4)
        ways.append((logits, _condition(net, logits, kind), f"if_{number}"))
    starts.append(len(net.nodes))
    x = net.op("Relu", net.conv(x, 4, 4))
    result, nodes = _exit(net, x, 4), net.nodes[starts[-1] :]
    for number in reversed(range(exits)):
        logits, condition, name = ways[number]
        same = helper.make_node("Identity", [logits], [f"{name}_same"])
        leave, go_on = _body("leave", [same], f"{name}_same"), _body("go_on", nodes, result)
        bodies = {"then_branch": leave, "else_branch": go_on}
        if kind == "less":
            bodies = {"then_branch": go_on, "else_branch": leave}
        result = f"{name}_out"
        branch = helper.make_node("If", [condition], [result], name=name, **bodies)
        nodes = [*net.nodes[starts[number] : starts[number + 1]], branch]
    net.nodes = nodes
    return _model(net, result)


def _model(net: NetBuilder, result: str) -> onnx.ModelProto:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, net.shape)
    made = helper.make_tensor_value_info(result, TensorProto.FLOAT, [1, CLASSES])
    graph = helper.make_graph(net.nodes, "net", [given], [made], net.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def flat(exits: int = 1) -> onnx.ModelProto:
    """Return the same layers without Ifs, each exit an output."""
    net = NetBuilder((1, 2, 8, 8))
    x, channels, outputs = "x", 2, []
    for _ in range(exits):
        x = net.op("Relu", net.conv(x, channels, 4))
        channels = 4
        outputs.append(_exit(net, x, 4))
        _condition(net, outputs[-1], "greater")
        del net.nodes[-3:]
    x = net.op("Relu", net.conv(x, 4, 4))
    return net.model(*outputs, _exit(net, x, 4))


def both_compute() -> onnx.ModelProto:
    """Return a network whose If has a layer with weights in both its bodies."""
    net = NetBuilder((1, 2, 8, 8))
    x = net.op("Relu", net.conv("x", 2, 4))
    condition = net.op("Greater", net.op("ReduceMax", x, keepdims=0), net.const(0.5))
    first, bodies = len(net.nodes), {}
    for name in ("then_branch", "else_branch"):
        logits = _exit(net, x, 4)
        bodies[name] = _body(name, net.nodes[first:], logits)
        del net.nodes[first:]
    net.nodes.append(helper.make_node("If", [condition], ["out"], name="choice", **bodies))
    return _model(net, "out")


def not_the_outputs() -> onnx.ModelProto:
    """Return a network that computes on with what its If gives."""
    model = branching()
    model.graph.node.append(helper.make_node("Relu", ["if_0_out"], ["behind"], name="behind"))
    model.graph.output[0].name = "behind"
    return model
