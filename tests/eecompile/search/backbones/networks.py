"""What tests ask of backbones: a family as a network in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import onnxruntime as ort

from eecompile.search.backbones.registry import backbone_family
from passes.macs import node_macs

BUILT_IN = ("ds_cnn", "mobilenet_v1", "mobilenet_v2", "resnet", "resnet8")


def backbone(
    name: str,
    genes: Mapping[str, Any] | None = None,
    shape: tuple[int, ...] = (1, 3, 32, 32),
    classes: int = 10,
) -> gs.Graph:
    """Return a backbone of a built-in family."""
    return backbone_family(name).graph(shape, classes, genes)


def counts(graph: gs.Graph) -> tuple[int, int]:
    """Return MACs and parameters."""
    weights = (t for t in graph.tensors().values() if isinstance(t, gs.Constant) and t.values.ndim)
    return sum(node_macs(node) or 0 for node in graph.nodes), sum(int(np.prod(t.shape)) for t in weights)


def answers(graph: gs.Graph, images: np.ndarray[Any, Any], output: int = 0) -> np.ndarray[Any, Any]:
    """Return an output of all images at once, [N, classes]."""
    model = gs.export_onnx(graph, ir_version=10)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "images"
    del model.graph.value_info[:]
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {graph.inputs[0].name: images.astype(np.float32)})[output])
