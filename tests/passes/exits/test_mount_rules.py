"""What the network knows of all tensors at once, against what is asked of one tensor at a time."""

from __future__ import annotations

import math

import onnx_graphsurgeon as gs
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.exits.mount_rules import DataFlow
from passes.macs import node_macs
from passes.model.graph import from_model
from passes.rewrite.rewriter import dims
from tests.passes.net_builder import NetBuilder


@st.composite
def flows(draw: st.DrawFn) -> gs.Graph:
    """Draw convolutions, activations and sums that read what was made before them, anywhere."""
    net = NetBuilder((1, 2, 4, 4))
    made = ["x"]
    for _ in range(draw(st.integers(1, 14))):
        kind = draw(st.sampled_from(("conv", "conv", "relu", "add", "add")))
        near = st.integers(max(0, len(made) - draw(st.sampled_from((1, 2, 3, 20)))), len(made) - 1)
        source = made[draw(near)]
        if kind == "conv":
            made.append(net.conv(source, 2, 2, kernel=draw(st.sampled_from((1, 3))), bias=False))
        elif kind == "relu":
            made.append(net.op("Relu", source))
        else:
            made.append(net.op("Add", source, made[draw(near)]))
    unread = [t for t in made[1:] if not any(t in node.input for node in net.nodes)]
    outputs = draw(st.lists(st.sampled_from(unread), min_size=1, max_size=3, unique=True))
    flat = [net.op("Flatten", net.op("GlobalAveragePool", name)) for name in outputs]
    return from_model(net.model(*(net.op("Gemm", x, net.normal(3, 2), transB=1) for x in flat)))


class Flow:
    """The same questions, each answered from scratch by following arrows."""

    def __init__(self, graph: gs.Graph) -> None:
        self.graph = graph
        self.readers: dict[str, list[gs.Tensor]] = {}
        for node in graph.nodes:
            for tensor in node.inputs:
                self.readers.setdefault(tensor.name, []).extend(node.outputs)

    def behind(self, name: str, without: str = "") -> set[str]:
        """Return what depends on a tensor, by ways that do not lead through ``without``."""
        found: set[str] = set()
        pending = [name]
        while pending:
            for tensor in self.readers.get(pending.pop(), []):
                if tensor.name not in found and tensor.name != without:
                    found.add(tensor.name)
                    pending.append(tensor.name)
        return found

    def macs_before(self, tensor: gs.Tensor) -> int:
        return sum(
            node_macs(node)
            for node in self.graph.nodes
            if node.outputs[0] is tensor or tensor.name in self.behind(node.outputs[0].name)
        )

    def dominates(self, tensor: gs.Tensor, other: str) -> bool:
        entry = self.graph.inputs[0].name
        return tensor.name in (entry, other) or other not in self.behind(entry, without=tensor.name)


@settings(deadline=None, max_examples=150)
@given(flows())
def test_every_answer_is_that_of_following_the_arrows(graph: gs.Graph) -> None:
    network, flow = DataFlow(graph), Flow(graph)
    final = network.final
    heaviest = max(flow.macs_before(t) for t in graph.outputs)
    assert flow.macs_before(final) == heaviest
    for tensor in network.tensors:
        behind = flow.behind(tensor.name)
        assert network.macs_before(tensor) == flow.macs_before(tensor)
        toward = final.name in behind or tensor is final
        assert network.leads_to_final(tensor) is toward
        ends = [t.name for t in graph.outputs if t.name in behind or t is tensor]
        assert network.ends_in(tensor) == ends
        if toward:
            passed = flow.dominates(tensor, final.name)
            assert network.is_passed(tensor) is passed
            if not passed:
                first = next(
                    t for t in network.tensors if t.name in behind and not flow.dominates(tensor, t.name)
                )
                assert network.joining(tensor) == network.name(first)
        spatial = {
            node.outputs[0].name
            for node in graph.nodes
            if node.op == "Conv" and math.prod(dims(node.outputs[0])[2:]) > 1
        }
        on_the_way = {name for name in behind if name == final.name or final.name in flow.behind(name)}
        if network.is_passed(tensor):
            assert (network.why_nothing_to_save(tensor) is None) is bool(spatial & on_the_way)
