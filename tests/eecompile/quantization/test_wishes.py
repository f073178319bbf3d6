"""Bits by part and placement: what was wished is what is assigned, or refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx_graphsurgeon as gs
import pytest

from eecompile.quantization.assignment import assign_precisions
from eecompile.quantization.layer_schemes import weighted_layers
from eecompile.quantization.wishes import SchemeWish, not_analog
from passes.errors import InputError
from passes.exits.chain import keep_exits
from passes.model.graph import load
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from targets.contract.registry import load_target
from targets.evaluation.report import CostReport, evaluate

EXAMPLE = Path(__file__).parents[3] / "examples" / "digits_resnet.onnx"


@pytest.fixture(scope="module")
def network() -> gs.Graph:
    graph = load(EXAMPLE)
    parse_pipeline("canonicalize,fold-batchnorm,insert-exits{at=relu_2,head=conv}")(graph)
    return graph


def assigned(network: gs.Graph, target: str, wish: SchemeWish) -> tuple[dict[str, int], CostReport]:
    """Return the bits of the weights of each layer by its precision, and what the float network costs."""
    graph, accelerator = copy_graph(network), load_target(target)
    assign_precisions(graph, accelerator, wish=wish)
    bits = {
        layer.name: weights.bits
        for layer in weighted_layers(graph, accelerator)
        for node in layer.nodes
        if (weights := state_of(graph).precisions[node].weights) is not None
    }
    parse_pipeline(accelerator.pipeline(quantized=False))(graph)
    return bits, evaluate(graph, accelerator)


def parts(network: gs.Graph) -> Mapping[str, bool]:
    return {layer.name: layer.head for layer in weighted_layers(network, load_target("gap9"))}


def test_a_layer_counts_more_than_its_part(network: gs.Graph) -> None:
    heads = parts(network)
    first = next(name for name, head in heads.items() if not head)
    bits, costs = assigned(network, "gap9", SchemeWish(bits={first: 8, "backbone": 4, "head": 2}))
    assert bits == {name: 8 if name == first else 2 if head else 4 for name, head in heads.items()}
    assert {report.name: report.bits[0] for report in costs.layers if report.name in bits} == bits


def test_layers_are_known_by_the_nodes_of_the_users_file(network: gs.Graph) -> None:
    layer = next(x for x in weighted_layers(network, load_target("gap9")) if x.origin != (x.name,))
    bits, _ = assigned(network, "gap9", SchemeWish(bits={layer.origin[0]: 3}))
    assert {name for name, width in bits.items() if width == 3} == {layer.name}


def test_fewer_bits_take_less_time_on_ne16(network: gs.Graph) -> None:
    cycles = [
        assigned(network, "gap9", SchemeWish(bits={"backbone": bits}))[1].total.latency_cycles
        for bits in (8, 4, 2)
    ]
    assert cycles[0] > cycles[1] > cycles[2]


def test_analog_runs_what_the_array_takes_there_and_bits_say_otherwise(network: gs.Graph) -> None:
    target = load_target("diana")
    reasons = not_analog(weighted_layers(network, target))
    first = next(iter(parts(network)))
    for wish, digital in (
        (SchemeWish("analog"), {*reasons}),
        (SchemeWish("analog", {first: 8}), {first, *reasons}),
        (SchemeWish("digital"), {*parts(network)}),
    ):
        bits, costs = assigned(network, "diana", wish)
        assert {name for name, width in bits.items() if width == 8} == digital
        cores = {report.name: report.core for report in costs.layers if report.name in bits}
        assert cores == {name: "digital" if name in digital else "analog" for name in bits}
    assert set(reasons.values()) == {"It does not run Gemm"}


def test_a_mapping_is_taken_layer_by_layer(network: gs.Graph) -> None:
    first, second, *_ = parts(network)
    wish = SchemeWish("auto", {first: 4}, {first: "int2-channel", second: "int3-channel"})
    bits, _ = assigned(network, "gap9", wish)
    assert (bits.pop(first), bits.pop(second), set(bits.values())) == (4, 3, {8})


def test_a_part_of_the_network_is_not_told_of_the_rest(network: gs.Graph) -> None:
    alone = keep_exits(network, [])
    wish = SchemeWish(bits={"head": 2, "backbone": 4, "gone": 3})
    layers = weighted_layers(alone, load_target("gap9"))
    assert wish.of_part(layers) == SchemeWish(bits={"backbone": 4})


@pytest.mark.parametrize(
    ("target", "wish", "message"),
    [
        (
            "gap9",
            SchemeWish(bits={"backbone": 9}),
            "with weights of 9 bits: ne16 has 2, 3, 4, 5, 6, 7, 8 bits",
        ),
        ("diana", SchemeWish(bits={"backbone": 4}), "digital has 8 bits; analog has 2 bits"),
        ("diana", SchemeWish("digital", {"backbone": 2}), "with weights of 2 bits: digital has 8 bits"),
        ("gap9", SchemeWish(bits={"conv": 4}), "'conv', which is no layer with weights"),
        ("gap9", SchemeWish("analog"), "an analog array, and gap9 has none"),
        ("gap9", SchemeWish("digital"), "an analog array, and gap9 has none"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    network: gs.Graph, target: str, wish: SchemeWish, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        assign_precisions(copy_graph(network), load_target(target), wish=wish)


def test_heads_are_refused_where_there_are_none(network: gs.Graph) -> None:
    with pytest.raises(InputError, match="early exits, and the network has none"):
        assign_precisions(keep_exits(network, []), load_target("gap9"), wish=SchemeWish(bits={"head": 4}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"placement": "analogue"}, "`placement` cannot be 'analogue'\ndid you mean 'analog'"),
        ({"bits": {"head": 0}}, "`bits` of 'head' are a whole number of at least 1, not 0"),
        ({"bits": {"head": 4.0}}, "not 4.0"),
    ],
)
def test_a_wish_that_is_none_is_refused(given: Mapping[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SchemeWish(**given)  # type: ignore[arg-type]
