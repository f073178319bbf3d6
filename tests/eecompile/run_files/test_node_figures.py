"""What is said of a node is what the schedule says of its layers."""

from __future__ import annotations

import pytest

from eecompile import api
from eecompile.run_files.node_figures import of_file, of_graph, stages_of
from passes.model.file_nodes import FileNode
from passes.model.in_memory import ModelInMemory
from passes.registry import parse_pipeline
from targets.evaluation.report import CostReport
from tests.eecompile.small_models import skip_net


def named() -> ModelInMemory:
    model = skip_net()
    for node in model.graph.node:
        node.name = node.output[0]
    return ModelInMemory(model.SerializeToString())


@pytest.fixture(scope="module")
def report() -> CostReport:
    return api.cost(named().data, exits=["e"], head="linear")


OPERATORS = {
    "a": "Conv", "b": "Relu", "c": "Conv", "d": "Relu", "e": "Add", "f": "Conv", "g": "Relu",
    "h": "GlobalAveragePool", "i": "Flatten", "logits": "Gemm", "probabilities": "Softmax",
}  # fmt: skip
NODES = [FileNode(name, operator, name) for name, operator in OPERATORS.items()]


def test_each_layer_counts_once_over_the_nodes_of_the_file(report: CostReport) -> None:
    found = of_file(report, NODES)
    of_nodes = [layer for layer in report.layers if layer.layer.origin]
    assert sum(n.energy_pj or 0 for n in found.values()) == pytest.approx(sum(x.energy_pj for x in of_nodes))
    assert sum(n.latency_cycles or 0 for n in found.values()) == sum(x.cost.latency_cycles for x in of_nodes)
    assert {name for name, node in found.items() if node.main} == {"a", "c", "e", "f", "h", "logits"}
    conv = next(layer for layer in report.layers if "a" in layer.layer.origin)
    assert found["a"].notes() == {
        "core": conv.core,
        "bits": "8/8/8",
        "stage": "stage 0",
        "part_of": conv.name,
        "energy_pj": f"{conv.energy_pj:.10g}",
        "latency_cycles": f"{conv.cost.latency_cycles:.10g}",
        "energy_share": f"{conv.share:.6g}",
    }
    assert found["b"].energy_pj is None
    assert "energy_pj" not in found["b"].notes() and found["b"].layer == conv.name
    assert found["e"].bits == "-/8/8"


def test_stages_heads_and_what_they_read(report: CostReport) -> None:
    stages = stages_of(report)
    of = {name: stages[layer.name] for layer in report.layers for name in layer.layer.origin}
    assert of["a"] == of["c"] == "stage 0"
    assert of["e"] == "stage 0, read by exit_0"
    assert of["f"] == of["logits"] == "stage 1"
    heads = {name for name, stage in stages.items() if stage == "head of exit_0"}
    assert heads and all(name.startswith("exit_0") for name in heads)


def test_nodes_of_the_costed_graph_have_all_layers() -> None:
    from passes.model.graph import load

    graph = load(named())
    parse_pipeline("canonicalize,fuse-layers")(graph)
    report = api.cost(named().data)
    found = of_graph(report, graph)
    there = {layer.name for layer in report.layers if not layer.name.startswith("final.")}
    assert {layer.name for node in found.values() for layer in node.main} == there
    assert set(found) <= {node.name for node in graph.nodes}
