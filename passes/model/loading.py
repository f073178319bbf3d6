"""A user's file, or bytes, to a checked ModelProto at opset 21: every way a model can be bad is told here."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, checker, helper, numpy_helper, shape_inference, version_converter

from passes.errors import InputError
from passes.model.classical_operators import write_as_layers
from passes.model.external_data import all_nodes, load_external, tensors
from passes.model.labels import ML_DOMAIN, drop_labels
from passes.model.structure import check_functions, check_stored
from passes.operator_sets import ARITHMETIC

OPSET = 21
IR_VERSION = 10
STANDARD_DOMAINS = ("", "ai.onnx")
MAX_BYTES = 2**31 - 1
LARGE = 1024
LONG_NAME, LONG_REASON = 60, 200
# The result has shape and type of the first input, and onnx does not say so.
_NOT_INFERRED = ("GroupNormalization", "MeanVarianceNormalization")
# What the C++ of onnx raises for a wrong model: errors of its own without a common base, failed assertions
# (RuntimeError), and what becomes of std::invalid_argument and std::out_of_range.
_REFUSED = (
    checker.ValidationError,
    shape_inference.InferenceError,
    version_converter.ConvertError,
    RuntimeError,
    ValueError,
    IndexError,
)

# Images as floats or integers, and what other networks are given beside or instead: token numbers, masks.
_INPUT_TYPES = {
    TensorProto.FLOAT,
    TensorProto.UINT8,
    TensorProto.INT8,
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.BOOL,
}

_MAGIC = {
    b"PK\x03\x04": "a zip archive (PyTorch checkpoints are, too)",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
}
_TAR_MAGIC = slice(257, 262)
_MAGIC |= {
    b"\xfd7zXZ": "an xz archive",
    b"\x89HDF": "an HDF5 file (Keras?)",
    b"7z\xbc\xaf": "a 7-zip archive",
}


def read_model(path: Path) -> tuple[onnx.ModelProto, bool]:
    """Read an ONNX file from disk.

    Args:
        path: The file. External data is read only from inside its folder.

    Returns:
        The model, and whether external data is missing (a shape-only model).

    Raises:
        InputError: No such file, a directory, an archive, not an ONNX, truncated, or external data
            that points out of the model's folder.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path} is a directory, not an ONNX model", "give the .onnx file inside it")
        if not path.exists():
            raise InputError(f"no such file: {path}", "check the path to the model")
        if not path.is_file():
            raise InputError(f"{path} is not a regular file", "give an .onnx file")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(
                f"{path} is larger than 2 GB, more than an ONNX file can hold",
                "export it with external data, or give a smaller model",
            )
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}", "check the path and its permissions"
        ) from None
    _refuse_archives(data, path)
    model = parse_model(data, str(path))
    return model, load_external(model, path.resolve().parent)


def _refuse_archives(data: bytes, path: Path) -> None:
    found = [what for magic, what in _MAGIC.items() if data.startswith(magic)]
    if data[_TAR_MAGIC] == b"ustar":
        found.append("a tar archive")
    if found:
        raise InputError(f"{path} is {found[0]}, not an ONNX model", "unpack it and give the .onnx file")


def parse_model(data: bytes, where: str) -> onnx.ModelProto:
    """Parse serialized bytes; raises InputError when they are no whole ONNX model."""
    model = onnx.ModelProto()
    fix = "export it again, or copy it again: it may be cut off"
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise InputError(f"{where} is not an ONNX model, or is truncated ({len(data)} bytes)", fix) from error
    if not model.graph.node or not model.opset_import:
        raise InputError(f"{where} is not an ONNX model: it holds no graph ({len(data)} bytes)", fix)
    return model


