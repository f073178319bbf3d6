"""Files and protobufs to graphs; with ``writing`` the only place in the passes that touches protobuf.

A loaded graph is at opset 21 with batch 1 and static shapes on every tensor. Models whose weights
are absent (only their shapes are known) get zero-stride constants of ones and ``state.symbolic``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import helper, numpy_helper
from onnx_graphsurgeon.logger import G_LOGGER

from passes import precision
from passes.confidence import MAX_SOFTMAX, RULES, rule_with
from passes.errors import InputError
from passes.heads.designs import HeadDesign, parse_head
from passes.model import constants, float_types, loading, runtime_operators, structure
from passes.model import symbolic as symbolic_weights
from passes.model.bodies import merge_clips
from passes.model.control_flow import lay_out_exit
from passes.model.empty_tensors import drop_empty_tensors
from passes.model.external_data import all_nodes, load_external
from passes.model.in_memory import ModelInMemory, Network
from passes.model.settled import settle_ifs
from passes.model.training_mode import leave_training
from passes.state import Exit, decline, state_of

EXITS_KEY = "eecompile.exits"
SOFTMAX_KEY = "eecompile.softmax"
ORIGIN_KEY = "eecompile.origin"
LAYER_KEY = "eecompile.layer"
PRECISION_KEY = "eecompile.precision"
_FEW = 1 << 16
LOADED = "load"
_COUNTED_BY_DATA = {"NonMaxSuppression", "NonZero", "Unique", "Compress"}
"""Under this name stands what was read otherwise than it is written in the file."""

Decoded = TypeVar("Decoded")
Recorded = TypeVar("Recorded")

G_LOGGER.severity = G_LOGGER.CRITICAL  # its warnings are about its own terminal colours
_DROPPED_KEYS = ("pkg.torch", "namespace")


def load(path: str | Network) -> gs.Graph:
    """Load an ONNX file, or one in memory, as a graph with batch 1; see the module docstring.

    Raises:
        InputError: For everything a model file can have wrong, with the fix.
    """
    if isinstance(path, ModelInMemory):
        model = loading.parse_model(path.data, str(path))
        return _import(model, str(path), load_external(model, None))
    path = Path(path)
    model, missing = loading.read_model(path)
    return _import(model, path.name, missing)


def from_model(model: onnx.ModelProto, where: str = "the model") -> gs.Graph:
    """Make a graph from a ModelProto in memory; the proto is not changed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return _import(copy, where, missing=False)


def _import(model: onnx.ModelProto, where: str, missing: bool) -> gs.Graph:
    structure.check_text(model, where)
    runtime_operators.as_standard(model, ORIGIN_KEY)
    model, labels = loading.check_operators(model, where)
    loading.check_order(model, where)
    loading.check_values(model, where)
    symbolic = symbolic_weights.declare_absent_weights(model, where) or missing
    floats = float_types.as_float32(model)
    node_info = [_node_info(node) for node in model.graph.node]
    loading.fix_batch(model, where)
    trained = leave_training(model, symbolic, where)
    weights = loading.set_aside_weights(model)
    model = loading.convert(model, where)
    structure.check_structure(model, loading.OPSET, loading.IR_VERSION, where)
    _name_nodes(model, node_info)
    _drop_empty_lists(model)
    _write_axes(model)
    model = loading.infer(model, where)
    structure.check_tensors(model, where)
    loading.put_weights_back(model, weights)
    graph = gs.import_onnx(model)
    graph.ir_version = loading.IR_VERSION
    _read_state(graph, model, symbolic, where)
    for name in floats:
        reason = "read as float32: what is computed with is said by the target"
        decline(graph, LOADED, f"tensors in {name}", reason)
    if symbolic:
        symbolic_weights.fill(graph)
    _lay_out_ifs(graph)
    _check_rules(state_of(graph).exits, graph, where)
    _resolve_shapes(graph)
    drop_empty_tensors(graph, where)
    _check_shapes(graph, where)
    _check_views(graph, where)
    _check_channels(graph, where)
    _scale_channels(graph, where)
    tidy(graph)
    for name in labels:
        decline(graph, LOADED, name, "a label or a map made behind the network: the output is dropped")
    for name in trained:
        decline(graph, LOADED, name, "its node is in training mode: costed as if in evaluation mode")
    return graph


