from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from eecompile.training.integers.live_form import (
    LiveLayer,
    freeze,
    hold_converters,
    in_arrays,
    live_form,
    with_bits,
)
from eecompile.training.operators.step import SNAP
from eecompile.training.torch_graph import TorchGraph
from passes.errors import InputError
from passes.integers.analog import affine_key, converter_key
from passes.state import QuantGrid, copy_graph, state_of
from tests.eecompile.training.integers.test_analog_form import file_answers, images, network


def formed(seed: int = 0) -> tuple[gs.Graph, gs.Graph, dict[str, LiveLayer]]:
    """Return a calibrated network of one and of three chunks, and its live form."""
    graph = network(seed)
    freeze(*_apart(graph))  # affines on the finest steps that hold them, as calibration has them
    form, layers = live_form(graph, graph)
    return graph, form, layers


def _apart(graph: gs.Graph) -> tuple[gs.Graph, gs.Graph, dict[str, LiveLayer]]:
    form, layers = live_form(graph, graph)
    return form, graph, layers


def answers(form: gs.Graph) -> np.ndarray:
    with torch.no_grad():
        found: np.ndarray = TorchGraph(form).eval()(torch.from_numpy(images()))[0].numpy()
    return found


def grids(graph: gs.Graph) -> dict[str, QuantGrid]:
    return dict(state_of(graph).grids)


def test_what_was_not_trained_is_frozen_to_the_same_bits() -> None:
    graph, form, layers = formed()
    assert set(layers) == {node.name for node in in_arrays(graph)}
    before = file_answers(graph)
    freeze(form, graph, layers)
    np.testing.assert_array_equal(file_answers(graph), before)


def test_the_form_answers_as_the_file_does_but_for_the_bits_of_the_affine() -> None:
    """Seldom a value lies so near to a tie that the 16 bits of the affine tell; then it is one step off."""
    graph, form, _ = formed()
    found, expected = answers(form), file_answers(graph)
    assert np.unique(expected).size > 10
    assert (np.abs(found - expected) < 1e-3).mean() > 0.95


def test_trained_values_are_those_of_the_file() -> None:
    graph, form, layers = formed()
    rng, constants = np.random.default_rng(1), form.tensors()
    for layer in layers.values():
        gain, shift, mean, variance = (constants[name] for name in layer.affine)
        gain.values = gain.values * rng.uniform(0.7, 1.4, gain.shape).astype(np.float32)
        shift.values = shift.values + rng.normal(scale=0.2, size=shift.shape).astype(np.float32)
        mean.values = mean.values + rng.normal(scale=0.2, size=mean.shape).astype(np.float32)
        variance.values = rng.uniform(0.5, 2, variance.shape).astype(np.float32)
        weights = constants[layer.weights]
        weights.values = weights.values + rng.normal(scale=0.4, size=weights.shape).astype(np.float32)
        constants[layer.octaves].values = np.array(0.7, np.float32)
    before, untrained = grids(graph), file_answers(graph)
    freeze(form, graph, layers)
    after, found = grids(graph), file_answers(graph)
    assert (np.abs(answers(form) - found) < 1e-3).mean() > 0.95
    assert not np.array_equal(found, untrained)
    for node in in_arrays(graph):
        key = converter_key(node)
        assert after[key].scale == (2 * before[key].scale[0],), ".7 octaves are one: a power of two is kept"
        assert np.log2(after[affine_key(node)].scale[0]) % 1 == 0


def test_a_converter_that_is_held_has_the_power_of_two_it_was_nearest_to() -> None:
    _, form, layers = formed()
    constants = form.tensors()
    for layer in layers.values():
        constants[layer.octaves].values = np.array(-0.7, np.float32)
    before = answers(form)
    hold_converters(form, layers)
    assert {float(constants[layer.octaves].values) for layer in layers.values()} == {-1.0}
    np.testing.assert_array_equal(answers(form), before)


