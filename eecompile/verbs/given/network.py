"""Parameter ``model``: a file, or a network in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from passes.errors import InputError

if TYPE_CHECKING:
    import onnx
    import onnx_graphsurgeon as gs

    from passes.model.in_memory import Network

    Model: TypeAlias = "Path | str | bytes | onnx.ModelProto | gs.Graph"

_TOO_LARGE = "write it with external data, and give the path"


def network_given(model: Model) -> Network:
    """Return a network as lower floors take it; what is in memory is not changed.

    Args:
        model: Path of an ONNX file, its bytes, an ``onnx.ModelProto`` or an ``onnx_graphsurgeon.Graph``.

    Raises:
        InputError: Something else, or more than a file can hold.
    """
    if isinstance(model, str | Path):
        return Path(model)
    from passes.model.in_memory import ModelInMemory

    if isinstance(model, bytes | bytearray | memoryview):
        return ModelInMemory(bytes(model))
    return ModelInMemory(_serialized(model))


def _serialized(model: onnx.ModelProto | gs.Graph) -> bytes:
    import onnx
    import onnx_graphsurgeon as gs
    from google.protobuf.message import EncodeError

    if isinstance(model, gs.Graph):
        from passes.model.writing import to_model
        from passes.state import copy_graph

        model = to_model(copy_graph(model))
    if not isinstance(model, onnx.ModelProto):
        raise InputError(
            "`model` is a path, bytes, an onnx.ModelProto or an onnx_graphsurgeon.Graph, not "
            f"{type(model).__name__}",
            "a network of PyTorch is exported first: torch.onnx.export(net, images, 'net.onnx')",
        )
    try:
        data: bytes = model.SerializeToString(deterministic=True)
    except (EncodeError, ValueError) as error:
        raise InputError(
            "`model` is larger than 2 GB, more than an ONNX file can hold", _TOO_LARGE
        ) from error
    return data
