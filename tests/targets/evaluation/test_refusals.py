"""What is refused: exactly the layers that no core takes, whatever else is wrong with the network."""

from __future__ import annotations

import re

import onnx_graphsurgeon as gs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.errors import NoSolutionError
from passes.fuse_layers import FuseLayers
from passes.model.graph import from_model
from targets.contract.registry import load_target
from targets.contract.target import Target
from targets.evaluation.report import evaluate
from targets.network.workload import build_workload
from tests.passes.net_builder import NetBuilder

TARGETS = {name: load_target(name) for name in ("diana", "gap9", "edge_tpu_quad", "max78000", "max78002")}
# Layers that some chips take and some do not, by what they are made of.
KINDS = (
    "conv",
    "dilated",
    "grouped",
    "depthwise",
    "wide",
    "stride",
    "relu",
    "sigmoid",
    "cosine",
    "cumulative",
    "turn",
)


@st.composite
def networks(draw: st.DrawFn) -> gs.Graph:
    """Draw a chain of layers on [1, 4, 8, 8], some of which no core takes."""
    net = NetBuilder((1, 4, 8, 8))
    x = "x"
    for kind in draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=6)):
        if kind in ("relu", "sigmoid"):
            x = net.op(kind.capitalize(), x)
        elif kind == "cosine":
            x = net.op("Cos", x)
        elif kind == "cumulative":
            x = net.op("CumSum", x, net.const(3, "int64"))
        elif kind == "turn":
            x = net.op("Transpose", x, perm=[0, 1, 3, 2])
        else:
            x = _conv(net, x, kind)
    flat = net.op("Flatten", net.op("GlobalAveragePool", x))
    graph = from_model(net.model(net.op("Gemm", flat, net.normal(4, 4), transB=1)))
    FuseLayers()(graph)
    return graph


def _conv(net: NetBuilder, x: str, kind: str) -> str:
    if kind == "dilated":
        return net.conv(x, 4, 4, dilations=[2, 2], pads=[2, 2, 2, 2])
    if kind == "stride":
        return net.conv(
            net.op("Resize", x, "", net.const([1, 1, 3, 3])), 4, 4, kernel=3, strides=[3, 3], pads=[0] * 4
        )
    kernel = 9 if kind == "wide" else 3
    return net.conv(x, 4, 4, kernel, group={"grouped": 2, "depthwise": 4}.get(kind, 1))


def taken(target: Target, graph: gs.Graph) -> dict[str, bool]:
    """Return whether some core runs each layer and has none of its rules broken, one rule at a time."""
    found = {}
    for layer in build_workload(graph, target.precision).layers:
        rules = [target.support(core.name).get(layer.op_type) for core in target.arch.cores]
        found[layer.name] = any(
            all(rule(layer, target.arch) for rule in kept) for kept in rules if kept is not None
        )
    return found


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=25, deadline=None)
@given(graph=networks())
def test_a_refusal_lists_exactly_the_layers_that_no_core_takes(name: str, graph: gs.Graph) -> None:
    expected = taken(TARGETS[name], graph)
    refused = sorted(layer for layer, ok in expected.items() if not ok)
    report = evaluate(graph, TARGETS[name], allow_refused=True)
    assert sorted(refusal.layer for refusal in report.refusals) == refused
    assert all(refusal.reasons for refusal in report.refusals)
    if not refused:
        evaluate(graph, TARGETS[name])
        return
    with pytest.raises(NoSolutionError) as caught:
        evaluate(graph, TARGETS[name])
    assert caught.value.message.startswith(f"{len(refused)} of {len(expected)} layers cannot be placed")
    said = set(re.findall(r"\w+", caught.value.hint))
    assert [layer for layer in expected if layer in said] == [n for n in expected if n in refused]
