"""Every family of heads is costed on every built-in target, or refused by its rules, and quantized for it."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

from eecompile.quantization.assignment import assign_precisions
from eecompile.quantization.calibration import calibrate
from passes.exits.chain import head_nodes
from passes.exits.insert_exits import InsertExits, add_rival_heads
from passes.heads.designs import parse_head
from passes.heads.families import FAMILIES
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from targets.contract.registry import BUILTIN, load_target
from targets.evaluation.report import CostReport, evaluate
from targets.evaluation.scheduling import Wishes
from tests.passes.equivalence import batch_of, run_model
from tests.passes.small_nets import chain
from tests.passes.token_nets import mlp

MAPS = (
    "linear", "mlp", "conv", "separable", "conv{kernel=5}", "conv{expansion=1,modules=2,pool=true}",
    "separable{kernel=2}", "linear{reuse=logits}", "mlp{reuse=features}",
)  # fmt: skip
VECTORS = ("linear", "mlp", "conv", "feature", "conv{modules=2}", "feature{reuse=features}")
NETWORKS: dict[str, tuple[Callable[[], onnx.ModelProto], tuple[str, ...]]] = {
    "maps": (lambda: chain(3), MAPS),
    "vectors": (lambda: mlp((8, 12, 10, 9)), VECTORS),
}
_3X3 = "Kernels are 1 x 1 or 3 x 3, or 1 to 9 long where there is one spatial axis"
_DEPTHWISE = "The convolution has one group: MAX78000 has no depthwise convolutions, MAX78002 has"
# Target and head: which of its layers no core takes, and a rule that it breaks.
REFUSED = {
    ("diana", "separable{kernel=2}"): ("conv_1", "Kernels are 1, 3, 5 or 7 along each axis"),
    ("max78000", "conv{kernel=5}"): ("conv", _3X3),
    ("max78002", "conv{kernel=5}"): ("conv", _3X3),
    ("max78000", "separable"): ("conv_1", _DEPTHWISE),
    ("max78000", "separable{kernel=2}"): ("conv_1", _DEPTHWISE),
    ("max78002", "separable{kernel=2}"): ("conv_1", _3X3),
}


@functools.cache
def all_heads(network: str) -> gs.Graph:
    """Return a network with all heads on two mounts; those that reuse are on the second alone."""
    build, heads = NETWORKS[network]
    graph = from_model(build())
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    InsertExits(("2",), "linear")(graph)
    add_rival_heads(graph, [parse_head(head) for head in heads])
    return graph


def costs(graph: gs.Graph, target: str) -> CostReport:
    accelerator = load_target(target)
    fused = copy_graph(graph)
    parse_pipeline(accelerator.pipeline(quantized=False))(fused)
    return evaluate(fused, accelerator, allow_refused=True, wishes=Wishes("layers"))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("target", sorted(BUILTIN))
def test_heads_cost_something_or_break_a_rule(target: str, network: str) -> None:
    graph = all_heads(network)
    report = costs(graph, target)
    cycles = {layer.name: layer.cost.latency_cycles for layer in report.layers}
    refusals = {refusal.layer: refusal for refusal in report.refusals}
    exits = state_of(graph).exits[:-1]
    assert {e.head_name for e in exits} == set(NETWORKS[network][1]) and len(exits) > len(
        NETWORKS[network][1]
    )
    assert {e.head.family.name for e in exits if e.head} == {
        name for name, family in FAMILIES.items() if (2 if network == "maps" else 0) in family.spatial
    }
    refused = set()
    for item in exits:
        layers = [n.name for n in head_nodes(graph, item) if n.op in ("Conv", "Gemm", "Add", "Concat")]
        assert layers
        for name in layers:
            if name in refusals:
                refused.add((target, item.head_name))
                layer, rule = REFUSED[target, item.head_name]
                assert name == f"{item.name}/{layer}"
                assert rule in [reason.rule for reason in refusals[name].reasons] and refusals[name].hint
            else:
                assert cycles[name] > 0
        assert cycles[f"{item.name}.decide"] > 0
    assert len(refusals) == sum((target, e.head_name) in REFUSED for e in exits), "nothing else is refused"
    assert refused == {key for key in REFUSED if key[0] == target and key[1] in NETWORKS[network][1]}


@pytest.mark.parametrize(
    ("target", "network", "shifts"), [("diana", "maps", True), ("gap9", "vectors", False)]
)
def test_heads_are_quantized(target: str, network: str, shifts: bool) -> None:
    images = batch_of(NETWORKS[network][0](), 8)
    quantized = copy_graph(all_heads(network))
    assign_precisions(quantized, load_target(target), allow_refused=True)
    calibrate(quantized, images)
    parse_pipeline("quantize")(quantized)
    lowered = copy_graph(quantized)
    parse_pipeline("fold-qdq")(lowered)
    for item in state_of(lowered).exits[:-1]:
        assert not {node.op for node in head_nodes(lowered, item)} & {"Conv", "Gemm"}, item.head_name
    for image in images[:2]:
        expected = run_model(to_model(quantized), image[None])
        for a, b in zip(run_model(to_model(lowered), image[None]), expected, strict=True):
            if shifts:  # steps that are powers of two leave nothing to round
                np.testing.assert_array_equal(a, b)
            else:
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    before, after = costs(all_heads(network), target), costs(lowered, target)
    assert [(k.name, k.core, k.cost.latency_cycles) for k in after.layers] == [
        (k.name, k.core, k.cost.latency_cycles) for k in before.layers
    ]
