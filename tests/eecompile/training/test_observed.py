"""What tensors look like on images."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from eecompile.training.device import Device
from eecompile.training.observed import estimate_statistics, fit_normalizations, moments
from eecompile.training.torch_graph import TorchGraph
from eecompile.training.training_form import normalized
from passes.model.writing import to_model
from passes.state import copy_graph, state_of
from tests.eecompile.training.small import network, split
from tests.passes.equivalence import run_model


def test_they_are_those_that_onnxruntime_computes() -> None:
    graph, x = network(), split(150, 3).x
    mount = state_of(graph).exits[0].mount
    final = state_of(graph).exits[-1].output
    found = moments(graph, [mount, final], lambda piece: [x[piece]], len(x), Device("cpu", False))
    tapped = copy_graph(graph)
    tapped.outputs = [tapped.tensors()[name] for name in (mount, final)]
    state_of(tapped).exits = []
    for name, value in zip((mount, final), run_model(to_model(tapped, "N"), x), strict=True):
        rows = np.moveaxis(value, 1, 0).reshape(value.shape[1], -1).astype(np.float64)
        np.testing.assert_allclose(found[name].mean, rows.mean(axis=1), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found[name].variance, rows.var(axis=1), rtol=1e-4, atol=1e-6)
        assert found[name].deviation == pytest.approx(rows.std(), rel=1e-4)


def test_nothing_is_run_for_nothing() -> None:
    assert moments(network(), [], lambda _: 1 / 0, 5, Device("cpu", False)) == {}  # type: ignore[arg-type,return-value]


def test_estimated_statistics_are_means_of_those_of_batches() -> None:
    form, x = normalized(network(), "all", 0.9), split(96, 3).x
    module, device = TorchGraph(form), Device("cpu", False)
    estimate_statistics(
        form, module, ((torch.from_numpy(x[piece]),) for piece in (slice(0, 48), slice(48, 96))), device
    )
    norm = next(node for node in form.nodes if node.op == "BatchNormalization")
    name = norm.inputs[0].name
    shown = (lambda _: [x[:48]], lambda _: [x[48:]])
    parts = [moments(form, [name], given, 48, device)[name] for given in shown]
    for tensor, key in zip(norm.inputs[3:5], ("mean", "variance"), strict=True):
        expected = np.mean([getattr(part, key) for part in parts], axis=0)
        np.testing.assert_allclose(
            module.value(tensor.name).numpy(force=True), expected, rtol=1e-3, atol=1e-5
        )


def test_normalizations_that_are_fitted_compute_what_they_did_and_normalize_by_the_images() -> None:
    form, x = normalized(network(), "all", 0.9), split(150, 3).x
    shown = torch.from_numpy(x)
    with torch.no_grad():
        before = TorchGraph(form).eval()(shown)[-1]
    norms = [node for node in form.nodes if node.op == "BatchNormalization"]
    seen = moments(form, [n.inputs[0].name for n in norms], lambda s: [x[s]], len(x), Device("cpu", False))
    fit_normalizations(norms, seen)
    with torch.no_grad():
        torch.testing.assert_close(TorchGraph(form).eval()(shown)[-1], before, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(TorchGraph(form).train()(shown)[-1], before, rtol=1e-3, atol=1e-3)
