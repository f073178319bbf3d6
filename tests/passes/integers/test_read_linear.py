"""Hidden products, logits that exits take over, and what is refused of both, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import onnxruntime as ort
import pytest

from passes.errors import InputError
from passes.integers.interpreter import interpret, logits
from passes.integers.program import FullyConnected
from passes.integers.read_program import integer_program
from passes.model.writing import to_model
from passes.number_formats import TARGET
from tests.passes.integers.joined_nets import joined_network

Array = np.ndarray[Any, Any]
IMAGES = np.random.default_rng(1).normal(0, 2, (80, 4, 9, 8)).astype(np.float32)


@pytest.mark.parametrize("activation", ["", "Relu", "Clip"])
def test_hidden_products_and_answers_taken_over_are_those_of_onnxruntime(activation: str) -> None:
    graph = joined_network(activation)
    program = integer_program(graph)
    session = ort.InferenceSession(to_model(graph).SerializeToString())
    wanted = [
        np.concatenate(v) for v in zip(*(session.run(None, {"x": i[None]}) for i in IMAGES), strict=True)
    ]
    tensors = interpret(program, program.quantized(IMAGES))
    for found, want in zip(logits(program, tensors), wanted, strict=True):
        np.testing.assert_array_equal(found, want)
    assert program.exits[0].recycled is None and program.exits[1].recycled is not None
    hidden = next(op for op in program.operations if isinstance(op, FullyConnected) and op.rescale)
    values = tensors[hidden.writes]
    assert len(np.unique(values)) > 20
    bounds = {"": (0, 255), "Relu": (60, 255), "Clip": (17, 189)}[activation]
    assert hidden.rescale is not None and (hidden.rescale.low, hidden.rescale.high) == bounds
    ours = interpret(program, program.quantized(IMAGES), TARGET)
    sums = (ours[hidden.reads[0]] - hidden.zero) @ hidden.weights.T + hidden.bias
    exact = sums * np.array([float(r) for r in hidden.rescale.ratios]) + hidden.rescale.zero
    assert np.abs(ours[hidden.writes] - np.clip(exact, *bounds)).max() <= 0.5 + 1e-6


def test_an_exit_needs_the_sums_that_it_takes_over() -> None:
    program = integer_program(joined_network())
    taken = program.exits[1].recycled
    assert taken is not None and taken.logits == program.exits[0].logits
    first, second = program.until(0), program.until(1)
    assert {op.writes for op in first}.isdisjoint(op.writes for op in second)
    assert [op.writes for op in (*first, *second)] == [op.writes for op in program.operations]
    assert taken.logits in {op.writes for op in first}


def _per_class(graph: gs.Graph) -> None:
    weigh = next(n for n in graph.nodes if n.name == "final/weigh")
    weigh.inputs[1].values = np.full(5, 0.3, np.float32)


def _softmax(graph: gs.Graph) -> None:
    own = next(n for n in graph.nodes if n.name == "final/recycle").inputs[0]
    graph.nodes.append(
        gs.Node("Softmax", "soft", {}, [own], [gs.Variable("probabilities", np.float32, [1, 5])])
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_per_class, r"'final/weigh' \(Mul\) .* one weight for all classes"),
        (_softmax, r"its logits are read as float by 'soft' \(Softmax\)"),
    ],
)
def test_what_is_read_of_logits_otherwise_is_named(spoil: Callable[[gs.Graph], None], message: str) -> None:
    graph = joined_network()
    spoil(graph)
    with pytest.raises(InputError, match=message):
        integer_program(graph)
