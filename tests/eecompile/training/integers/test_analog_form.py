from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from eecompile.runtime.sessions import session
from eecompile.training.integers.quantized_form import quantized_form
from eecompile.training.operators.analog import NOISE
from eecompile.training.torch_graph import TorchGraph, learnt_constants
from passes.integers.quantize import Quantize
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.state import copy_graph, state_of
from tests.passes.integers.analog_nets import draw_grids
from tests.passes.net_builder import NetBuilder


def network(seed: int = 0) -> gs.Graph:
    """Return convolutions of one and of three chunks around a skip, weights beside their grids."""
    net = NetBuilder((1, 3, 7, 6), seed)
    x = net.op("Relu", net.conv("x", 3, 260))
    y = net.op("Relu", net.conv(x, 260, 6, strides=[2, 2]))
    z = net.op("Relu", net.op("Add", net.conv(y, 6, 6, bias=False), y))
    graph = from_model(net.model(net.op("Flatten", z)))
    draw_grids(graph, seed)
    rng = np.random.default_rng(seed)
    for node in graph.nodes:
        if node.op == "Conv":
            values = node.inputs[1].values
            node.inputs[1].values = (values + rng.normal(scale=0.1, size=values.shape)).astype(np.float32)
    return graph


def images(count: int = 12) -> np.ndarray:
    found: np.ndarray = np.random.default_rng(4).normal(size=(count, 3, 7, 6)).astype(np.float32)
    return found


def file_answers(graph: gs.Graph) -> np.ndarray:
    file = copy_graph(graph)
    Quantize()(file)
    found: np.ndarray = session(to_model(file, "N")).run(None, {"x": images()})[0]
    return found


def answers(module: TorchGraph) -> np.ndarray:
    with torch.no_grad():
        found: np.ndarray = module(torch.from_numpy(images()))[0].numpy()
    return found


def test_torch_and_the_file_agree_to_the_bit_before_and_after_training() -> None:
    graph = network()
    form = quantized_form(graph)
    assert set(learnt_constants(form)) == set(learnt_constants(graph))
    module: Any = TorchGraph(form).eval()
    assert not module.mapped, "images run as one batch"
    np.testing.assert_array_equal(answers(module), file_answers(graph))
    learnt = [module.value(name) for name in learnt_constants(form)]
    optimizer = torch.optim.SGD(learnt, 0.05)
    before = {name: module.value(name).detach().clone() for name in learnt_constants(form)}
    module.train()
    for _ in range(5):
        optimizer.zero_grad()
        (module(torch.from_numpy(images()))[0] - 1).square().mean().backward()
        assert all(value.grad is not None and bool(value.grad.abs().sum() > 0) for value in learnt)
        optimizer.step()
    assert all(not torch.equal(module.value(name), value) for name, value in before.items())
    module.eval()
    untrained = file_answers(graph)
    module.write_back(graph, before)
    found = file_answers(graph)
    np.testing.assert_array_equal(answers(module), found)
    assert (found != untrained).any()


def test_noise_is_drawn_in_training_alone_as_strong_as_the_array_has_it() -> None:
    graph = network()
    form = quantized_form(graph)
    drawn = [node for node in form.nodes if node.op == NOISE]
    assert len(drawn) == 1 + 3 + 1, "each chunk has a converter of its own"
    assert [node.attrs["deviation"] for node in drawn] == pytest.approx([1 / 25] * 5)
    module: Any = TorchGraph(form)
    module.train()
    assert (answers(module) != answers(module)).any()
    module.eval()
    np.testing.assert_array_equal(answers(module), answers(module))


def test_an_array_of_which_no_noise_is_known_draws_none() -> None:
    graph = network()
    known = state_of(graph).precisions
    for name, precision in known.items():
        if precision.array is not None:
            array = precision.array.__class__(**{**vars(precision.array), "noise_db": None})
            known[name] = precision.__class__(**{**vars(precision), "array": array})
    assert not any(node.op == NOISE for node in quantized_form(graph).nodes)
