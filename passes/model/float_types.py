"""Float types: a network in float16, bfloat16 or double is read as the same network in float32.

Which of them a file uses says how it was stored for a GPU, not what it computes: the bits that count are
those of the target. Casts between them then cast nothing, and canonical form drops them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from passes.model.external_data import tensors

_NAMES: dict[int, str] = {
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.DOUBLE: "double",
}
# Attributes that name the type of what a node writes, or computes in between.
_TYPED = {"to", "dtype", "output_dtype", "output_datatype", "stash_type", "softmax_precision", "precision"}
_DATA = ("raw_data", "int32_data", "double_data", "float_data")


def as_float32(model: onnx.ModelProto) -> tuple[str, ...]:
    """Make every float tensor of ``model``, input and output included, float32; returns the types it had.

    float16 and bfloat16 lose nothing by it. Doubles are rounded.
    """
    found: set[str] = set()
    for tensor in tensors(model.graph):
        if tensor.data_type in _NAMES:
            found.add(_NAMES[tensor.data_type])
            _widen(tensor)
    for graph in _graphs(model.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            found.update(_widen_type(value.type))
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.name in _TYPED and attribute.i in _NAMES:
                    found.add(_NAMES[attribute.i])
                    attribute.i = TensorProto.FLOAT
    return tuple(sorted(found))


def _widen(tensor: TensorProto) -> None:
    if tensor.data_location != TensorProto.EXTERNAL:  # else its values are absent
        with np.errstate(over="ignore"):  # of double; what is no weight may be without bound
            values = numpy_helper.to_array(tensor).astype(np.float32)
        for field in _DATA:
            tensor.ClearField(field)
        tensor.raw_data = values.tobytes()
    tensor.data_type = TensorProto.FLOAT


def _widen_type(kind: onnx.TypeProto) -> Iterator[str]:
    field = kind.WhichOneof("value")
    if field in ("tensor_type", "sparse_tensor_type"):
        tensor = getattr(kind, field)
        if tensor.elem_type in _NAMES:
            yield _NAMES[tensor.elem_type]
            tensor.elem_type = TensorProto.FLOAT
    elif field in ("sequence_type", "optional_type"):
        yield from _widen_type(getattr(kind, field).elem_type)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                if body.node:
                    yield from _graphs(body)
