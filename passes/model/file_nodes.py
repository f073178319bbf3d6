"""The nodes of a user's file as they are written there, and by which names they are read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import onnx

from passes.model.graph import load
from passes.model.in_memory import ModelInMemory, Network


@dataclass(frozen=True)
class FileNode:
    """A node of a file.

    Attributes:
        name: As written; may be empty, or that of others too.
        op_type: Its operator.
        read_as: The name it has once it is read, by which origins tell of it; empty where reading drops it.
    """

    name: str
    op_type: str
    read_as: str


@dataclass(frozen=True)
class FileGraph:
    """The graph of a file: its name, and its nodes in the order of the file, those of bodies left out."""

    name: str
    nodes: tuple[FileNode, ...]


def file_graph(network: Network) -> FileGraph:
    """Return the graph of a network as its file has it.

    Raises:
        OSError: The file cannot be read.
        InputError: It is no network.
    """
    if isinstance(network, ModelInMemory):
        model = onnx.load_model_from_string(network.data)
    else:
        model = onnx.load(network, load_external_data=False)
    counts = Counter(node.name for node in model.graph.node)
    read_as: dict[str, str] = {}
    if counts.get("") or max(counts.values(), default=0) > 1:  # else all keep their names
        graph = load(network)
        read_as = {tensor.name: node.name for node in graph.nodes for tensor in node.outputs}
    nodes = (
        FileNode(
            node.name,
            node.op_type,
            node.name if node.name and counts[node.name] == 1 else read_as.get(node.output[0], ""),
        )
        for node in model.graph.node
    )
    return FileGraph(model.graph.name, tuple(nodes))
