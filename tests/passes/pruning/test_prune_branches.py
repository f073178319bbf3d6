"""What an Add adds goes whole, with all that serves nothing else."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

from passes.base import Pipeline, to_text
from passes.errors import InputError, PassError
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.pruning.prune_branches import Branch, PruneBranches, find_branches
from passes.registry import parse_pass
from passes.state import state_of
from tests.passes.equivalence import ATOL, RTOL, batch_of, check_stable, run_model
from tests.passes.grids import activation_grid
from tests.passes.net_builder import NetBuilder

STEM, INNER, OUTER = "n0_Conv", ("n1_Conv", "n2_Conv"), "n4_Conv"


def nested() -> onnx.ModelProto:
    """Return a network with an Add inside of what another one adds."""
    net = NetBuilder((1, 2, 4, 4))
    stem = net.conv("x", 2, 4)
    inner = net.op("Add", stem, net.conv(net.conv(stem, 4, 4), 4, 4))
    outer = net.op("Add", net.conv(inner, 4, 4), stem)
    return net.model(net.conv(net.op("Relu", outer), 4, 2))


def silenced(graph: gs.Graph, layers: tuple[str, ...]) -> gs.Graph:
    """Let layers make nothing but zeros, in place."""
    for node in graph.nodes:
        if node.name in layers:
            for index in range(1, len(node.inputs)):
                node.inputs[index] = gs.Constant(
                    f"{node.name}_{index}_zero", np.zeros_like(node.inputs[index].values)
                )
    return graph


def test_operands_are_found_with_the_layers_that_serve_them_alone() -> None:
    found = find_branches(from_model(nested()))
    assert [(b.text, b.operand, b.layers) for b in found] == [
        ("add_0/2:1", 1, INNER),
        ("add_1/2:0", 0, (*INNER, OUTER)),
    ]


@pytest.mark.parametrize("which", [0, 1])
def test_the_network_answers_as_if_the_branch_made_zeros(which: int) -> None:
    model = nested()
    branch = find_branches(from_model(model))[which]
    graph, step = from_model(model), PruneBranches(remove=(branch.text,))
    assert parse_pass(to_text(step)) == step
    assert step(graph)
    assert not {node.name for node in graph.nodes} & {branch.add, *branch.layers}
    x = batch_of(model, 1)
    expected = run_model(to_model(silenced(from_model(model), branch.layers)), x)
    np.testing.assert_allclose(run_model(to_model(graph), x)[0], expected[0], RTOL, ATOL)
    check_stable(graph, Pipeline((step,)))


def test_what_went_with_another_branch_is_gone() -> None:
    graph, alone = from_model(nested()), from_model(nested())
    PruneBranches(remove=("add_1/2:0", "add_0/2:1"))(graph)
    PruneBranches(remove=("add_1/2:0",))(alone)
    assert [node.name for node in graph.nodes] == [node.name for node in alone.nodes]


def _exit_inside() -> onnx.ModelProto:
    """Another output reads what the branch makes."""
    net = NetBuilder((1, 2, 4, 4))
    stem = net.conv("x", 2, 4)
    branch = net.conv(stem, 4, 4)
    return net.model(net.op("Relu", net.op("Add", stem, branch)), net.op("Sigmoid", branch))


def _repeated() -> onnx.ModelProto:
    """What is added is one number for each channel."""
    net = NetBuilder((1, 2, 4, 4))
    stem = net.conv("x", 2, 4)
    return net.model(net.op("Relu", net.op("Add", stem, net.conv(net.op("GlobalAveragePool", stem), 4, 4))))


def _without_weights() -> onnx.ModelProto:
    net = NetBuilder((1, 2, 4, 4))
    stem = net.conv("x", 2, 4)
    return net.model(net.op("Add", net.op("Relu", stem), stem))


def _twice() -> onnx.ModelProto:
    net = NetBuilder((1, 2, 4, 4))
    stem = net.conv("x", 2, 4)
    return net.model(net.op("Add", stem, stem))


@pytest.mark.parametrize("network", [_exit_inside, _repeated, _without_weights, _twice])
def test_other_operands_stay(network: object) -> None:
    assert callable(network)
    graph = from_model(network())
    assert [branch.operand for branch in find_branches(graph)] == []
    with pytest.raises(InputError, match="repeated, or no layers serve it alone\nit can remove nothing"):
        PruneBranches(remove=("add_0/1:1",))(graph)


def test_an_exit_on_the_sum_reads_what_stands_for_it() -> None:
    net = NetBuilder((1, 2, 4, 4))
    stem = net.conv("x", 2, 4)
    total = net.op("Add", stem, net.conv(stem, 4, 4))
    graph = from_model(net.model(net.op("Relu", total), total))
    assert find_branches(graph) == [Branch("add_0/1:1", "n2_Add", 1, ("n1_Conv",))]
    assert PruneBranches(remove=("add_0/1:1",))(graph)
    assert [t.name for t in graph.outputs] == ["n3_Relu_out", total], "answers keep their names"
    assert [node.op for node in graph.nodes] == ["Conv", "Relu"]


def test_where_input_and_answer_would_be_one_it_is_declined() -> None:
    net = NetBuilder((1, 2, 4, 4))
    graph = from_model(net.model(net.op("Add", "x", net.conv("x", 2, 2))))
    assert not PruneBranches(remove=("add_0/1:1",))(graph)
    assert [d.reason for d in state_of(graph).declined] == [
        "what it adds to is what the network reads or answers"
    ]


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        (("add_0",), "`remove` cannot be 'add_0'"),
        (("add_2/2:0",), "`remove` cannot be 'add_2/2:0'"),
        (("add_0/1:1",), "there are 2 Adds\ntake the text for this network"),
        (
            ("add_0/2:0",),
            "'n3_Add' adds there is repeated, or no layers serve it alone\nit can remove add_0/2:1",
        ),
    ],
)
def test_what_cannot_be_is_told(remove: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError) as error:
        PruneBranches(remove=remove)(from_model(nested()))
    assert message in str(error.value)


def test_one_operand_stays() -> None:
    net = NetBuilder((1, 2, 4, 4))
    both = net.op("Add", net.conv("x", 2, 4), net.conv("x", 2, 4))
    graph = from_model(net.model(net.op("Relu", both)))
    with pytest.raises(InputError, match="one operand has to stay"):
        PruneBranches(remove=("add_0/1:0", "add_0/1:1"))(graph)


def test_a_network_with_grids_is_refused() -> None:
    graph = from_model(nested())
    state_of(graph).grids["x"] = activation_grid(0.1)
    with pytest.raises(PassError, match="prune before `quantize`"):
        PruneBranches(remove=("add_0/2:1",))(graph)
