"""Ways out of operators that no core runs, and that these are ways out."""

from __future__ import annotations

import pytest

from passes.errors import NoSolutionError
from targets.contract.operator_help import OPERATOR_HELP
from targets.contract.placement import Refusal
from targets.contract.registry import load_target
from targets.testing.conformance import sample_layer
from tests.passes.net_builder import NetBuilder
from tests.passes.token_nets import recurrent
from tests.targets.evaluation.test_equal_networks import TARGETS, costs

STEPS, INPUTS, HIDDEN = 3, 4, 8


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("op", sorted(set(OPERATOR_HELP) - {"ConvTranspose"}))
def test_what_no_core_runs_has_a_way_out(op: str, name: str) -> None:
    found = load_target(name).place(sample_layer(op))
    assert isinstance(found, Refusal)
    assert {reason.rule for reason in found.reasons} == {f"It does not run {op}"}
    assert found.hint == OPERATOR_HELP[op]


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
def test_a_recurrent_network_is_told_to_be_written_out(op: str) -> None:
    with pytest.raises(NoSolutionError) as caught:
        costs(recurrent(op), "gap9")
    assert "a node per step (LSTMCell, GRUCell or RNNCell" in " ".join(caught.value.hint.split())


def unrolled() -> NetBuilder:
    """Return an LSTM as a loop of cells."""
    net = NetBuilder((1, STEPS, INPUTS))
    weights, states = net.normal(4 * HIDDEN, INPUTS), net.normal(4 * HIDDEN, HIDDEN)
    output, memory = net.const([[0.0] * HIDDEN]), net.const([[0.0] * HIDDEN])
    for step in range(STEPS):
        word = net.op("Gather", "x", net.const(step, "int64"), axis=1)
        gates = net.op(
            "Add", net.op("Gemm", word, weights, transB=1), net.op("Gemm", output, states, transB=1)
        )
        places = [net.const([HIDDEN * k], "int64") for k in range(5)]
        parts = [net.op("Slice", gates, places[k], places[k + 1], net.const([1], "int64")) for k in range(4)]
        i, f, o = (net.op("Sigmoid", part) for part in parts[:3])
        memory = net.op("Add", net.op("Mul", f, memory), net.op("Mul", i, net.op("Tanh", parts[3])))
        output = net.op("Mul", o, net.op("Tanh", memory))
    net.op("Gemm", output, net.normal(3, HIDDEN), transB=1)
    return net


@pytest.mark.parametrize("name", TARGETS)
def test_an_lstm_as_a_loop_of_cells_is_costed(name: str) -> None:
    net = unrolled()
    report = costs(net.model(net.nodes[-1].output[0]), name)
    # The first state is zero: what is multiplied with it is known before.
    gates = 4 * HIDDEN * (STEPS * INPUTS + (STEPS - 1) * HIDDEN)
    assert report.total.macs == gates + 3 * HIDDEN
    assert not report.refusals and report.total.latency_cycles > 0
