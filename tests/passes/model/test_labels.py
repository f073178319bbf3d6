from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from passes.errors import InputError
from passes.exits.recognise import classifier_exits
from passes.model.graph import from_model
from passes.model.labels import drop_labels
from passes.state import state_of

LABEL = "m = ArgMax<axis=1>(p) l0 = ai.onnx.ml.ArrayFeatureExtractor(names, m) l = Cast<to=7>(l0)"
ZIP = "q = ai.onnx.ml.ZipMap<classlabels_int64s=[7, 9]>(p)"


def perceptron(outputs: str, tail: str, head: str = "") -> onnx.ModelProto:
    """Return a network of two layers as a converter of scikit-learn writes it, ``tail`` behind it."""
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 21, "ai.onnx.ml": 3]> net (float[N,8] x) => ({outputs}) '
        f"<int64[2] names = {{7, 9}}> {{ {head} a = MatMul({'s' if head else 'x'}, w) b = Relu(a) "
        f"z = MatMul(b, v) p = Softmax<axis=1>(z) {tail} }}"
    )
    for name, shape in (("w", (8, 16)), ("v", (16, 2))):
        model.graph.initializer.append(numpy_helper.from_array(np.ones(shape, np.float32), name))
    return model


@pytest.mark.parametrize(
    ("outputs", "tail", "dropped"),
    [
        ("int64[N] l, float[N,2] p", LABEL, ["l"]),
        ("seq(map(int64, float)) q", ZIP, ["q"]),
        ("int64[N] l, seq(map(int64, float)) q", f"{LABEL} {ZIP}", ["l", "q"]),
        ("float[N,2] p, seq(map(int64, float)) q", ZIP, ["q"]),
    ],
)
def test_labels_behind_a_network_are_dropped_and_it_is_said(
    outputs: str, tail: str, dropped: list[str]
) -> None:
    graph = from_model(perceptron(outputs, tail))
    assert [t.name for t in graph.outputs] == ["p"]
    assert [node.op for node in graph.nodes] == ["MatMul", "Relu", "MatMul", "Softmax"]
    assert [d.subject for d in state_of(graph).declined if d.pass_name == "load"] == dropped
    assert [e.output for e in classifier_exits(graph)] == ["p"]


@pytest.mark.parametrize(
    ("outputs", "tail", "head"),
    [
        ("int64[N] l", LABEL, ""),  # nothing else tells what the network computes
        ("float[N,2] p", "", 's = ai.onnx.ml.Normalizer<norm="MAX">(x)'),
    ],
)
def test_what_needs_classical_machine_learning_is_refused_as_that(outputs: str, tail: str, head: str) -> None:
    with pytest.raises(InputError, match=r"classical machine learning: ai\.onnx\.ml::(Normalizer|ArrayF)"):
        from_model(perceptron(outputs, tail, head))


def test_a_network_without_labels_stays_as_it_is() -> None:
    model = perceptron("float[N,2] p", "")
    before = model.SerializeToString()
    assert drop_labels(model) == []
    assert model.SerializeToString() == before
