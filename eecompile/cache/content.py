"""Hashes of what is too large for a key: arrays and networks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import onnx_graphsurgeon as gs


def hash_of(parts: Iterable[object]) -> str:
    """Return a hash of arrays and of the text of everything else."""
    digest = hashlib.sha256()
    for item in parts:
        if isinstance(item, np.ndarray):
            digest.update(f"{item.dtype}{item.shape}".encode())
            digest.update(np.ascontiguousarray(item).data if item.size else b"")
        else:
            digest.update(repr(item).encode())
    return digest.hexdigest()


def network_hash(graph: gs.Graph) -> str:
    """Return a hash of the nodes and constants of a graph, which another network does not have."""

    def parts() -> Iterable[object]:
        for node in graph.nodes:
            yield node.op, node.name, sorted((k, str(v)) for k, v in node.attrs.items())
            for tensor in (*node.inputs, *node.outputs):
                yield tensor.name
                if isinstance(tensor, gs.Constant):
                    yield np.asarray(tensor.values)

    return hash_of(parts())
