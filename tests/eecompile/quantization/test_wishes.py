from __future__ import annotations

from pathlib import Path

import onnx_graphsurgeon as gs
import pytest

from eecompile.quantization.assignment import assign_precisions, check_wishes
from eecompile.quantization.wishes import NumberWishes
from passes.errors import InputError
from passes.model.graph import load
from passes.operator_sets import QUANTIZED_LINEAR
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from targets.contract.registry import load_target
from targets.evaluation.report import evaluate

EXAMPLE = Path(__file__).parents[3] / "examples" / "digits_resnet.onnx"


@pytest.fixture(scope="module")
def network() -> gs.Graph:
    graph = load(EXAMPLE)
    parse_pipeline("canonicalize,fold-batchnorm,insert-exits{at=relu_2,head=conv}")(graph)
    return graph


def bits_of(graph: gs.Graph) -> dict[str, int]:
    found = state_of(graph).precisions
    return {
        n.name: found[n.name].weights.bits  # type: ignore[union-attr]
        for n in graph.nodes
        if n.op in QUANTIZED_LINEAR
    }


def test_what_names_less_goes_before_what_names_more(network: gs.Graph) -> None:
    graph, target = copy_graph(network), load_target("gap9")
    first = next(node.name for node in graph.nodes if node.op == "Conv")
    head = next(node.name for node in graph.nodes if node.op == "Conv" and "exit_0" in node.name)
    wishes = NumberWishes({"backbone": 5, "head": 3, first: 8, head: 2})
    check_wishes(graph, target, wishes)
    assign_precisions(graph, target, wishes=wishes)
    found = {name: bits for name, bits in bits_of(graph).items() if graph_node(graph, name).op == "Conv"}
    assert found.pop(first) == 8 and found.pop(head) == 2
    assert {3 if name.startswith("exit_0") else 5 for name in found} == set(found.values())


def graph_node(graph: gs.Graph, name: str) -> gs.Node:
    return next(node for node in graph.nodes if node.name == name)


def test_fewer_bits_cost_less_in_float_already_and_what_is_not_there_is_passed_over(
    network: gs.Graph,
) -> None:
    target, cycles = load_target("gap9"), {}
    for bits in (8, 4, 2):
        graph = copy_graph(network)
        first = next(node.name for node in graph.nodes if node.op == "Conv")
        assign_precisions(graph, target, wishes=NumberWishes({first: bits, "not_here": 2}))
        parse_pipeline(target.pipeline(quantized=False))(graph)
        report = evaluate(graph, target)
        assert next(x.bits[0] for x in report.layers if x.layer.macs) == bits
        cycles[bits] = report.total.latency_cycles
    assert cycles[2] < cycles[4] < cycles[8], "NE16 takes the bits of weights one after the other"


def test_an_analog_array_takes_what_its_rules_allow_and_what_is_asked_by_name_stays_out(
    network: gs.Graph,
) -> None:
    target = load_target("diana")
    digital, analog, mixed = (copy_graph(network) for _ in range(3))
    first = next(node.name for node in network.nodes if node.op == "Conv")
    assert assign_precisions(digital, target, wishes=NumberWishes(placement="digital")) == ("int8-pow2",)
    assign_precisions(analog, target, wishes=NumberWishes(placement="analog"))
    assign_precisions(mixed, target, wishes=NumberWishes({first: 8}, "analog"))
    convs = {node.name for node in network.nodes if node.op == "Conv"}
    assert set(bits_of(digital).values()) == {8}
    assert {name for name, bits in bits_of(analog).items() if bits == 2} == convs
    assert {name for name, bits in bits_of(mixed).items() if bits == 2} == convs - {first}
    parse_pipeline(target.pipeline(quantized=False))(analog)
    cores = {layer.core for layer in evaluate(analog, target).layers if layer.layer.op_type == "Conv"}
    assert cores == {"analog"}
    arrays = [p.array for p in state_of(analog).precisions.values() if p.weights and p.weights.bits == 2]
    assert arrays and all(array is not None for array in arrays)


@pytest.mark.parametrize(
    ("target", "wishes", "message"),
    [
        ("gap9", NumberWishes({"conv_77": 4}), "no layer with weights called 'conv_77'"),
        ("gap9", NumberWishes({"head": 9}), "no core of gap9 multiplies by weights of 9 bits"),
        ("diana", NumberWishes({"backbone": 4}), "no core of diana multiplies by weights of 4 bits"),
        ("gap9", NumberWishes(placement="analog"), "no core of gap9 is an analog array"),
        ("edge_tpu_quad", NumberWishes(placement="digital"), "changes nothing"),
        ("diana", NumberWishes(placement="digitall"), "`placement` cannot be 'digitall'"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    network: gs.Graph, target: str, wishes: NumberWishes, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_wishes(network, load_target(target), wishes)


def test_a_core_without_the_bits_is_no_choice(network: gs.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """NE16 has weights of 4 bits; a layer that the schedule puts elsewhere is refused by name."""
    graph, target = copy_graph(network), load_target("gap9")
    (gemm,) = [node.name for node in graph.nodes if node.op == "Gemm" and not node.name.startswith("exit")]
    assert assign_precisions(graph, target, wishes=NumberWishes({gemm: 4})) == (
        "int4-channel",
        "int8-channel",
    )
    assert bits_of(graph)[gemm] == 4
    narrow = {"ne16": ("int8-channel",), "cluster": ("int8-channel", "int4-channel")}
    monkeypatch.setattr(type(target), "schemes", narrow)
    with pytest.raises(InputError, match="layer 'gemm_0' runs on ne16 .* without weights of 4 bits"):
        assign_precisions(copy_graph(network), target, wishes=NumberWishes({gemm: 4}))
