"""Whether a model is built as ONNX demands: names are text, nodes are as their schemas say, outputs are made.

Shape inference and conversion take much of what is wrong here for granted, or for something else.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from google.protobuf.message import Message
from onnx import TensorProto, checker, helper

from passes.errors import InputError

_VALUES = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def check_text(model: onnx.ModelProto, where: str) -> None:
    """Refuse names that are no UTF-8: protobuf hands them out as bytes, or raises when they are looked at.

    Raises:
        InputError: There are some.
    """
    pending: list[Message] = [model]
    while pending:
        message = pending.pop()
        try:
            fields = message.ListFields()
            for field, value in fields:
                # what tells whether a field is repeated has another name in each protobuf
                values = [value] if isinstance(value, str | bytes | Message) else value
                if field.type == field.TYPE_MESSAGE:
                    pending.extend(values)
                elif field.type == field.TYPE_STRING and not all(isinstance(text, str) for text in values):
                    raise ValueError(field.name)
        except ValueError:
            raise InputError(
                f"{where} holds names that are no text", "the file is damaged: copy or export it again"
            ) from None


def check_structure(model: onnx.ModelProto, opset: int, ir_version: int, where: str) -> None:
    """Refuse nodes that their schemas do not allow, names used twice, and outputs that nothing writes.

    Args:
        model: At ``opset``, with or without the values of its weights.
        opset: Version of the ONNX operators.
        ir_version: What a file of this version may hold.
        where: Name of the model in messages.

    Raises:
        InputError: It is built otherwise than ONNX allows.
    """
    graph = model.graph
    made = {t.name for t in [*graph.input, *graph.initializer]}
    made.update(name for node in graph.node for name in node.output)
    ghosts = [t.name for t in graph.output if not t.name or t.name not in made]
    if ghosts:
        raise InputError(
            f"{where} is no valid graph: no node writes its output '{ghosts[0]}'",
            "export it again; onnx.checker.check_model tells more",
        )
    unbound = [node for node in graph.node if any(a.ref_attr_name for a in node.attribute)]
    if unbound:
        raise InputError(
            f"{where} is no valid graph: {unbound[0].op_type} '{unbound[0].name}' takes attributes of a "
            "function, and is in none",
            "export it again; onnx.checker.check_model tells more",
        )
    if graph.sparse_initializer:
        raise InputError(f"{where} stores weights sparsely", "export it with dense weights")
    context = checker.C.CheckerContext()
    context.ir_version = ir_version
    context.opset_imports = {"": opset}
    try:
        checker.check_graph(_without_values(graph), context)
    except checker.ValidationError as error:
        raise InputError(
            f"{where} is no valid graph: {_first_line(error)}",
            "export it again; onnx.checker.check_model tells more",
        ) from error


def check_tensors(model: onnx.ModelProto, where: str) -> None:
    """Refuse tensors of no type, and nodes that write sequences or optional ones; after shape inference.

    Raises:
        InputError: There are some.
    """
    for value in model.graph.value_info:
        elements = value.type.tensor_type.elem_type
        if elements not in TensorProto.DataType.values():
            raise InputError(
                f"'{value.name}' of {where} is of type {elements}, which ONNX does not have",
                "the file is damaged: export it again",
            )
    kinds = {v.name: v.type.WhichOneof("value") for v in model.graph.value_info}
    for node in model.graph.node:
        for name in node.output:
            kind = kinds.get(name) or "tensor_type"
            if kind != "tensor_type":
                what = kind.removesuffix("_type").replace("_", " ")
                raise InputError(
                    f"what {node.op_type} '{node.name}' of {where} writes is no tensor (type {what})",
                    "export it with tensors only, for instance with Concat or Split in place of sequences",
                )


def check_functions(model: onnx.ModelProto, where: str) -> None:
    """Refuse functions with outputs that none of their nodes writes: what reads them would read nothing.

    Raises:
        InputError: There are some.
    """
    for function in model.functions:
        made = {*function.input, *(name for node in function.node for name in node.output)}
        for name in function.output:
            if name not in made:
                raise InputError(
                    f"{where} is no valid graph: no node of function '{function.name}' writes its output "
                    f"'{name}'",
                    "export it again; onnx.checker.check_model tells more",
                )


def check_stored(tensors: Iterable[TensorProto], where: str) -> None:
    """Refuse weights of a negative size, and those in two forms, of which only one can be meant.

    Raises:
        InputError: There are some.
    """
    for tensor in tensors:
        if any(size < 0 for size in tensor.dims):
            raise InputError(
                f"{where} stores '{tensor.name}' with a shape of {list(tensor.dims)}: sizes are not negative",
                "the file is damaged: export it again",
            )
        forms = [name for name in _VALUES if len(getattr(tensor, name))]
        if len(forms) + tensor.HasField("raw_data") > 1:
            raise InputError(f"{where} stores the values of '{tensor.name}' twice", "export it again")


def _without_values(graph: onnx.GraphProto) -> onnx.GraphProto:
    """Return ``graph`` with its weights as inputs, and outputs of any type: what is left is its structure."""
    given = {t.name for t in graph.input}
    weights = [t for t in graph.initializer if t.name not in given]
    inputs = [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in weights]
    outputs = [helper.make_tensor_value_info(t.name, TensorProto.FLOAT, []) for t in graph.output]
    return helper.make_graph(graph.node, graph.name or "graph", [*graph.input, *inputs], outputs)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
