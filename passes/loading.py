"""A user's file, or bytes, to a checked ModelProto at opset 21: every way a model can be bad is told here."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference, version_converter

from passes.errors import InputError

OPSET = 21
IR_VERSION = 10
STANDARD_DOMAINS = ("", "ai.onnx")
MAX_BYTES = 2**31 - 1

_MAGIC = {b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "a gzip archive", b"BZh": "a bzip2 archive"}
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
    if path.is_dir():
        raise InputError(f"{path} is a directory, not an ONNX model", "give the .onnx file inside it")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"no such file: {path}", "check the path to the model") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    for magic, what in _MAGIC.items():
        if data.startswith(magic):
            raise InputError(f"{path} is {what}, not an ONNX model", "unpack it and give the .onnx file")
    model = parse_model(data, str(path))
    return model, _load_external(model, path.resolve().parent)


def parse_model(data: bytes, where: str) -> onnx.ModelProto:
    """Parse serialized bytes; raises InputError when they are no whole ONNX model."""
    model = onnx.ModelProto()
    fix = "export it again, or copy it again: it may be cut off"
    try:
        model.ParseFromString(data)
    except Exception as error:  # protobuf raises its own DecodeError, which moved between releases
        raise InputError(f"{where} is not an ONNX model, or is truncated ({len(data)} bytes)", fix) from error
    if not model.graph.node or not model.opset_import:
        raise InputError(f"{where} is not an ONNX model: it holds no graph ({len(data)} bytes)", fix)
    return model


def _load_external(model: onnx.ModelProto, folder: Path) -> bool:
    missing = False
    for tensor in model.graph.initializer:
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        entries = {e.key: e.value for e in tensor.external_data}
        location = entries.get("location", "")
        absolute = PurePosixPath(location).is_absolute() or PureWindowsPath(location).is_absolute()
        target = (folder / location).resolve()
        if not location or absolute or not target.is_relative_to(folder):
            raise InputError(
                f"weights of '{tensor.name}' lie outside the model's folder: {location!r}",
                "put the data file beside the model and export with a relative path",
            )
        if not target.exists():
            missing = True
            continue
        _read_external(tensor, target, entries)
    return missing


def _read_external(tensor: TensorProto, target: Path, entries: dict[str, str]) -> None:
    expected = (
        int(np.prod(tensor.dims, dtype=np.int64)) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    )
    try:
        offset, length = int(entries.get("offset", "0")), int(entries.get("length", str(expected)))
        if not target.is_file() or offset < 0 or length < 0 or length > target.stat().st_size:
            raise ValueError
        with target.open("rb") as stream:
            stream.seek(offset)
            raw = stream.read(length)
    except (OSError, ValueError):
        raw = b""
    if len(raw) != expected:
        raise InputError(
            f"external data of '{tensor.name}' in {target.name} does not hold {expected} bytes",
            "copy the data file again, or export the model again",
        )
    tensor.raw_data = raw
    del tensor.external_data[:]
    tensor.data_location = TensorProto.DEFAULT


def check_operators(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """Inline model-local functions and refuse operators outside the ONNX standard."""
    if model.functions:
        import onnx.inliner

        model = onnx.inliner.inline_local_functions(model)
    custom = sorted(
        {f"{n.domain}::{n.op_type}" for n in model.graph.node if n.domain not in STANDARD_DOMAINS}
    )
    if custom:
        raise InputError(
            f"{where} uses custom operators: {', '.join(custom)}",
            "export it with standard ONNX operators only, or replace these nodes",
        )
    return model


def check_values(model: onnx.ModelProto) -> None:
    """Refuse NaN and infinite weights (constant bounds such as Clip's may be infinite)."""
    for tensor in model.graph.initializer:
        if tensor.data_type not in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE):
            continue
        if tensor.data_location == TensorProto.EXTERNAL:
            continue
        values = numpy_helper.to_array(tensor)
        if np.isnan(values).any() or (values.size > 1 and np.isinf(values).any()):
            raise InputError(
                f"weights '{tensor.name}' hold NaN or infinite values",
                "the training diverged or the export is broken: export a healthy checkpoint",
            )


def convert(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """Return the model at opset 21, IR 10; raises InputError when the converter cannot."""
    version = max((o.version for o in model.opset_import if o.domain in STANDARD_DOMAINS), default=0)
    if version != OPSET:
        metadata = [(p.key, p.value) for p in model.metadata_props]
        try:
            model = version_converter.convert_version(model, OPSET)
        except Exception as error:  # the C++ converter raises RuntimeError and ConvertError alike
            reason = str(error).strip().splitlines()[-1][:200]
            raise InputError(
                f"{where} (opset {version}) cannot be converted to opset {OPSET}: {reason}",
                f"export it again with opset {OPSET}",
            ) from error
        if not model.metadata_props:
            helper.set_model_props(model, dict(metadata))
    model.ir_version = IR_VERSION
    return model


def fix_batch(model: onnx.ModelProto, where: str) -> None:
    """Set the batch size of the one input to 1; refuse dynamic spatial dimensions and several inputs."""
    weights = {t.name for t in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(i.name for i in inputs) or "none"
        raise InputError(
            f"{where} has {len(inputs)} inputs ({names})", "eecompile takes networks with one input"
        )
    tensor = inputs[0].type.tensor_type
    if not tensor.HasField("shape") or not tensor.shape.dim:
        raise InputError(f"input '{inputs[0].name}' of {where} has no shape", "export it with a fixed shape")
    dims = tensor.shape.dim
    dynamic = [str(d.dim_param or "?") for d in dims[1:] if d.dim_value <= 0]
    if dynamic:
        shape = [d.dim_value or d.dim_param or "?" for d in dims]
        raise InputError(
            f"input '{inputs[0].name}' of {where} has dynamic dimensions: {shape}",
            "export it with fixed channels and spatial size; only the batch may be dynamic",
        )
    if dims[0].dim_value > 1:
        raise InputError(
            f"input '{inputs[0].name}' of {where} has a fixed batch of {dims[0].dim_value}",
            "export it with batch 1 or a dynamic batch",
        )
    was_dynamic = dims[0].dim_value != 1
    dims[0].ClearField("dim_param")
    dims[0].dim_value = 1
    if was_dynamic:  # stale symbolic shapes would contradict the fixed batch
        del model.graph.value_info[:]
        for output in model.graph.output:
            output.type.tensor_type.ClearField("shape")


def infer(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """Run shape inference; raises InputError when shapes contradict each other."""
    try:
        return shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise InputError(
            f"{where}: shapes do not fit together: {reason}", "export the model again"
        ) from error
