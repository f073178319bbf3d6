"""Tensors without values: those that are not missed are taken out, what needs their values is refused."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from passes.errors import InputError


def drop_empty_tensors(graph: gs.Graph, where: str) -> None:
    """Take the inputs of Concat that hold no values out; whoever wrote them alone is left without reader.

    Exporters write slices of no elements; a kernel that is larger than what it reads writes none.

    Raises:
        InputError: A result of values that are not there.
    """
    for node in graph.nodes:
        for tensor in node.outputs:
            if any(isinstance(size, int) and size < 0 for size in tensor.shape or ()):
                raise _refused(tensor, f"{where}: {node.op} '{node.name}' writes")
        if all(_is_empty(tensor) for tensor in node.outputs if not tensor.is_empty()):
            continue
        missing = [t for t in node.inputs if isinstance(t, gs.Variable) and _is_empty(t)]
        if node.op == "Concat" and len(missing) < len(node.inputs):
            node.inputs = [t for t in node.inputs if not any(t is m for m in missing)]
        elif missing:
            raise _refused(missing[0], f"{where}: {node.op} '{node.name}' reads")
    for tensor in graph.outputs:
        if _is_empty(tensor):
            raise _refused(tensor, f"{where}: an output is")


def _is_empty(tensor: gs.Tensor) -> bool:
    return any(isinstance(size, int) and size <= 0 for size in tensor.shape or ())


def _refused(tensor: gs.Tensor, what: str) -> InputError:
    writer = tensor.inputs[0] if tensor.inputs else None
    by = f" (from {writer.op} '{writer.name}')" if writer is not None else ""
    return InputError(
        f"{what} '{tensor.name}' {list(tensor.shape)}{by}, which holds no values",
        "a slice takes nothing, or a window is larger than what it reads: export it for larger inputs",
    )
