"""Early exits as others write them: an If whose bodies are the two ways on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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


def _number(net: NetBuilder, logits: str, kind: str) -> str:
    """Return the condition ``kind`` of some logits."""
    return CONDITIONS[kind].build(net, logits)


def _probable(net: NetBuilder, logits: str) -> str:
    return net.op("Softmax", logits, axis=1)


def _top(net: NetBuilder, logits: str) -> str:
    return net.op("ReduceMax", _probable(net, logits), net.const([1], np.int64), keepdims=0)


def _log_top(net: NetBuilder, logits: str) -> str:
    return net.op("ReduceMax", net.op("LogSoftmax", logits, axis=1), keepdims=0)


def _sorted(net: NetBuilder, logits: str, *picks: int) -> list[str]:
    """Return the picked of the sorted probabilities, each one number."""
    first = net.op("TopK", _probable(net, logits), net.const([3], np.int64), axis=1)
    net.nodes[-1].output.append(f"{first}_classes")
    row = net.op("Gather", first, net.const(0, np.int64), axis=0)
    return [net.op("Gather", row, net.const(pick, np.int64), axis=0) for pick in picks]


def _plogp(net: NetBuilder, logits: str, logarithm: str = "Log") -> str:
    probable = _probable(net, logits)
    if logarithm == "Log":
        logarithms = net.op("Log", net.op("Add", probable, net.const(1e-9)))
    else:
        logarithms = net.op("LogSoftmax", logits, axis=1)
    return net.op("Mul", probable, logarithms)


def _entropy(net: NetBuilder, logits: str, logarithm: str = "Log") -> str:
    total = net.op("ReduceSum", _plogp(net, logits, logarithm), net.const([1], np.int64), keepdims=0)
    return net.op("Neg", total)


def _margin(net: NetBuilder, logits: str) -> str:
    return net.op("Sub", *_sorted(net, logits, 0, 1))


def _signed_margin(net: NetBuilder, logits: str) -> str:
    """As nested networks of this compiler have it."""
    first = net.op("TopK", _probable(net, logits), net.const([2], np.int64), axis=1)
    net.nodes[-1].output.append(f"{first}_classes")
    signed = net.op("Mul", first, net.const([[1, -1]]))
    return net.op("ReduceSum", signed, net.const([1], np.int64), keepdims=0)


def _compared(
    op: str, number: Callable[[NetBuilder, str], str], limit: float, mirrored: bool = False
) -> Callable[[NetBuilder, str], str]:
    def build(net: NetBuilder, logits: str) -> str:
        pair = [number(net, logits), net.const(limit)]
        return net.op(op, *(reversed(pair) if mirrored else pair))

    return build


def _behind(build: Callable[[NetBuilder, str], str], *ops: str) -> Callable[[NetBuilder, str], str]:
    def behind(net: NetBuilder, logits: str) -> str:
        found = build(net, logits)
        for op in ops:
            found = net.op("Cast", found, to=int(op)) if op.isdigit() else net.op(op, found)
        return found

    return behind


def _with(op: str, build: Callable[[NetBuilder, str], str], by: float, mirrored: bool = False) -> Any:
    return _compared(op, build, by, mirrored)


def _both(net: NetBuilder, logits: str) -> str:
    sure = net.op("Greater", _top(net, logits), net.const([0.7]))
    return net.op("And", sure, net.op("Greater", net.op("ReduceMax", logits, keepdims=0), net.const(0.0)))


@dataclass(frozen=True)
class Asked:
    """A condition that others write.

    Attributes:
        build: Makes it of logits.
        rule: The confidence rule it is; empty: of none.
        threshold: The confidence from which on it leaves, as a real number.
        leaves_if: What it is where an input leaves.
    """

    build: Callable[[NetBuilder, str], str]
    rule: str = ""
    threshold: float = 0.0
    leaves_if: bool = True


INT32, BOOL = str(TensorProto.INT32), str(TensorProto.BOOL)
CONDITIONS: dict[str, Asked] = {
    "greater": Asked(_compared("Greater", _top, 0.7), "max_softmax", 0.7),
    "greater_or_equal": Asked(_compared("GreaterOrEqual", _top, 0.7), "max_softmax", 0.7),
    "less": Asked(_compared("Less", _top, 0.7), "max_softmax", 0.7, False),
    "less_or_equal": Asked(_compared("LessOrEqual", _top, 0.7), "max_softmax", 0.7, False),
    "constant_first": Asked(_compared("Less", _top, 0.7, mirrored=True), "max_softmax", 0.7),
    "not": Asked(_behind(_compared("Less", _top, 0.7), "Not"), "max_softmax", 0.7),
    "not_swapped": Asked(_behind(_compared("Greater", _top, 0.7), "Not"), "max_softmax", 0.7, False),
    "cast": Asked(_behind(_compared("Greater", _top, 0.7), INT32, BOOL), "max_softmax", 0.7),
    "squeezed": Asked(_behind(_compared("Greater", _top, 0.7), "Squeeze"), "max_softmax", 0.7),
    "all_of_one": Asked(
        _behind(_compared("Greater", _top, 0.7), INT32, "ReduceMin", BOOL), "max_softmax", 0.7
    ),
    "any_of_one": Asked(
        _compared("Greater", _behind(_compared("Greater", _top, 0.7), "1", "ReduceSum"), 0.0),
        "max_softmax", 0.7,
    ),
    "error": Asked(_compared("Less", _with("Sub", _top, 1.0, mirrored=True), 0.3), "max_softmax", 0.7),
    "percent": Asked(_compared("Greater", _with("Mul", _top, 100.0), 70.0), "max_softmax", 0.7),
    "logarithm": Asked(_compared("Greater", _behind(_top, "Log"), np.log(0.7)), "max_softmax", 0.7),
    "log_softmax": Asked(_compared("Greater", _log_top, np.log(0.7)), "max_softmax", 0.7),
    "first_of_sorted": Asked(_compared("Greater", lambda n, z: _sorted(n, z, 0)[0], 0.7), "max_softmax", 0.7),
    "margin": Asked(_compared("Greater", _margin, 0.5), "margin", 0.5),
    "margin_turned": Asked(_compared("Less", _behind(_margin, "Neg"), -0.5), "margin", 0.5),
    "margin_of_signs": Asked(_compared("GreaterOrEqual", _signed_margin, 0.5), "margin", 0.5),
    "entropy": Asked(_compared("Less", _entropy, 0.7), "entropy", -0.7),
    "entropy_swapped": Asked(_compared("GreaterOrEqual", _entropy, 0.7), "entropy", -0.7, False),
    "entropy_of_log_softmax": Asked(_compared("Less", lambda n, z: _entropy(n, z, ""), 0.7), "entropy", -0.7),
    "entropy_in_bits": Asked(
        _compared("LessOrEqual", _with("Div", _entropy, float(np.log(2))), 1.0), "entropy", -np.log(2)
    ),
    "mean_of_entropy": Asked(
        _compared("Greater", lambda n, z: n.op("ReduceMean", _plogp(n, z), keepdims=0), -0.2), "entropy", -0.6
    ),
}  # fmt: skip
# What compares a number with a constant that is no confidence of the logits, and what compares none.
OTHER_NUMBERS: dict[str, Asked] = {
    "largest_logit": Asked(_compared("Greater", lambda n, z: n.op("ReduceMax", z, keepdims=0), 0.5)),
    "margin_of_logits": Asked(
        _compared("Greater", lambda n, z: n.op("ReduceSum", n.op("Abs", z), keepdims=0), 0.5)
    ),
    "hot": Asked(_compared("Greater", lambda n, z: _top(n, n.op("Mul", z, n.const(0.5))), 0.7)),
    "last_of_sorted": Asked(_compared("Less", lambda n, z: _sorted(n, z, 2)[0], 0.2)),
    "unsure": Asked(_compared("Less", _top, 0.7)),
}
OTHERS: dict[str, Asked] = {"and": Asked(_both)}
CONDITIONS |= OTHER_NUMBERS | OTHERS


def branching(kind: str = "greater", exits: int = 1) -> onnx.ModelProto:
    """Return a network of ``exits`` nested Ifs; the condition is one of ``CONDITIONS``."""
    net = NetBuilder((1, 2, 8, 8))
    starts, ways = [], []
    x, channels = "x", 2
    for number in range(exits):
        starts.append(len(net.nodes))
        x = net.op("Relu", net.conv(x, channels, 4))
        channels = 4
        logits = _exit(net, x, 4)
        ways.append((logits, _number(net, logits, kind), f"if_{number}"))
    starts.append(len(net.nodes))
    x = net.op("Relu", net.conv(x, 4, 4))
    result, nodes = _exit(net, x, 4), net.nodes[starts[-1] :]
    for number in reversed(range(exits)):
        logits, condition, name = ways[number]
        same = helper.make_node("Identity", [logits], [f"{name}_same"])
        leave, go_on = _body("leave", [same], f"{name}_same"), _body("go_on", nodes, result)
        bodies = {"then_branch": leave, "else_branch": go_on}
        if not CONDITIONS[kind].leaves_if:
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
        _number(net, outputs[-1], "greater")
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


def with_behind(model: onnx.ModelProto, *ops: str) -> onnx.ModelProto:
    """Return ``model`` with nodes behind what its If gives."""
    last = model.graph.output[0].name
    for number, op in enumerate(ops):
        attributes: dict[str, Any] = {"axis": 1} if op in ("Softmax", "ArgMax") else {}
        attributes |= {"keepdims": 0} if op == "ArgMax" else {}
        attributes |= {"to": TensorProto.INT32} if op == "Cast" else {}
        model.graph.node.append(
            helper.make_node(op, [last], [f"behind_{number}"], name=f"behind_{number}", **attributes)
        )
        last = f"behind_{number}"
        if op in ("ArgMax", "Cast"):
            kind = TensorProto.INT64 if op == "ArgMax" else TensorProto.INT32
            model.graph.output[0].CopyFrom(helper.make_tensor_value_info(last, kind, [1]))
    model.graph.output[0].name = last
    return model


def head_inside() -> onnx.ModelProto:
    """Return a network whose head is computed in front of the If and again in the body that leaves."""
    model = branching()
    (node,) = [node for node in model.graph.node if node.op_type == "If"]
    (gemm,) = [node for node in model.graph.node if node.op_type == "Gemm"]
    body = node.attribute[0].g if node.attribute[0].name == "then_branch" else node.attribute[1].g
    again = helper.make_node("Gemm", list(gemm.input), ["again"], name="again", transB=1)
    del body.node[:]
    body.node.append(again)
    body.output[0].name = "again"
    return model


def gated(weights: bool) -> onnx.ModelProto:
    """Return a network with a head and the rest in the bodies of an If; its gate has weights or none."""
    net = NetBuilder((1, 2, 8, 8))
    x = net.op("Relu", net.conv("x", 2, 4))
    pooled = net.op("Flatten", net.op("GlobalMaxPool", x))
    if weights:
        pooled = net.op("Gemm", pooled, net.normal(1, 4), transB=1)
    condition = net.op("Greater", net.op("ReduceMax", pooled, keepdims=0), net.const(0.5))
    first, bodies = len(net.nodes), {}
    for name in ("then_branch", "else_branch"):
        deep = x if name == "then_branch" else net.op("Relu", net.conv(x, 4, 4))
        logits = _exit(net, deep, 4)
        bodies[name] = _body(name, net.nodes[first:], logits)
        del net.nodes[first:]
    net.nodes.append(helper.make_node("If", [condition], ["out"], name="choice", **bodies))
    return _model(net, "out")


def skips_a_block() -> onnx.ModelProto:
    """Return a network that skips a convolution where it is sure, and has layers behind."""
    net = NetBuilder((1, 2, 8, 8))
    x = net.op("Relu", net.conv("x", 2, 4))
    condition = net.op("Greater", net.op("ReduceMax", x, keepdims=0), net.const(0.5))
    first = len(net.nodes)
    deep = net.op("Relu", net.conv(x, 4, 4))
    bodies = {}
    for name, nodes, result in (
        ("then_branch", [helper.make_node("Identity", [x], ["same"], name="same")], "same"),
        ("else_branch", net.nodes[first:], deep),
    ):
        made = helper.make_tensor_value_info(result, TensorProto.FLOAT, [1, 4, 8, 8])
        bodies[name] = helper.make_graph(nodes, name, [], [made])
    del net.nodes[first:]
    net.nodes.append(helper.make_node("If", [condition], ["block"], name="choice", **bodies))
    return _model(net, _exit(net, "block", 4))


def settled(kind: str) -> onnx.ModelProto:
    """Return a network one of whose bodies always runs; ``constant``, by a ``shape``, or ``nested``."""
    net = NetBuilder((1, 2, 8, 8))
    x = net.op("Relu", net.conv("x", 2, 4))
    if kind == "constant":
        condition = net.op("Not", net.const(False, np.bool_))
    else:
        length = net.op("Gather", net.op("Shape", x), net.const(1, np.int64))
        condition = net.op("Equal", length, net.const(4, np.int64))
    first = len(net.nodes)
    logits = _exit(net, x, 4)
    inner = net.nodes[first:]
    del net.nodes[first:]
    wrong = net.op("Gemm", net.op("Flatten", x), net.normal(CLASSES, 256), transB=1)
    others = net.nodes[first:]
    del net.nodes[first:]
    bodies = {"then_branch": _body("right", inner, logits), "else_branch": _body("wrong", others, wrong)}
    if kind == "nested":
        again = helper.make_node("If", [condition], ["again"], name="again", **bodies)
        bodies = {"then_branch": _body("outer", [again], "again"), "else_branch": _body("no", others, wrong)}
    net.nodes.append(helper.make_node("If", [condition], ["out"], name="choice", **bodies))
    return _model(net, "out")


def no_ways() -> onnx.ModelProto:
    """Return a network that chooses between two views of what it has computed."""
    net = NetBuilder((1, 2, 8, 8))
    logits = _exit(net, "x", 2)
    condition = net.op("Greater", net.op("ReduceMax", logits, keepdims=0), net.const(0.5))
    bodies = {
        name: _body(name, [helper.make_node(op, [logits], [f"{op}_out"], name=op)], f"{op}_out")
        for name, op in (("then_branch", "Neg"), ("else_branch", "Abs"))
    }
    net.nodes.append(helper.make_node("If", [condition], ["out"], name="choice", **bodies))
    return _model(net, "out")


SCAN: dict[str, Any] = {"num_scan_inputs": 1, "scan_input_axes": [1]}


def looped(op: str, rounds: int | None) -> onnx.ModelProto:
    """Return a network that multiplies by the same weights several times; ``None``: until it is enough."""
    net = NetBuilder((1, 4) if op == "Loop" else (1, 5, 4))
    weights, enough = net.normal(4, 4), net.const(100.0)
    state, flag = helper.make_tensor_value_info, TensorProto.BOOL
    nodes = [helper.make_node("MatMul", ["v", weights], ["vo"], name="product")]
    given, made = [state("v", TensorProto.FLOAT, [1, 4])], [state("vo", TensorProto.FLOAT, [1, 4])]
    if op == "Scan":
        nodes.append(helper.make_node("Add", ["vo", "row"], ["so"], name="sum"))
        given.append(state("row", TensorProto.FLOAT, [1, 4]))
        made.append(state("so", TensorProto.FLOAT, [1, 4]))
        body = helper.make_graph(nodes, "body", given, made)
        inputs, outputs, attributes = [net.const(np.ones((1, 4))), "x"], ["last", "all"], SCAN
    else:
        keeps = [helper.make_node("Identity", ["go"], ["on"], name="on")]
        if rounds is None:
            most = helper.make_node("ReduceMax", ["vo"], ["most"], name="most", keepdims=0)
            keeps = [most, helper.make_node("Less", ["most", enough], ["on"], name="on")]
        given = [state("i", TensorProto.INT64, []), state("go", flag, []), *given]
        body = helper.make_graph([*nodes, *keeps], "body", given, [state("on", flag, []), *made])
        count, start = net.const(rounds or 9, np.int64), net.const(True, np.bool_)
        inputs, outputs, attributes = [count, start, "x"], ["last"], {}
    net.nodes.append(helper.make_node(op, inputs, outputs, name="rounds", body=body, **attributes))
    model = _model(net, "last")
    model.graph.output[0].CopyFrom(state("last", TensorProto.FLOAT, [1, 4]))
    return model
