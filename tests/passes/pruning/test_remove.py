"""Networks without some of their channels."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from passes.model.constants import is_symbolic
from passes.model.graph import from_model
from passes.pruning.groups import find_groups
from passes.pruning.remove import remove_channels
from passes.state import state_of
from tests.passes.small_nets import EARLY, chain, two_exits


def test_names_exits_and_origins_stay_true() -> None:
    graph = from_model(two_exits())
    names, origins = [node.name for node in graph.nodes], dict(state_of(graph).origins)
    tensors = set(graph.tensors())
    found = find_groups(graph)
    stem = found.groups[0]
    assert remove_channels(graph, found, {stem.units[1]})
    assert [node.name for node in graph.nodes] == names
    assert tensors <= set(graph.tensors())
    assert state_of(graph).origins == origins
    shapes = {t.name: list(t.shape) for t in graph.tensors().values()}
    assert shapes[EARLY] == [1, 3]
    assert shapes["n0_Conv_out"] == [1, 3, 4, 4]
    assert graph.nodes[3].inputs[1].shape == (3, 48)  # the early exit reads each pixel of a channel


def test_absent_weights_stay_absent() -> None:
    graph = from_model(chain())
    for tensor in graph.tensors().values():
        if isinstance(tensor, gs.Constant):
            tensor.values = np.broadcast_to(np.ones((), np.float32), tensor.shape)
    state_of(graph).symbolic = True
    found = find_groups(graph)
    remove_channels(graph, found, set(found.groups[0].units[:2]))
    assert graph.nodes[0].inputs[1].shape == (2, 2, 3, 3)
    assert is_symbolic(graph.nodes[0].inputs[1].values)


def test_what_cannot_go_is_refused() -> None:
    graph = from_model(chain())
    found = find_groups(graph)
    with pytest.raises(ValueError, match="no channel of 'conv_0' would stay"):
        remove_channels(graph, found, set(found.groups[0].units))
    with pytest.raises(ValueError, match="cannot go"):
        remove_channels(graph, found, {found.made["n8_Gemm"][0]})
    assert not remove_channels(graph, found, set())
    assert list(graph.nodes[0].inputs[1].shape) == [4, 2, 3, 3]
