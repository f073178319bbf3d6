"""Operators of scikit-learn's converter that are layers, against onnxruntime's own kernels for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from passes.canonical.canonicalize import Canonicalize
from passes.errors import InputError
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.state import state_of
from tests.passes.equivalence import run_model, softmax

ML = "ai.onnx.ml"
WEIGHTS = [0.5, -1.0, 2.0, 0.25, 1.5, -0.5, 1.0, 0.75, -2.0, 0.1, 0.2, 0.3]
LINEAR = {"coefficients": WEIGHTS, "intercepts": [0.1, -0.2, 0.3]}
LABELS = {"classlabels_ints": [0, 1, 2]}


def net(*nodes: onnx.NodeProto, output: str = "y", kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    given = helper.make_tensor_value_info("x", kind, [1, 4])
    made = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
    graph = helper.make_graph(list(nodes), "net", [given], made)
    domains = [helper.make_opsetid("", 21), helper.make_opsetid(ML, 3)]
    return helper.make_model(graph, opset_imports=domains, ir_version=10)


def ml(op: str, inputs: str, *outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, [inputs], list(outputs), name=f"{op}_{outputs[-1]}", domain=ML, **attributes)


def classifier(end: str) -> onnx.NodeProto:
    return ml("LinearClassifier", "x", "label", "y", post_transform=end, multi_class=1, **LINEAR, **LABELS)


CASES = {
    "scaling": [ml("Scaler", "x", "y", offset=[1.0, 2.0, 3.0, 4.0], scale=[2.0, 0.5, 1.0, 3.0])],
    "one scale": [ml("Scaler", "x", "y", offset=[1.0], scale=[2.0])],
    "a regression": [ml("LinearRegressor", "x", "y", targets=3, **LINEAR)],
    "logits": [classifier("NONE")],
    "shares": [classifier("SOFTMAX")],
    "shares of shares": [
        ml("LinearClassifier", "x", "label", "p", post_transform="SOFTMAX", **LINEAR, **LABELS),
        ml("Normalizer", "p", "y", norm="L1"),
    ],
}


@pytest.mark.parametrize("case", CASES)
def test_a_layer_computes_what_the_operator_does(case: str) -> None:
    model = net(*CASES[case])
    graph = from_model(model)
    Canonicalize()(graph)
    x = np.array([[0.3, -0.7, 1.1, 0.2]], np.float32)
    (expected,) = run_model(model, x)
    (found,) = run_model(to_model(graph), x)
    found = softmax(found) if state_of(graph).softmax else found
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert state_of(graph).softmax == case.startswith("shares")


def test_whole_numbers_are_scaled_too() -> None:
    model = net(*CASES["scaling"], kind=TensorProto.INT64)
    x = np.array([[3, 1, -2, 5]], np.int64)
    session = ort.InferenceSession(to_model(from_model(model)).SerializeToString())
    (expected,) = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(session.run(None, {"x": x})[0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("nodes", "named"),
    [
        ([classifier("LOGISTIC")], "LinearClassifier"),
        ([ml("Normalizer", "x", "y", norm="L2")], "Normalizer"),
        ([ml("Scaler", "x", "s"), ml("Normalizer", "s", "y", norm="MAX")], "Normalizer"),
        ([ml("ArrayFeatureExtractor", "x", "y")], "ArrayFeatureExtractor"),
        ([ml("LinearRegressor", "x", "y")], "LinearRegressor"),
        ([ml("LinearRegressor", "x", "y", targets=0, **LINEAR)], "LinearRegressor"),
        ([ml("LinearRegressor", "x", "y", targets=5, **LINEAR)], "LinearRegressor"),
        ([ml("LinearClassifier", "x", "y", **LINEAR)], "LinearClassifier"),
        ([ml("LinearClassifier", "x", "label", "y", intercepts=[1.0, 2.0])], "LinearClassifier"),
    ],
)
def test_what_is_no_layer_is_named_alone(nodes: list[onnx.NodeProto], named: str) -> None:
    with pytest.raises(InputError) as caught:
        from_model(net(*nodes))
    assert caught.value.message.endswith(f"operators of classical machine learning: {ML}::{named}")
