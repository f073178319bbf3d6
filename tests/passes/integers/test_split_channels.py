"""Parts compute what the convolution computed, run anywhere, and are found again."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile.runtime.sessions import session
from passes.base import Pipeline, to_text
from passes.errors import InputError, PassError
from passes.integers.channel_parts import channel_parts
from passes.integers.split_channels import SplitChannels
from passes.model.constants import is_symbolic
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pass
from passes.state import QuantGrid, state_of
from tests.passes.equivalence import check_stable
from tests.passes.net_builder import NetBuilder


def network() -> gs.Graph:
    """Return Conv-Relu, Conv-Clip, Conv-Add, Conv-Gemm on a 4x4 image."""
    net = NetBuilder((1, 3, 4, 4))
    stem = net.op("Relu", net.conv("x", 3, 8))
    deep = net.op("Clip", net.conv(stem, 8, 8, bias=False), net.const(0.0), net.const(6.0))
    both = net.op("Add", net.conv(deep, 8, 8), stem)
    last = net.op("Flatten", net.conv(both, 8, 4, strides=[2, 2]))
    return from_model(net.model(net.op("Gemm", last, net.normal(16, 3))))


def answers(graph: gs.Graph, images: np.ndarray) -> np.ndarray:
    return np.asarray(session(to_model(graph)).run(None, {"x": images})[0])


@pytest.mark.parametrize("at", ["n0_Conv/8:3", "n2_Conv/8:4:2", "n4_Conv/8:1", "n6_Conv/4:2"])
def test_parts_compute_what_the_whole_did(at: str) -> None:
    graph, images = network(), np.random.default_rng(0).normal(size=(1, 3, 4, 4)).astype(np.float32)
    before, name = answers(graph, images), at.partition("/")[0]
    written = {t.name for node in graph.nodes for t in node.outputs}
    step = SplitChannels((at,))
    assert parse_pass(to_text(step)) == step
    assert step(graph)
    ours = [node for node in graph.nodes if node.name.startswith(f"{name}.")]
    sizes = [int(size) for size in at.split(":")[1:]]
    whole = int(at[at.index("/") + 1 : at.index(":")])
    found = [int(node.inputs[1].shape[0]) for node in ours if node.op == "Conv"]
    assert found == [*sizes, whole - sum(sizes)]
    np.testing.assert_allclose(answers(graph, images), before, rtol=1e-5, atol=1e-5)
    now = {t.name for node in graph.nodes for t in node.outputs}
    assert len(written - now) <= 1, "only what lies between a convolution and its activation"
    assert {origin for node in ours for origin in state_of(graph).origins[node.name]} == {name}
    check_stable(graph, Pipeline((step,)))
    (parts,) = channel_parts(graph)
    assert parts.join.name == f"{name}.join" and [part.name for part in parts.parts] == [
        f"{name}.{number}" for number in range(len(found))
    ]


def test_a_network_without_weights_is_split_too() -> None:
    graph = network()
    for node in graph.nodes:
        for tensor in node.inputs[1:] if node.op == "Conv" else ():
            tensor.values = np.broadcast_to(np.ones((), np.float32), tensor.shape)
    state_of(graph).symbolic = True
    assert SplitChannels(("n0_Conv/8:3",))(graph)
    parts = [node.inputs[1] for node in graph.nodes if node.name in ("n0_Conv.0", "n0_Conv.1")]
    assert [(part.shape[0], is_symbolic(part.values)) for part in parts] == [(3, True), (5, True)]


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("n0_Conv", "`at` cannot be 'n0_Conv'"),
        ("n0_Cnv/8:3", "'n0_Cnv' is no node of this network\ndid you mean"),
        ("n1_Relu/8:3", "'n1_Relu' is no convolution of one group"),
        ("n0_Conv/9:3", "'n0_Conv' has 8 channels"),
        ("n0_Conv/8:4:4", "each part needs one at least"),
        ("n0_Conv/8:0", "each part needs one at least"),
    ],
)
def test_what_cannot_be_split_is_an_error(at: str, message: str) -> None:
    with pytest.raises(InputError) as told:
        SplitChannels((at,))(network())
    assert message in str(told.value)


def test_what_is_quantized_and_what_leaves_the_network_is_not_split() -> None:
    net = NetBuilder((1, 3, 4, 4))
    graph = from_model(net.model(net.conv(net.conv("x", 3, 4), 4, 4)))
    with pytest.raises(InputError, match="'n1_Conv' writes an output of the network"):
        SplitChannels(("n1_Conv/4:2",))(graph)
    state_of(graph).grids["x"] = QuantGrid((1.0,), 0, -1, 1, "int8")
    with pytest.raises(PassError, match="split before `quantize`"):
        SplitChannels(("n0_Conv/4:2",))(graph)