def _lay_out_ifs(graph: gs.Graph) -> None:
    """Lay out each ``If`` whose condition is known, and those that are early exits."""
    state = state_of(graph)
    while settle_ifs(graph, graph.opset):
        tidy(graph)
        infer_shapes(graph)
    written = {tensor.name for tensor in graph.outputs}
    if all(item.output in written for item in state.exits) and state.exits:
        return
    _resolve_shapes(graph)
    while lay_out_exit(graph, LOADED):
        tidy(graph)
        infer_shapes(graph)
        _resolve_shapes(graph)
    if state.leavings and len(state.exits) == len(graph.outputs):  # nested by this compiler: it says more
        pairs = zip(state.exits, graph.outputs, strict=True)
        state.exits, state.leavings = [replace(e, output=t.name) for e, t in pairs], []
        merge_clips(graph)
        tidy(graph)


def _node_info(node: onnx.NodeProto) -> dict[str, str]:
    return {p.key: p.value for p in node.metadata_props}


def _write_axes(model: onnx.ModelProto) -> None:
    """Write the axes that MeanVarianceNormalization has by default: onnx fails on the node without them."""
    for node in all_nodes(model.graph):
        if node.op_type == "MeanVarianceNormalization" and not node.attribute:
            node.attribute.append(helper.make_attribute("axes", [0, 2, 3]))


def _drop_empty_lists(model: onnx.ModelProto) -> None:
    """Drop attributes that are lists of nothing: graphs cannot hold them, and they say nothing."""
    for node in all_nodes(model.graph):
        lists = (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS, onnx.AttributeProto.STRINGS)
        kept = [a for a in node.attribute if a.type not in lists or a.ints or a.floats or a.strings]
        if len(kept) < len(node.attribute) and node.op_type != "Constant":
            del node.attribute[:]
            node.attribute.extend(kept)


def _name_nodes(model: onnx.ModelProto, info: list[dict[str, str]]) -> None:
    """Give every node a unique name; the converter keeps order, so metadata is matched by position."""
    same = len(info) == len(model.graph.node)
    given = {node.name for node in all_nodes(model.graph)}
    taken: set[str] = set()
    counts: dict[str, int] = {}
    for index, node in enumerate(model.graph.node):
        name = node.name
        while not name or name in taken:
            number = counts.get(node.op_type, 0)
            counts[node.op_type] = number + 1
            name = f"{node.op_type.lower()}_{number}"
            name = "" if name in given else name  # it belongs to a node the user named
        node.name = name
        taken.add(name)
        del node.metadata_props[:]
        if same:
            for key, value in info[index].items():
                node.metadata_props.add(key=key, value=value)


def _read_state(graph: gs.Graph, model: onnx.ModelProto, symbolic: bool, where: str) -> None:
    state = state_of(graph)
    state.symbolic = symbolic
    metadata = {p.key: p.value for p in model.metadata_props}
    exits = metadata.pop(EXITS_KEY, "")
    state.softmax = metadata.pop(SOFTMAX_KEY, "false") == "true"
    state.metadata = {k: v for k, v in metadata.items() if not k.startswith(_DROPPED_KEYS)}
    if exits:
        state.exits = _decode(EXITS_KEY, exits, where, lambda found: _exits(found, where))
    for node in all_nodes(model.graph):
        info = _node_info(node)
        origin = info.get(ORIGIN_KEY)
        state.origins[node.name] = (
            (node.name,) if origin is None else _decode(ORIGIN_KEY, origin, where, _names)
        )
        if LAYER_KEY in info:
            state.layers[node.name] = info[LAYER_KEY]
        if PRECISION_KEY in info:
            found = _decode(PRECISION_KEY, info[PRECISION_KEY], where, precision.from_json)
            state.precisions[node.name] = found


def _decode(key: str, text: str, where: str, build: Callable[[Any], Decoded]) -> Decoded:
    try:
        return build(json.loads(text))
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise InputError(f"{where}: metadata '{key}' is damaged: {error}", "write the model again") from error


def _names(found: Any) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ValueError(f"expected a list of names, got {str(found)[:40]!r}")
    return tuple(found)


def _exits(found: list[dict[str, Any]], where: str) -> list[Exit]:
    """Read the exits; one may read those before it alone."""
    exits = [_exit(entry, where) for entry in found]
    for number, item in enumerate(exits):
        if item.reads and item.reads not in [e.name for e in exits[:number]]:
            raise ValueError(f"exit '{item.name}' reads '{item.reads}', which is no exit before it")
    return exits


