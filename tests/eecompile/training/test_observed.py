"""What tensors look like on images."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile.training.device import Device
from eecompile.training.observed import moments
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
