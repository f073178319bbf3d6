"""Weights that lie in files beside the model: read only from inside the model's own folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import onnx
from onnx import TensorProto, helper

from passes.errors import InputError


def load_external(model: onnx.ModelProto, folder: Path | None) -> bool:
    """Read all external data of ``model`` into it.

    Args:
        model: Changed in place.
        folder: The resolved folder of the model file; ``None``: it lies in no file, and has none beside it.

    Returns:
        Whether a data file of a weight is missing (a shape-only model).

    Raises:
        InputError: Data outside ``folder`` (absolute paths, ``..``, links), unreadable or too short.
    """
    missing = False
    weights = len(model.graph.initializer)
    for position, tensor in enumerate(tensors(model.graph)):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        entries = {e.key: e.value for e in tensor.external_data}
        location = entries.get("location", "")
        target = None if folder is None else _inside(folder, location, tensor.name)
        if target is not None and target.exists():
            _read(tensor, target, entries)
        elif position < weights:
            missing = True
        else:
            raise InputError(
                f"data file {Path(location).name} of a constant '{tensor.name}' is missing",
                "only weights (initializers) may be absent; put the file beside the model",
            )
    return missing


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield every node, those of bodies behind the one they belong to."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in [attribute.g, *attribute.graphs]:
                yield from all_nodes(body)


def tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """Yield every tensor that holds values: initializers first, then attributes, bodies included."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            yield from attribute.tensors
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from tensors(attribute.g)
            for body in attribute.graphs:
                yield from tensors(body)


def _inside(folder: Path, location: str, name: str) -> Path:
    absolute = PurePosixPath(location).is_absolute() or PureWindowsPath(location).is_absolute()
    try:
        target = (folder / location).resolve()
        target.exists()
        if target.is_symlink():  # resolved, it is none; Python 3.13 leaves those in a circle as they are
            raise OSError("links in a circle")
    except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, links in a circle
        raise InputError(
            f"the data file of weights '{name}' has an impossible name: {location[:60]!r}",
            "export the model again",
        ) from None
    if not location or absolute or not target.is_relative_to(folder):
        raise InputError(
            f"weights of '{name}' lie outside the model's folder: {location!r}",
            "put the data file beside the model and export with a relative path",
        )
    return target


def expected_bytes(tensor: TensorProto) -> int:
    """Return how many bytes the raw values of ``tensor`` take; 4-bit types hold two per byte."""
    count = int(np.prod(tensor.dims, dtype=np.int64))
    if tensor.data_type in (TensorProto.INT4, TensorProto.UINT4):
        return (count + 1) // 2
    return count * int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _read(tensor: TensorProto, target: Path, entries: dict[str, str]) -> None:
    expected = expected_bytes(tensor)
    try:
        offset, length = int(entries.get("offset", "0")), int(entries.get("length", str(expected)))
        if not target.is_file() or offset < 0 or length < 0 or length > target.stat().st_size:
            raise ValueError
        with target.open("rb") as stream:
            stream.seek(offset)
            raw = stream.read(length)
    except PermissionError:
        raise InputError(f"cannot read {target}, the external data of '{tensor.name}'") from None
    except (OSError, ValueError, OverflowError):
        raw = b""
    if len(raw) != expected:
        raise InputError(
            f"external data of '{tensor.name}' in {target.name} does not hold {expected} bytes",
            "copy the data file again, or export the model again",
        )
    tensor.raw_data = raw
    del tensor.external_data[:]
    tensor.data_location = TensorProto.DEFAULT