def check_operators(model: onnx.ModelProto, where: str) -> tuple[onnx.ModelProto, list[str]]:
    """Inline model-local functions and refuse operators outside the ONNX standard.

    Returns:
        The model, and the outputs that were dropped: labels looked up behind a network.
    """
    _use_short_domain(model, where)
    if model.functions:
        from onnx import inliner

        check_functions(model, where)
        try:
            model = inliner.inline_local_functions(model)
        except _REFUSED as error:
            raise InputError(
                f"the functions of {where} cannot be inlined: {_reason(error)}", "export it without functions"
            ) from error
    write_as_layers(model)
    labels = drop_labels(model)
    nodes = list(all_nodes(model.graph))
    classical = sorted({f"{n.domain}::{n.op_type}" for n in nodes if n.domain == ML_DOMAIN})
    if classical:
        raise InputError(
            f"{where} uses operators of classical machine learning: {', '.join(classical)}",
            "trees, kernels and the like are no layers of a network; give a network of ONNX's own operators",
        )
    custom = sorted({f"{n.domain}::{n.op_type}" for n in nodes if n.domain not in STANDARD_DOMAINS})
    if custom:
        raise InputError(
            f"{where} uses custom operators: {', '.join(custom)}",
            "export it with standard ONNX operators only, or replace these nodes",
        )
    unknown = sorted({n.op_type for n in nodes if not onnx.defs.has(n.op_type)})
    if unknown:
        raise InputError(
            f"{where} uses operators ONNX does not have: {', '.join(repr(u[:LONG_NAME]) for u in unknown)}",
            "export it with standard ONNX operators only, or replace these nodes",
        )
    return model, labels


def _use_short_domain(model: onnx.ModelProto, where: str) -> None:
    """Write ``ai.onnx`` as the empty domain, which is the same, also where both are imported."""
    for node in [*all_nodes(model.graph), *(node for function in model.functions for node in function.node)]:
        if node.domain in STANDARD_DOMAINS:
            node.domain = ""
    versions = {o.domain: o.version for o in model.opset_import if o.domain in STANDARD_DOMAINS}
    if not versions:
        raise InputError(
            f"{where} does not say which version of the ONNX operators it uses",
            "export it with an opset import",
        )
    others = [o for o in model.opset_import if o.domain not in STANDARD_DOMAINS]
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", versions.get("", max(versions.values()))))
    model.opset_import.extend(others)


def check_order(model: onnx.ModelProto, where: str) -> None:
    """Refuse graphs whose nodes are not in an order they can run in, or that write a tensor twice."""
    made = {t.name for t in [*model.graph.input, *model.graph.initializer]}
    waiting = {name for node in model.graph.node for name in node.output if name}
    for node in model.graph.node:
        early = [name for name in node.input if name in waiting and name not in made]
        twice = [name for name in node.output if name in made]
        if early or twice:
            what = f"reads '{early[0]}' before it is made" if early else f"writes '{twice[0]}' once more"
            raise InputError(
                f"{where} is no valid graph: {node.op_type} '{node.name}' {what}",
                "export it again; onnx.checker.check_model tells more",
            )
        made.update(name for name in node.output if name)


def check_values(model: onnx.ModelProto, where: str) -> None:
    """Refuse NaN and infinite weights (constant bounds such as Clip's may be infinite), and damaged ones."""
    check_stored(tensors(model.graph), where)
    for tensor in tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            continue
        try:
            values = numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError) as error:  # bytes that do not fit, a type onnx does not know
            raise InputError(
                f"{where}: the values of '{tensor.name}' do not fit its shape {list(tensor.dims)}: {error}",
                "the file is damaged: export it again",
            ) from error
        if values.dtype.kind != "f":
            continue
        # a sum is finite only if all are: no mask of the size of the weights is needed
        with np.errstate(all="ignore"):
            suspicious = not np.isfinite(values.sum(dtype=np.float64))
        if suspicious and (np.isnan(values).any() or (values.size > 1 and np.isinf(values).any())):
            raise InputError(
                f"weights '{tensor.name or 'of a Constant'}' of {where} hold NaN or infinite values",
                "the training diverged or the export is broken: export a healthy checkpoint",
            )


