"""Weights of a sibling: what only grew answers the same, what shrank keeps its largest channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile.search.backbones.family import mounts_of_blocks
from eecompile.search.backbones.inherit import inherit, nearest
from passes.exits.insert_exits import InsertExits
from passes.operator_sets import FLOAT_LINEAR
from tests.eecompile.search.backbones.networks import answers, backbone
from tests.needs import needs_torch

pytestmark = needs_torch
Genes = dict[str, Any]


def drawn(name: str, genes: Genes, seed: int, shape: tuple[int, ...] = (1, 2, 16, 16)) -> gs.Graph:
    """Return a backbone with weights and biases."""
    from eecompile.training.fresh_weights import draw_network

    graph = backbone(name, genes, shape)
    draw_network(graph, seed)
    rng = np.random.default_rng(seed)
    for node in graph.nodes:
        if node.op in FLOAT_LINEAR:
            node.inputs[2].values = rng.normal(0, 0.1, node.inputs[2].shape).astype(np.float32)
    return graph


SMALL_V2 = {"width": 0.25, "depth_2": 1, "depth_5": 1, "kernel_late": 3}


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("resnet", {"width": 6, "blocks": 1}, {"width": 9, "blocks": 1}),
        (
            "resnet",
            {"width": 6, "blocks": 1, "stages": 2},
            {"width": 6, "blocks": 3, "stages": 2, "kernel": 5},
        ),
        ("mobilenet_v2", SMALL_V2, SMALL_V2 | {"width": 0.4, "expansion": 8, "kernel_late": 5, "depth_2": 2}),
        ("mobilenet_v1", {"depth": 1}, {"depth": 1, "width": 0.5, "kernel": 7}),
        ("ds_cnn", {"channels": 8}, {"channels": 12, "kernel": 5}),
    ],
)
def test_what_only_grew_answers_as_before(name: str, before: Genes, after: Genes) -> None:
    source, target = drawn(name, before, 0), drawn(name, after, 1)
    images = np.random.default_rng(2).normal(0, 1, (3, 2, 16, 16))
    expected = answers(source, images)
    assert not np.allclose(answers(target, images), expected)
    assert {"stem", "classifier"} <= set(inherit(target, source))
    np.testing.assert_allclose(
        answers(target, images), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max()
    )


def test_heads_of_exits_are_inherited_with_their_backbone() -> None:
    images = np.random.default_rng(2).normal(0, 1, (2, 2, 16, 16))
    made = []
    for genes, seed in (({"width": 6, "blocks": 1}, 0), ({"width": 9, "blocks": 1, "kernel": 5}, 1)):
        graph = drawn("resnet", genes, seed)
        InsertExits(mounts_of_blocks(graph), "linear", seed)(graph)
        made.append(graph)
    source, target = made
    before = [answers(source, images, output) for output in range(3)]
    assert {"exit_0/gemm", "exit_1/gemm", "classifier"} <= set(inherit(target, source))
    for output, expected in enumerate(before):
        np.testing.assert_allclose(answers(target, images, output), expected, rtol=1e-4, atol=1e-5)


def test_channels_that_do_nothing_are_those_that_go() -> None:
    """Every third channel of all layers is worthless: the network without them answers the same."""
    source = drawn("resnet", {"width": 9, "blocks": 1}, 0)
    for node in source.nodes:
        if node.op == "Conv":
            for tensor in node.inputs[1:]:
                tensor.values[::3] *= 0  # what the shortcut and the block make is added: alike in both
    target = drawn("resnet", {"width": 6, "blocks": 1}, 1)
    images = np.random.default_rng(2).normal(0, 1, (3, 2, 16, 16))
    assert len(inherit(target, source)) == 10
    np.testing.assert_allclose(answers(target, images), answers(source, images), rtol=1e-4, atol=1e-5)


def test_accuracy_without_training() -> None:
    """Ten patterns in noise; the classifier is fitted to 1,000 images, 500 others are answered."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 10, 1500)
    images = rng.normal(0, 1, (10, 1, 8, 8))[labels] + 0.7 * rng.normal(0, 1, (1500, 1, 8, 8))
    source = drawn("resnet", {"width": 16, "blocks": 1}, 0, (1, 1, 8, 8))
    classifier = next(node for node in source.nodes if node.name == "classifier")
    outputs, source.outputs = source.outputs, [classifier.inputs[0]]
    read = np.hstack([answers(source, images[:1000]), np.ones((1000, 1))])
    source.outputs = outputs
    fitted = np.linalg.solve(read.T @ read + 1e-3 * np.eye(65), read.T @ np.eye(10)[labels[:1000]])
    classifier.inputs[1].values = np.ascontiguousarray(fitted[:-1].T).astype(np.float32)
    classifier.inputs[2].values = fitted[-1].astype(np.float32)

    def accuracy(graph: gs.Graph) -> float:
        return float((answers(graph, images[1000:]).argmax(1) == labels[1000:]).mean())

    narrower = drawn("resnet", {"width": 15, "blocks": 1}, 1, (1, 1, 8, 8))
    fresh = accuracy(narrower)
    inherit(narrower, source)
    deeper = drawn("resnet", {"width": 20, "blocks": 2}, 1, (1, 1, 8, 8))
    inherit(deeper, source)
    assert accuracy(source) > 0.95 and fresh < 0.2
    assert accuracy(deeper) == accuracy(source)
    assert accuracy(narrower) > fresh + 0.3