def test_a_channel_that_is_turned_around_turns_its_weights() -> None:
    graph, form, layers = formed()
    constants, name = form.tensors(), next(iter(layers))
    gain = constants[layers[name].affine[0]]
    node = next(node for node in graph.nodes if node.name == name)
    before = np.sign(np.rint(node.inputs[1].values / _along(graph, node)))
    gain.values = gain.values * np.where(np.arange(len(gain.values)) == 1, -1, 1).astype(np.float32)
    freeze(form, graph, layers)
    after = np.sign(np.rint(node.inputs[1].values / _along(graph, node)))
    np.testing.assert_array_equal(after[1], -before[1])
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
    assert min(grids(graph)[node.inputs[1].name].scale) > 0


def test_a_channel_that_never_varies_takes_no_bits_of_the_affine() -> None:
    graph, form, layers = formed()
    name, layer = next(iter(layers.items()))
    node = next(node for node in graph.nodes if node.name == name)
    form.tensors()[layer.affine[3]].values[0] = 0.0
    before = grids(graph)[affine_key(node)].scale[0]
    freeze(form, graph, layers)
    assert grids(graph)[affine_key(node)].scale[0] <= 2 * before


def test_values_that_are_no_numbers_are_refused_and_nothing_is_written() -> None:
    graph, form, layers = formed()
    before, kept = file_answers(graph), grids(graph)
    form.tensors()[next(iter(layers.values())).weights].values[0] = np.nan
    with pytest.raises(InputError, match="diverged"):
        freeze(form, graph, layers)
    np.testing.assert_array_equal(file_answers(graph), before)
    assert grids(graph) == kept


@pytest.mark.parametrize(("bits", "count"), [(2, 3), (4, 15), (8, 255)])
def test_stages_have_as_many_levels_as_their_bits_between_the_same_bounds(bits: int, count: int) -> None:
    _, form, layers = formed()
    staged = with_bits(form, layers, bits)
    masters = {layer.weights for layer in layers.values()}
    for node in (n for n in staged.nodes if n.op == SNAP and n.inputs[0].name in masters):
        lone = copy_graph(staged)
        lone.outputs = [lone.tensors()[node.outputs[0].name]]
        state_of(lone).exits = []
        lone.cleanup(remove_unused_graph_inputs=False)
        module: Any = TorchGraph(lone)
        with torch.no_grad():
            module.value(node.inputs[0].name).copy_(torch.linspace(-3, 3, node.inputs[0].values.size).reshape(
                node.inputs[0].values.shape))  # fmt: skip
            found = module(torch.from_numpy(images()))[0].numpy()
        assert len(np.unique(found)) <= count
        assert len(np.unique(found)) == min(count, len(np.unique(found)))
        assert np.abs(found).max() == pytest.approx(1.0 if bits == 2 else 1.5)
    assert answers(staged).shape == answers(form).shape
    assert (bits == 2) == np.array_equal(answers(staged), answers(form))


def test_all_that_a_layer_has_learns_and_statistics_follow() -> None:
    _, form, layers = formed()
    module: Any = TorchGraph(form).train()
    named = [name for layer in layers.values() for name in (layer.weights, layer.octaves, *layer.affine[:2])]
    for name in named:
        module.value(name).requires_grad_(True)
    before = [module.value(layer.affine[2]).clone() for layer in layers.values()]
    (module(torch.from_numpy(images()))[0] - 1).square().mean().backward()
    for name in named:
        assert float(module.value(name).grad.abs().sum()) > 0, name
    for value, layer in zip(before, layers.values(), strict=True):
        assert not torch.equal(value, module.value(layer.affine[2]))


def _along(graph: gs.Graph, node: gs.Node) -> np.ndarray:
    found: np.ndarray = np.array(grids(graph)[node.inputs[1].name].scale).reshape(-1, 1, 1, 1)
    return found