def _exit(entry: dict[str, Any], where: str) -> Exit:
    """Read one exit; what a file of an earlier version leaves out is as it was then."""
    rule, head = entry.pop("confidence", MAX_SOFTMAX.name), entry.pop("head", "")
    parameters = dict(entry.pop("confidence_parameters", {}))
    made = Exit(**entry)
    _names([made.name, made.mount, made.output, made.reads, rule, head])
    subject = f"{where}: exit '{made.name}'"
    _recorded(RULES, rule, f"{subject} records the confidence rule")
    threshold = None if made.threshold is None else float(made.threshold)
    with _said_of(subject):
        confidence = rule_with(rule, parameters)
        if threshold is not None and (wrong := confidence.wrong_threshold(threshold)):
            raise InputError(wrong, "choose thresholds again: `eecompile run` on images does")
    return replace(
        made,
        threshold=threshold,
        confidence=confidence,
        head=_head(head, subject) if head else None,
    )


def _head(text: str, subject: str) -> HeadDesign:
    try:
        return parse_head(text)
    except InputError as error:
        raise InputError(
            f"{subject} records the head '{text}', which is not known: {error.message}",
            "use the version of eecompile that wrote the file",
        ) from error


def _check_rules(exits: Sequence[Exit], graph: gs.Graph, where: str) -> None:
    """Check that parameters of confidence rules fit the number of classes, if logits are outputs."""
    classes = {t.name: t.shape[-1] for t in graph.outputs if t.shape}
    for item in exits:
        if item.output in classes:
            with _said_of(f"{where}: exit '{item.name}'"):
                item.confidence.check(int(classes[item.output]))


@contextmanager
def _said_of(subject: str) -> Iterator[None]:
    """Let errors say of what they speak."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{subject}: {error.message}", error.hint) from None


def _recorded(known: Mapping[str, Recorded], name: str, what: str) -> Recorded:
    if name not in known:
        raise InputError(
            f"{what} '{name}', which is not known (known: {', '.join(sorted(known))})",
            "use the version of eecompile that wrote the file",
        )
    return known[name]


def _resolve_shapes(graph: gs.Graph) -> None:
    """Compute constants that shapes depend on: PyTorch writes pads and targets as little programs."""
    unknown = _without_shape(graph)
    while unknown:
        _fold_small_constants(graph)
        tidy(graph)
        infer_shapes(graph)
        left = _without_shape(graph)
        if len(left) >= len(unknown):
            return
        unknown = left


def _fold_small_constants(graph: gs.Graph) -> None:
    """Compute what follows from few numbers; weights are nothing that shapes depend on."""
    outputs = {id(t) for t in graph.outputs}
    for node in graph.nodes:
        count = sum(int(np.prod(t.shape)) for t in node.inputs if isinstance(t, gs.Constant))
        if not constants.is_known(node) or count > _FEW or any(id(t) in outputs for t in node.outputs):
            continue
        found = constants.evaluated(node, graph.opset, state_of(graph).symbolic)
        if found is None:
            continue  # the shape stays unknown, which is told
        for tensor, values in zip(node.outputs, found, strict=True):
            known = gs.Constant(tensor.name, values)
            for reader in list(tensor.outputs):
                reader.inputs = [known if read is tensor else read for read in reader.inputs]
        node.inputs.clear()
        node.outputs.clear()


def _without_shape(graph: gs.Graph) -> list[tuple[gs.Node, gs.Tensor]]:
    """Return node and output for every tensor whose shape is not static; optional outputs may be left out."""
    return [
        (node, tensor)
        for node in graph.nodes
        for tensor in node.outputs
        if not tensor.is_empty()
        if tensor.shape is None or any(not isinstance(d, int) or d < 0 for d in tensor.shape)
    ]


def _check_shapes(graph: gs.Graph, where: str) -> None:
    for node, tensor in _without_shape(graph):
        if node.op in _COUNTED_BY_DATA:
            raise InputError(
                f"{where}: how many results {node.op} '{node.name}' has depends on the image",
                "export the network up to it: what is behind it is no work of an accelerator",
            )
        raise InputError(
            f"{where}: '{tensor.name}' (from {node.op} '{node.name}') has no static shape: {tensor.shape}",
            "export the model with fixed shapes, or simplify it with onnxsim first",
        )


def _check_channels(graph: gs.Graph, where: str) -> None:
    """Refuse weights of another depth than their input, which ONNX's shape inference lets pass."""
    for node in graph.nodes:
        if node.op not in ("Conv", "Gemm"):
            continue
        data, weight = list(node.inputs[0].shape), list(node.inputs[1].shape)
        if node.op == "Conv":
            have, need = data[1], weight[1] * int(node.attrs.get("group", 1))
        else:
            have = data[0 if node.attrs.get("transA", 0) else 1]
            need = weight[1 if node.attrs.get("transB", 0) else 0]
        if have != need:
            raise InputError(
                f"{where}: shapes do not fit: {node.op} '{node.name}' reads {data} with weights {weight}",
                "export the model again",
            )