@pytest.mark.parametrize(
    ("name", "before", "after", "left"),
    [
        ("resnet", {"width": 6, "blocks": 1}, {"width": 6, "blocks": 1, "stages": 2}, {"classifier"}),
        ("ds_cnn", {"channels": 8, "blocks": 2}, {"channels": 8, "blocks": 3},
         {"block_2.depthwise", "block_2.pointwise", "classifier"}),
        ("mobilenet_v1", {"depth": 1}, {"depth": 1, "stem_stride": 1}, {"stem"}),
    ],
)  # fmt: skip
def test_what_reads_something_else_stays_as_it_was(
    name: str, before: Genes, after: Genes, left: set[str]
) -> None:
    source, target = drawn(name, before, 0), drawn(name, after, 1)
    untouched = {n.name: n.inputs[1].values.copy() for n in target.nodes if n.op in FLOAT_LINEAR}
    inherited = inherit(target, source)
    weights = {n.name: n.inputs[1].values for n in target.nodes if n.op in FLOAT_LINEAR}
    assert (
        {n for n in weights if np.array_equal(weights[n], untouched[n])} == left == {*weights} - {*inherited}
    )


def test_weights_that_are_absent_cannot_be_inherited() -> None:
    shape_only, with_weights = backbone("resnet8"), drawn("resnet8", {}, 0, (1, 3, 32, 32))
    with pytest.raises(ValueError, match="source has no weights"):
        inherit(with_weights, shape_only)
    with pytest.raises(ValueError, match="target has no weights"):
        inherit(shape_only, with_weights)


@pytest.mark.parametrize("name", ["resnet8", "mobilenet_v2", "ds_cnn"])
def test_training_normalizes_and_gives_back(name: str) -> None:
    from eecompile.training.training_form import give_back, normalized

    graph = drawn(name, {}, 0)
    images = np.random.default_rng(2).normal(0, 1, (2, 2, 16, 16))
    expected = answers(graph, images)
    form = normalized(graph, "all", 0.9)
    convolutions = sum(node.op == "Conv" for node in graph.nodes)
    assert sum(node.op == "BatchNormalization" for node in form.nodes) == convolutions
    give_back(form, graph)
    np.testing.assert_allclose(answers(graph, images), expected, rtol=1e-4, atol=1e-4)


def test_the_nearest_sibling() -> None:
    trained = [{"width": 8, "blocks": 3}, {"width": 16, "blocks": 1}, {"width": 32, "blocks": 3}]
    assert nearest({"width": 16, "blocks": 2}, trained) == 1
    assert nearest({"width": 16, "blocks": 3}, trained) == 0, "as near as the third, and the first of them"
    with pytest.raises(ValueError, match="no sibling"):
        nearest({"width": 8}, [])
