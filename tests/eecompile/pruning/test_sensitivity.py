"""What the loss would be without a channel, against finite differences of the network itself."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile.data.dataset import Split
from eecompile.exits.answers import answers
from eecompile.pruning.sensitivity import loss_of, sensitivities
from passes.exits.recognise import classifier_exits
from passes.model.graph import from_model
from passes.pruning.groups import find_groups
from passes.registry import parse_pipeline
from passes.state import copy_graph
from tests.eecompile.small_models import skip_net
from tests.eecompile.training.small import RAW


def network() -> gs.Graph:
    graph = from_model(skip_net())
    parse_pipeline("canonicalize")(graph)
    classifier_exits(graph)
    return graph


def whispering() -> gs.Graph:
    """Return the network with weights of what it adds that are next to nothing."""
    graph = network()
    added = [node for node in graph.nodes if node.op == "Conv"][1]
    added.inputs[1].values = 1e-3 * np.array(added.inputs[1].values)
    return graph


def images(count: int = 12) -> Split:
    rng = np.random.default_rng(3)
    return Split(rng.normal(size=(count, 3, 16, 16)).astype(np.float32), np.arange(count) % 4)


def answered(graph: gs.Graph, split: Split) -> Split:
    """Return the images with the answers of a network as labels, so that it has a loss to keep."""
    return Split(split.x, answers(graph, split, RAW).logits[-1].argmax(1))


def losses(graph: gs.Graph, split: Split) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    logits = answers(graph, split, RAW).logits[-1].astype(np.float64)
    return np.asarray(np.log(np.exp(logits).sum(1)) - logits[np.arange(len(logits)), split.y])


def test_it_is_the_slope_of_the_loss_over_the_weights_of_all_layers_that_make_a_channel() -> None:
    graph, split, step = network(), images(), 1e-2
    found = find_groups(graph)
    seen = sensitivities(graph, found, split, RAW, None)
    for group in found.groups:
        for place in (0, 3):
            slopes = []
            for factor in (1 + step, 1 - step):
                scaled = copy_graph(graph)
                for node in scaled.nodes:
                    if node.name in group.makers:
                        values = np.array(node.inputs[1].values)
                        values[place] *= factor
                        node.inputs[1] = gs.Constant(f"{node.name}_scaled", values)
                slopes.append(losses(scaled, split))
            expected = np.abs((slopes[0] - slopes[1]) / (2 * step)).mean()
            assert seen[group.units[place]] == pytest.approx(expected, rel=0.02, abs=2e-4)


def test_answers_of_a_teacher_count_beside_the_labels() -> None:
    graph, split = network(), images()
    found = find_groups(graph)
    alone, same = (sensitivities(graph, found, split, RAW, t) for t in (None, copy_graph(graph)))
    assert same == pytest.approx(alone, rel=1e-4), "it answers as itself"
    other = copy_graph(graph)
    last = other.nodes[-1]
    last.inputs[1] = gs.Constant("turned", -np.array(last.inputs[1].values))
    taught = sensitivities(graph, found, split, RAW, other)
    assert any(taught[unit] > 1.5 * alone[unit] for unit in alone)


def test_the_loss_is_that_of_labels_and_of_what_another_network_answers() -> None:
    graph, split = network(), images(20)
    assert loss_of(graph, split, RAW, graph) == pytest.approx(losses(graph, split).mean(), rel=1e-5)
    other = copy_graph(graph)
    last = other.nodes[-1]
    last.inputs[1] = gs.Constant("turned", -np.array(last.inputs[1].values))
    own, known = (answers(of, split, RAW).logits[-1].astype(np.float64) / 4 for of in (graph, other))
    own, known = (v - np.log(np.exp(v).sum(1, keepdims=True)) for v in (own, known))
    apart = 16 * (np.exp(known) * (known - own)).sum(1)  # temperature 4
    expected = (losses(graph, split) + apart).mean()
    assert loss_of(graph, split, RAW, other) == pytest.approx(expected, rel=1e-4)