def _check_views(graph: gs.Graph, where: str) -> None:
    """Refuse a Reshape to another number of elements, which ONNX's shape inference lets pass."""
    for node in graph.nodes:
        if node.op != "Reshape":
            continue
        before, after = list(node.inputs[0].shape), list(node.outputs[0].shape)
        if math.prod(before) != math.prod(after):
            raise InputError(
                f"{where}: shapes do not fit: Reshape '{node.name}' makes {after} of {before}",
                "export the model again",
            )


def _scale_channels(graph: gs.Graph, where: str) -> None:
    """Give GroupNormalization a scale and bias per channel: before operator set 21 they were per group."""
    for node in graph.nodes:
        if node.op != "GroupNormalization":
            continue
        channels = int(node.inputs[0].shape[1])
        for index in (1, 2):
            given = node.inputs[index]
            if list(given.shape) == [channels]:
                continue
            if not isinstance(given, gs.Constant) or list(given.shape) != [int(node.attrs["num_groups"])]:
                raise InputError(
                    f"{where}: shapes do not fit: GroupNormalization '{node.name}' reads "
                    f"{list(node.inputs[0].shape)} with {list(given.shape)}",
                    f"export it again with opset {loading.OPSET}",
                )
            values = np.repeat(given.values, channels // int(node.attrs["num_groups"]))
            node.inputs[index] = constant(f"{given.name}_of_channels_{node.name}", values)


def tidy(graph: gs.Graph) -> None:
    """Drop what nothing uses and sort nodes topologically.

    The sort is stable: a node moves only to follow what it reads, so operators keep the order, and
    thereby the numbers in their short names, of the user's model. (The library's own sort orders
    by depth.)
    """
    graph.cleanup(remove_unused_graph_inputs=False)
    ordered: list[gs.Node] = []
    done: set[int] = set()
    for root in graph.nodes:
        stack = [root]
        while stack:
            node = stack[-1]
            if id(node) in done:
                stack.pop()
                continue
            waiting = [p for t in reads(node) for p in t.inputs if id(p) not in done]
            if waiting:
                stack.extend(reversed(waiting))
            else:
                stack.pop()
                done.add(id(node))
                ordered.append(node)
    graph.nodes = ordered


def reads(node: gs.Node) -> list[gs.Tensor]:
    """Return the inputs of a node and, for control flow, what its bodies read from outside."""
    bodies = list(node.subgraphs())
    if not bodies:
        return list(node.inputs)
    outer = [t for body in bodies for t in body.tensors().values() if t.inputs]
    inner = {id(n) for body in node.subgraphs(recursive=True) for n in body.nodes}
    return [*node.inputs, *(t for t in outer if id(t.inputs[0]) not in inner)]


def infer_shapes(graph: gs.Graph) -> None:
    """Refresh shape and dtype of every tensor in place, without serializing large weights."""
    proto = to_proto_for_shapes(graph)
    inferred = loading.infer(proto, "the graph")
    info = {v.name: v for v in [*inferred.graph.value_info, *inferred.graph.output]}
    for node in graph.nodes:
        for tensor in node.outputs:
            value = info.get(tensor.name)
            if value is not None:
                dims = value.type.tensor_type.shape.dim
                tensor.shape = [d.dim_value if d.HasField("dim_value") else d.dim_param for d in dims]
                tensor.dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)


def to_proto_for_shapes(graph: gs.Graph) -> onnx.ModelProto:
    """Export ``graph`` with large constants as inputs and intermediate shapes left out."""
    light = graph.copy()
    stand_ins: dict[str, gs.Variable] = {}
    for node in light.nodes:
        for index, tensor in enumerate(node.inputs):
            if isinstance(tensor, gs.Constant) and int(np.prod(tensor.shape)) > loading.LARGE:
                if tensor.name not in stand_ins:
                    stand_ins[tensor.name] = gs.Variable(tensor.name, tensor.dtype, list(tensor.shape))
                node.inputs[index] = stand_ins[tensor.name]
        for tensor in node.outputs:
            tensor.shape = None
    light.inputs.extend(stand_ins.values())
    model: onnx.ModelProto = gs.export_onnx(light, do_type_check=False, ir_version=loading.IR_VERSION)
    del model.graph.value_info[:]
    return model


def constant(name: str, values: np.ndarray[Any, Any]) -> gs.Constant:
    """Return a graph constant; keeps 4-bit and other packed types through their protobuf form."""
    if values.dtype.kind == "V" or values.dtype.itemsize == 0:
        return gs.Constant(name, gs.ir.tensor.LazyValues(numpy_helper.from_array(values)))
    return gs.Constant(name, values)
