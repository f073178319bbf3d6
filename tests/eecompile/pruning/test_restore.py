"""What is left of layers makes what it made, as far as that can be told from what it reads."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile.data.dataset import Split
from eecompile.exits.answers import answers
from eecompile.pruning.restore import restore_outputs
from passes.exits.recognise import classifier_exits
from passes.model.graph import from_model
from passes.pruning.groups import find_groups
from passes.pruning.remove import remove_channels
from passes.registry import parse_pipeline
from passes.state import copy_graph
from tests.eecompile.training.small import RAW
from tests.passes.net_builder import NetBuilder


def network(twins: bool) -> gs.Graph:
    """Return a classifier with many kinds of layers; ``twins``: the channels of each are there twice."""
    net = NetBuilder((1, 3, 9, 9))
    x = net.op("Relu", net.conv("x", 3, 8, strides=[2, 2]))
    x = net.op("Relu", net.conv(x, 8, 8, group=8))
    x = net.op("Relu", net.conv(x, 8, 8, pads=[0, 1, 1, 0]))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", net.conv(x, 8, 8, group=2)))
    graph = from_model(net.model(net.op("Gemm", pooled, net.normal(4, 8), net.normal(4), transB=1)))
    parse_pipeline("canonicalize")(graph)
    classifier_exits(graph)
    for node in [node for node in graph.nodes if node.op == "Conv" and twins]:
        for index in (1, 2):
            values = np.array(node.inputs[index].values)
            values[4:] = values[:4]
            node.inputs[index].values = values
    return graph


def images(count: int = 96) -> Split:
    rng = np.random.default_rng(3)
    return Split(rng.normal(size=(count, 3, 9, 9)).astype(np.float32), np.arange(count) % 4)


@pytest.mark.parametrize(("twins", "left"), [(True, 0.02), (False, 0.5)])
def test_answers_come_back(twins: bool, left: float) -> None:
    """Without one of two that are alike nothing is lost; else much comes back, on other images too."""
    graph, seen = network(twins), images()
    found = find_groups(graph)
    gone = {unit for group in found.groups for unit in group.units[len(group) - max(1, len(group) // 4) :]}
    pruned = copy_graph(graph)
    remove_channels(pruned, found, gone)
    restored = copy_graph(pruned)
    restore_outputs(restored, graph, found, gone, seen, RAW)
    assert [t.shape for n in restored.nodes for t in n.inputs] == [
        t.shape for n in pruned.nodes for t in n.inputs
    ]
    others = Split(images(160).x[96:], images(160).y[96:])
    was, broken, right = (answers(of, others, RAW).logits[-1] for of in (graph, pruned, restored))
    error = np.square(right - was).mean() / np.square(broken - was).mean()
    assert error < left


def test_nothing_changes_where_nothing_went() -> None:
    graph, seen = network(twins=False), images()
    same = copy_graph(graph)
    restore_outputs(same, graph, find_groups(graph), set(), seen, RAW)
    was, now = (answers(of, seen, RAW).logits[-1] for of in (graph, same))
    np.testing.assert_allclose(now, was, atol=1e-4)