def _reason(error: Exception) -> str:
    """Return what the C++ of onnx says, without its source line and assertion."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1].rpartition("failed: ")[2].strip()[:200]


def convert(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """Return the model at opset 21, IR 10; raises InputError when the converter cannot."""
    version = max((o.version for o in model.opset_import if o.domain in STANDARD_DOMAINS), default=0)
    if version != OPSET:
        metadata = [(p.key, p.value) for p in model.metadata_props]
        model.ir_version = IR_VERSION  # before 4, weights that are no inputs are not found
        try:
            model = version_converter.convert_version(model, OPSET)
        except _REFUSED as error:
            raise InputError(
                f"{where} (opset {version}) cannot be converted to opset {OPSET}: {_reason(error)}",
                f"export it again with opset {OPSET}",
            ) from error
        if not model.metadata_props:
            helper.set_model_props(model, dict(metadata))
    model.ir_version = IR_VERSION
    others = [o for o in model.opset_import if o.domain not in STANDARD_DOMAINS]
    for unused in others:  # their operators were refused, and any version may stand there
        model.opset_import.remove(unused)
    return model


def set_aside_weights(model: onnx.ModelProto) -> dict[str, TensorProto]:
    """Take large weights out of ``model``: conversion and inference copy it and need their shapes only.

    Returns:
        Name -> the weight, for :func:`put_weights_back`.
    """
    aside: dict[str, TensorProto] = {}
    for tensor in model.graph.initializer:
        large = int(np.prod(tensor.dims, dtype=np.int64)) > LARGE
        if large and tensor.data_location != TensorProto.EXTERNAL:
            aside[tensor.name] = TensorProto()
            aside[tensor.name].CopyFrom(tensor)
            for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data"):
                tensor.ClearField(field)
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="set aside")
    return aside


def put_weights_back(model: onnx.ModelProto, aside: dict[str, TensorProto]) -> None:
    """Undo :func:`set_aside_weights`."""
    for tensor in model.graph.initializer:
        if tensor.name in aside:
            tensor.CopyFrom(aside[tensor.name])


def fix_batch(model: onnx.ModelProto, where: str) -> None:
    """Set the batch of every input to 1; refuse dynamic spatial dimensions, and types that are not taken."""
    weights = {t.name for t in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in weights]
    if not inputs:
        raise InputError(f"{where} has 0 inputs (none)", "export it with its input: a constant is no network")
    if not model.graph.output:
        raise InputError(f"{where} has no outputs", "export it again")
    _check_tensors([*inputs, *model.graph.output], where)
    was_dynamic = False
    batched = any(_is_batch_of_one(value) for value in inputs)
    for value in inputs:
        _check_input(value, where)
        if not value.type.tensor_type.shape.dim:
            continue
        first = value.type.tensor_type.shape.dim[0]
        if first.dim_value > 1:
            # Where another input has the batch in front, this one has none: anchors, a size, a mean.
            if not batched:
                _put_batch_in_front(model, value, where)
            continue
        was_dynamic |= first.dim_value != 1
        first.ClearField("dim_param")
        first.dim_value = 1
    if was_dynamic:  # stale symbolic shapes would contradict the fixed batch
        del model.graph.value_info[:]
        for output in model.graph.output:
            output.type.tensor_type.ClearField("shape")


def _put_batch_in_front(model: onnx.ModelProto, value: onnx.ValueInfoProto, where: str) -> None:
    """Give an input without batch axis one, if the network puts it in front itself; else refuse the batch.

    What has one axis can have no batch either, and stays.
    """
    dims = value.type.tensor_type.shape.dim
    if len(dims) == 1:
        return
    known = {t.name: t for t in model.graph.initializer if t.data_location != TensorProto.EXTERNAL}
    known |= {
        node.output[0]: attribute.t
        for node in model.graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    front = [d.dim_value for d in dims]
    readers = _readers_of_image(model, value.name, known, len(front))
    if not readers or not all(_puts_one_in_front(node, known, math.prod(front)) for node in readers):
        raise InputError(
            f"input '{value.name}' of {where} is {front}: a fixed batch of {front[0]}, or no batch in front",
            "export it with batch 1 or a dynamic batch",
        )
    del dims[:]
    for size in (1, *front):
        dims.add().dim_value = size
    for node in readers:
        if node.op_type == "Unsqueeze":
            node.op_type = "Identity"
            del node.input[1:]
            del node.attribute[:]
    if any(value.name not in node.input for node in readers):  # shapes in between have an axis more now
        del model.graph.value_info[:]


def _readers_of_image(
    model: onnx.ModelProto, name: str, known: dict[str, TensorProto], rank: int
) -> list[onnx.NodeProto]:
    """Return the nodes that read tensor ``name``, seen behind Sub, Div and the like by constants."""
    found: list[onnx.NodeProto] = []
    pending = [name]
    while pending:
        tensor = pending.pop()
        for node in all_nodes(model.graph):
            if tensor not in node.input:
                continue
            others = [known.get(other) for other in node.input if other != tensor]
            scaled = node.op_type in ARITHMETIC and len(others) == 1
            if scaled and all(other is not None and len(other.dims) <= rank for other in others):
                pending.append(node.output[0])
            else:
                found.append(node)
    return found


def _puts_one_in_front(node: onnx.NodeProto, known: dict[str, TensorProto], elements: int) -> bool:
    """Whether ``node`` views its first input, of so many elements, with an axis of size 1 in front."""
    attributes = {a.name: list(a.ints) for a in node.attribute}
    constant = known.get(node.input[1]) if len(node.input) > 1 else None
    given = (
        attributes.get("axes") if constant is None else numpy_helper.to_array(constant).reshape(-1).tolist()
    )
    if node.op_type == "Unsqueeze":
        return list(given or ()) == [0]
    if node.op_type != "Reshape" or not given or 0 in given:
        return False
    front, rest = int(given[0]), math.prod(int(size) for size in given[1:])
    return front == 1 or (front == -1 and rest == elements)


def _check_tensors(values: list[onnx.ValueInfoProto], where: str) -> None:
    """Refuse inputs and outputs that are sequences, maps or optional: no tensor of one shape."""
    for value in values:
        kind = value.type.WhichOneof("value")
        if kind in ("sequence_type", "map_type", "optional_type", "sparse_tensor_type"):
            what = kind.removesuffix("_type").replace("_", " ")
            raise InputError(
                f"'{value.name}' of {where} is a {what}, not a tensor",
                "export it with tensors in and out (from scikit-learn: with zipmap=False)",
            )
        if kind == "tensor_type" and value.type.tensor_type.elem_type not in TensorProto.DataType.values():
            raise InputError(
                f"'{value.name}' of {where} is of type {value.type.tensor_type.elem_type}, which ONNX does "
                "not have",
                "the file is damaged: export it again",
            )


def _is_batch_of_one(value: onnx.ValueInfoProto) -> bool:
    """Whether the first dimension is a batch: any number of images, or one."""
    dims = value.type.tensor_type.shape.dim
    return bool(dims) and dims[0].dim_value <= 1


def _check_input(value: onnx.ValueInfoProto, where: str) -> None:
    """Refuse an input of a type not taken, without shape, or dynamic beyond its batch."""
    tensor = value.type.tensor_type
    if tensor.elem_type not in _INPUT_TYPES:
        names = {number: name.lower() for name, number in TensorProto.DataType.items()}
        known = names.get(tensor.elem_type, f"of type {tensor.elem_type}, which ONNX does not have")
        raise InputError(
            f"input '{value.name}' of {where} is {known}, not float32",
            "export the network with a float32 input and float32 weights",
        )
    if not tensor.HasField("shape"):
        raise InputError(f"input '{value.name}' of {where} has no shape", "export it with a fixed shape")
    dims = tensor.shape.dim
    if any(d.dim_value <= 0 for d in dims[1:]):
        shape = [d.dim_value or d.dim_param or "?" for d in dims]
        raise InputError(
            f"input '{value.name}' of {where} has dynamic dimensions: {shape}",
            "export it with fixed channels and spatial size; only the batch may be dynamic",
        )


def infer(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """Run shape inference; raises InputError when shapes contradict each other.

    What the file says of its inner tensors counts only where it is no contradiction: tools that rewrite a
    network often leave there what was true before. Operators that keep the shape of their input, and of
    which the library does not know that, are Identity to it.
    """
    nodes = list(all_nodes(model.graph))
    hidden = {i: _copied(node) for i, node in enumerate(nodes) if node.op_type in _NOT_INFERRED}
    for index in hidden:
        nodes[index].op_type = "Identity"
        del nodes[index].input[1:]
        del nodes[index].attribute[:]
    try:
        try:
            inferred = _inferred(model)
        except _REFUSED:
            if not model.graph.value_info:
                raise
            del model.graph.value_info[:]
            inferred = _inferred(model)
    except _REFUSED as error:
        # The first is the cause; it makes those behind it fail.
        first = str(error).strip().partition("\n")[0]
        first = first.removeprefix("[ShapeInferenceError] Inference error(s): ")
        raise InputError(
            f"{where}: shapes do not fit together: {first[:LONG_REASON]}", "export the model again"
        ) from error
    for found in (model, inferred):
        nodes = list(all_nodes(found.graph))
        for index, node in hidden.items():
            nodes[index].CopyFrom(node)
    return inferred


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    return shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def _copied(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy
