"""Learnt steps: one per grid, and the file has those that were trained."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx_graphsurgeon as gs
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from eecompile.exits.answers import answers
from eecompile.training.integers.learnt_steps import LearntSteps, learn_steps
from eecompile.training.integers.quantized_form import quantized_form
from eecompile.training.torch_graph import TorchGraph
from passes.errors import InputError
from passes.integers.channel_parts import channel_parts
from passes.integers.quantize import Quantize
from passes.number_formats import Levels
from passes.operator_sets import SAME_GRID
from passes.state import copy_graph, state_of
from tests.eecompile.training.quantized_nets import NETWORKS, calibrated, shaken
from tests.eecompile.training.small import RAW, split


def formed(kind: str, name: str) -> tuple[gs.Graph, gs.Graph, LearntSteps]:
    """Return a calibrated network, the form in which it is trained, and what of its steps is learnt."""
    graph = shaken(calibrated(NETWORKS[kind](), name))
    form = quantized_form(graph)
    return graph, form, learn_steps(form, graph)


def learn(form: gs.Graph, steps: LearntSteps, most: float) -> None:
    """Let all steps be others, each by up to ``most`` octaves."""
    rng, tensors = np.random.default_rng(1), form.tensors()
    for name in steps.octaves.values():
        shape = tensors[name].values.shape
        tensors[name].values = rng.uniform(-most, most, shape).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("skip", "int8-pow2"), ("shared", "int8-pow2"), ("skip", "int8-channel"), ("reuse", "int4-channel"),
        ("shared", "int2-channel"), ("parts", "int8-pow2"), ("parts", "int8-channel"),
    ],
)  # fmt: skip
def test_the_file_has_the_steps_that_were_learnt(kind: str, name: str) -> None:
    graph, form, steps = formed(kind, name)
    assert steps.grids(form, graph) == state_of(graph).grids, "nothing is learnt yet"
    learn(form, steps, 1.4)
    before, state_of(graph).grids = state_of(graph).grids, steps.grids(form, graph)
    changed = [state_of(graph).grids[tensor] != before[tensor] for tensor in steps.octaves]
    assert all(changed) if name.endswith("channel") else any(changed), "powers of two: some rounded back"
    file, seen = copy_graph(graph), split(64, 9)
    Quantize()(file)
    with torch.no_grad():
        found = TorchGraph(form)(torch.from_numpy(seen.x))
    for ours, theirs in zip(found, answers(file, seen, RAW).logits, strict=True):
        if name == "int8-pow2":
            assert np.array_equal(ours.numpy(), theirs)
        # what lies between two integers may be rounded the other way: onnxruntime rescales sums by a float32
        near = np.abs(ours.numpy() - theirs).max(axis=1) <= 1e-5 * np.abs(theirs).max()
        assert near.mean() > 0.9
        assert (ours.numpy().argmax(1) == theirs.argmax(1)).all()
        assert len(np.unique(theirs)) > 10, "the images are told apart"


def test_a_network_in_an_analog_array_keeps_its_steps() -> None:
    graph, form, steps = formed("chain", "ternary-analog")
    assert not steps.octaves and steps.grids(form, graph) == state_of(graph).grids


def test_every_grid_has_one_step_and_what_moves_values_that_of_what_it_moves() -> None:
    graph, form, steps = formed("skip", "int8-channel")
    grids = state_of(graph).grids
    moving = {n.outputs[0].name: n.inputs[0].name for n in graph.nodes if n.op in SAME_GRID} & grids.keys()
    moved = {n.outputs[0].name: n.inputs[0].name for n in graph.nodes if n.outputs[0].name in moving}
    assert moved and set(steps.octaves) == grids.keys() - moved.keys()
    assert all(steps.steps[name] == steps.steps[source] for name, source in moved.items())
    learn(form, steps, 1.0)
    found = steps.grids(form, graph)
    assert all(found[name] == found[source] for name, source in moved.items())
    read = {t.name for n in form.nodes if n.op.endswith("eLinear") for t in n.inputs[1:2]}
    assert not read & {t.name for t in form.tensors().values() if isinstance(t, gs.Constant)}
    scales = {name: np.shape(form.tensors()[octaves].values) for name, octaves in steps.octaves.items()}
    assert {shape != () for name, shape in scales.items() if grids[name].axis == 0} == {True}


def test_where_a_core_only_shifts_a_result_is_no_finer_than_its_sums() -> None:
    graph, form, steps = formed("skip", "int8-pow2")
    learn(form, steps, 12.0)
    grids = steps.grids(form, graph)
    for node in (n for n in graph.nodes if n.op in ("Conv", "Add")):
        written = node.outputs[0] if node.outputs[0].name in grids else node.outputs[0].outputs[0].outputs[0]
        read = [grids[t.name].scale[0] for t in node.inputs if t.name in grids]
        finest = min(read) if node.op == "Add" else math.prod(read)
        assert grids[written.name].scale[0] >= finest, node.name
        assert math.log2(grids[written.name].scale[0]).is_integer()
    asked = {
        name: state_of(graph).grids[name].scale[0] * 2 ** float(np.rint(form.tensors()[octaves].values))
        for name, octaves in steps.octaves.items()
    }
    held = {name for name, scale in asked.items() if grids[name].scale[0] > scale}
    assert held and held < asked.keys() and all(grids[name].scale[0] >= asked[name] for name in asked)


@pytest.mark.parametrize("name", ["int8-pow2", "int8-channel"])
def test_parts_of_a_convolution_stay_on_the_grid_of_the_whole(name: str) -> None:
    graph, form, steps = formed("parts", name)
    (found,) = channel_parts(graph)
    assert [tensor in steps.octaves for tensor in found.tensors] == [False, False, True]
    learn(form, steps, 6.0)
    grids = steps.grids(form, graph)
    assert len({grids[tensor] for tensor in found.tensors}) == 1
    assert grids[found.tensors[0]] != state_of(graph).grids[found.tensors[0]]


def test_zero_points_stay_and_levels_too() -> None:
    graph = calibrated(NETWORKS["chain"](), "int8-channel")
    state = state_of(graph)
    entry = graph.inputs[0].name
    state.grids[entry] = replace(state.grids[entry], zero_point=101, low=3)
    form = quantized_form(graph)
    steps = learn_steps(form, graph)
    learn(form, steps, 1.0)
    found = steps.grids(form, graph)[entry]
    assert (found.zero_point, found.low) == (101, 3) and found.scale != state.grids[entry].scale


def test_all_steps_get_gradients_and_one_that_is_none_is_told() -> None:
    graph, form, steps = formed("shared", "int8-channel")
    module = TorchGraph(form)
    for name in steps.octaves.values():
        module.value(name).requires_grad_(True)
    sum(y.square().sum() for y in module(torch.from_numpy(split(8, 1).x))).backward()
    for tensor, name in steps.octaves.items():
        gradient = module.value(name).grad
        assert gradient is not None and bool(gradient.abs().sum() > 0), tensor
    tensor, name = next(iter(steps.octaves.items()))
    form.tensors()[name].values = np.full(form.tensors()[name].values.shape, np.nan, np.float32)
    with pytest.raises(InputError, match=f"the step of '{tensor}' is not finite"):
        steps.grids(form, graph)


def test_the_step_of_a_value_moves_as_trained_thresholds_do() -> None:
    """By the rounding error inside of the levels, by the level at their end outside (TQT, equation 6)."""
    graph, form, steps = formed("chain", "int8-channel")
    entry = graph.inputs[0]
    quantize = next(n for n in form.nodes if n.op == "QuantizeLinear" and n.inputs[0].name == entry.name)
    end = quantize.outputs[0].outputs[0].outputs[0]
    form.outputs, state_of(form).exits = [end], []
    form.cleanup(remove_unused_graph_inputs=False)
    module = TorchGraph(form)
    octaves = module.value(steps.octaves[entry.name]).requires_grad_(True)
    step = state_of(graph).grids[entry.name].scale[0]
    x = torch.zeros(1, *entry.shape[1:])
    x[0, 0, 0, :4] = step * torch.tensor([3.25, -7.4, 1000.0, -1000.0])
    module(x)[0].sum().backward()
    expected = (-0.25 + 0.4 + 127 - 128) * step * math.log(2)
    assert octaves.grad is not None and float(octaves.grad) == pytest.approx(expected, rel=1e-4)


def test_levels_of_weights_say_whether_their_steps_are_powers_of_two() -> None:
    graph = calibrated(NETWORKS["chain"](), "int8-pow2")
    state, node = state_of(graph), next(n for n in graph.nodes if n.op == "Conv")
    free = replace(state.precisions[node.name], weights=Levels(-127, 127, 8))
    state.precisions[node.name] = free
    form = quantized_form(graph)
    steps = learn_steps(form, graph)
    learn(form, steps, 0.3)
    grids = steps.grids(form, graph)
    changed = {name for name in grids if grids[name] != state.grids[name]}
    assert changed == {node.inputs[1].name}, "all others are rounded back"
