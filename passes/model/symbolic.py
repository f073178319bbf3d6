"""Shape-only models: weights are absent, their shapes are declared or follow from the activations."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import TensorProto, helper

from passes.errors import InputError

Shape = list[int]


def declare_absent_weights(model: onnx.ModelProto, where: str) -> bool:
    """Declare every tensor that nothing produces as an absent external initializer.

    As an initializer, and not as an input, conversion and shape inference see a constant.

    Args:
        model: Changed in place.
        where: Name of the model in messages.

    Returns:
        Whether any weight was absent.

    Raises:
        InputError: A shape is neither declared in ``value_info`` nor follows from the node.
    """
    known = {i.name for i in model.graph.input} | {t.name for t in model.graph.initializer}
    for node in model.graph.node:
        known.update(node.output)
    values = {v.name: v for v in [*model.graph.value_info, *model.graph.input, *model.graph.output]}
    absent: dict[str, None] = {}
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if not name or name in known or name in absent:
                continue
            shape = _declared(values, name) or _follows(node, index, values)
            if not shape or min(shape) < 1:
                raise InputError(
                    f"{where}: tensor '{name}' (input {index} of {node.op_type} '{node.name}') has neither "
                    "a producer, nor values, nor a shape",
                    "the file is incomplete: export it again with its weights or with value_info",
                )
            absent[name] = None
            _declare(model, name, shape, values.get(name))
    kept = [v for v in model.graph.value_info if v.name not in absent]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    return bool(absent)


def fill(graph: gs.Graph) -> None:
    """Give every absent weight a zero-stride array of ones: real shape, no memory, no meaning."""
    for tensor in graph.tensors().values():
        if not isinstance(tensor, gs.Constant):
            continue
        held = tensor._values  # LazyValues keeps the proto, the only place that says "absent"
        proto = getattr(held, "tensor", None)
        if isinstance(proto, TensorProto) and proto.data_location == TensorProto.EXTERNAL:
            dtype = helper.tensor_dtype_to_np_dtype(proto.data_type)
            tensor.values = np.broadcast_to(np.ones((), dtype), tuple(proto.dims))
            tensor.data_location = None


def _declare(model: onnx.ModelProto, name: str, shape: Shape, known: onnx.ValueInfoProto | None) -> None:
    declared = TensorProto.UNDEFINED if known is None else known.type.tensor_type.elem_type
    tensor = model.graph.initializer.add(name=name, data_type=declared or TensorProto.FLOAT)
    tensor.dims.extend(shape)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="absent")


def _declared(values: dict[str, onnx.ValueInfoProto], name: str) -> Shape:
    if name not in values:
        return []
    return [d.dim_value for d in values[name].type.tensor_type.shape.dim]


def _follows(node: onnx.NodeProto, index: int, values: dict[str, onnx.ValueInfoProto]) -> Shape:
    """Return the shape of input ``index`` as it follows from the node's activations, or []."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    source, result = _declared(values, node.input[0]), _declared(values, node.output[0])
    if not result:
        return []
    if node.op_type == "Conv" and index == 1 and source and "kernel_shape" in attributes:
        return [result[1], source[1] // attributes.get("group", 1), *attributes["kernel_shape"]]
    if node.op_type == "BatchNormalization" or (node.op_type == "Conv" and index != 1):
        return [result[1]]
    if node.op_type == "Gemm" and index == 1 and source:
        inner = source[0] if attributes.get("transA", 0) else source[1]
        return [result[1], inner] if attributes.get("transB", 0) else [inner, result[1]]
    if node.op_type == "Gemm" and index == 2:
        return [result[1]]
    if node.op_type == "MatMul" and index == 1 and source:
        return [source[-1], result[-1]]
    return []
