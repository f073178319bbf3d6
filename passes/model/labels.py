"""What converters of classical machine learning put behind a network: labels, maps of probabilities.

Of a scikit-learn network the layers are standard operators; looking up the name of a class is not.
"""

from __future__ import annotations

import onnx

from passes.model.external_data import all_nodes

ML_DOMAIN = "ai.onnx.ml"


def drop_labels(model: onnx.ModelProto) -> list[str]:
    """Drop outputs that ``ai.onnx.ml`` operators make of what the network computes.

    A ZipMap names probabilities, so what it reads is an output in its place, if it is none already.
    Nothing is changed where all outputs depend on other such operators.

    Args:
        model: Changed in place, its functions inlined.

    Returns:
        The names of the outputs that were dropped.
    """
    graph = model.graph
    named = {
        node.output[0]: node.input[0] for node in graph.node if _is_ml(node) and node.op_type == "ZipMap"
    }
    made: set[str] = set()
    for node in graph.node:
        if _is_ml(node) or made.intersection(node.input):
            made.update(node.output)
    outputs: dict[str, onnx.ValueInfoProto] = {t.name: t for t in graph.output if t.name not in made}
    for output in graph.output:
        source = named.get(output.name)
        if source is not None and source not in made:
            outputs.setdefault(source, onnx.ValueInfoProto(name=source))
    dropped = [t.name for t in graph.output if t.name in made]
    if not dropped or not outputs:
        return []
    kept = [_copied(value) for value in outputs.values()]
    del graph.output[:]
    graph.output.extend(kept)
    needed = set(outputs)
    left = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            left.append(_copied_node(node))
            needed.update(node.input)
            needed.update(name for body in _bodies(node) for inner in all_nodes(body) for name in inner.input)
    del graph.node[:]
    graph.node.extend(reversed(left))
    return dropped


def _is_ml(node: onnx.NodeProto) -> bool:
    return node.domain == ML_DOMAIN


def _bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [body for a in node.attribute for body in (a.g, *a.graphs)]


def _copied(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(value)
    return copy


def _copied_node(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy
