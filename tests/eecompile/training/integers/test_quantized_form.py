"""The form in which quantized graphs are trained computes what their file does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from eecompile.exits.answers import answers
from eecompile.training.integers.quantized_form import quantized_form
from eecompile.training.operators.table import step_of
from eecompile.training.torch_graph import TorchGraph, learnt_constants
from passes.integers.quantize import Quantize
from passes.state import copy_graph, state_of
from tests.eecompile.training.quantized_nets import NETWORKS, calibrated, shaken
from tests.eecompile.training.small import RAW, constants, split

SCHEMES = ["int8-pow2", "int8-channel", "int4-channel", "ternary-analog"]


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("kind", NETWORKS)
def test_torch_and_the_file_give_the_same_answers(kind: str, name: str) -> None:
    graph = shaken(calibrated(NETWORKS[kind](), name))
    form, file, seen = quantized_form(graph), copy_graph(graph), split(64, 9)
    Quantize()(file)
    with torch.no_grad():
        found = TorchGraph(form).eval()(torch.from_numpy(seen.x))
    expected = answers(file, seen, RAW).logits
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5 * np.abs(theirs).max())
        assert (ours.numpy().argmax(1) == theirs.argmax(1)).all()
        assert len(np.unique(theirs)) > 10, "the images are told apart"


@pytest.mark.parametrize("name", ["int8-channel", "ternary-analog"])
def test_real_constants_keep_their_names_and_get_gradients(name: str) -> None:
    graph = calibrated(NETWORKS["shared"](), name)
    form = quantized_form(graph)
    masters = learnt_constants(graph)
    assert set(learnt_constants(form)) == set(masters)
    before, after = constants(graph), constants(form)
    assert all(np.array_equal(before[name], after[name]) for name in masters)
    module: Any = TorchGraph(form)
    sum(y.square().sum() for y in module(torch.from_numpy(split(8, 1).x))).backward()
    assert all(bool(module.value(name).grad.abs().sum() > 0) for name in masters)
    assert not any(module.value(name).requires_grad for name in module.named_values() if name not in masters)


def test_what_lies_outside_of_its_grid_is_held_at_its_end_and_a_bias_within_its_bits() -> None:
    graph = calibrated(NETWORKS["chain"](), "int4-channel")
    state = state_of(graph)
    node = next(n for n in graph.nodes if n.op == "Conv")
    state.precisions[node.name] = state.precisions[node.name].__class__(
        **{**vars(state.precisions[node.name]), "bias_bits": 8}
    )
    node.inputs[1].values, node.inputs[2].values = node.inputs[1].values + 100, node.inputs[2].values + 100
    form = quantized_form(graph)
    clips = {
        n.inputs[0].inputs[0].inputs[0].name: n for n in form.nodes if n.op == "Clip" and n.inputs[0].inputs
    }
    for index, (low, high) in ((1, (121, 135)), (2, (-128, 127))):
        clip = clips[node.inputs[index].name]
        assert [int(t.values) for t in clip.inputs[1:3]] == [low, high]


def test_a_bias_is_rounded_as_in_the_file_where_float32_no_longer_tells_integers_apart() -> None:
    graph = calibrated(NETWORKS["chain"](), "int8-channel")
    node = next(n for n in graph.nodes if n.op == "Conv")
    node.inputs[2].values = np.float32(1e5) * np.array([1.1, -0.7, 0.3, -1.9], np.float32)
    form, file = quantized_form(graph), copy_graph(graph)
    Quantize()(file)
    stored = next(n for n in file.nodes if n.name == node.name).inputs[2].inputs[0].inputs[0].values
    rounding = next(n for n in form.nodes if n.inputs and n.inputs[0].name == node.inputs[2].name)
    found = step_of(rounding).run(*(torch.from_numpy(np.array(t.values)) for t in rounding.inputs[:2]))
    assert np.abs(stored).min() > 2**24 and np.array_equal(found.numpy(), stored)
