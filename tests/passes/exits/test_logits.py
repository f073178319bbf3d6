from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from passes.errors import InputError
from passes.exits.insert_exits import InsertExits
from passes.exits.logits import class_axis
from passes.exits.recognise import classifier_exits
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import state_of
from tests.passes.any_networks import FORMS, SOFTMAX_FORMS, USUAL, network
from tests.passes.equivalence import batch_of, run_model

CANONICAL = "canonicalize,fold-batchnorm"
ALL_FORMS = FORMS | {f"Softmax: {name}": text for name, text in SOFTMAX_FORMS.items()}


@pytest.mark.parametrize("first", ["canonical", "recognised"])
@pytest.mark.parametrize("form", ALL_FORMS)
def test_logits_of_other_forms_are_those_of_the_usual_form(form: str, first: str) -> None:
    graph = from_model(network(ALL_FORMS[form]))
    if first == "canonical":
        parse_pipeline(CANONICAL)(graph)
    (final,) = classifier_exits(graph)
    parse_pipeline(CANONICAL)(graph)
    assert state_of(graph).softmax is form.startswith("Softmax")
    (logits,) = graph.outputs
    assert (logits.name, list(logits.shape)) == (state_of(graph).exits[0].output, [1, 4])
    assert state_of(graph).exits == [final] or form.startswith("Softmax")
    assert not any(node.op in ("ArgMax", "TopK", "Identity", "Squeeze") for node in graph.nodes)
    images = batch_of(network(USUAL), 3)
    (expected,) = run_model(network(USUAL), images)
    for batch, pieces in ((None, [images[i : i + 1] for i in range(3)]), ("N", [images])):
        found = np.concatenate([run_model(to_model(graph, batch), piece)[0] for piece in pieces])
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert InsertExits(at=("1",))(graph)


@pytest.mark.parametrize("form", FORMS)
def test_a_view_keeps_the_name_and_the_numbers_of_the_output(form: str) -> None:
    model = network(FORMS[form])
    graph = from_model(model)
    classifier_exits(graph)
    assert [t.name for t in graph.outputs] == ["y"]
    session = onnxruntime.InferenceSession(to_model(graph).SerializeToString())
    image = batch_of(model, 1)
    (found,) = session.run(None, {"x": image})
    (expected,) = run_model(network(USUAL), image)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("form", "subject", "reason"),
    [
        ("listed twice", "y", "listed more than once"),
        ("a copy", "z", "says the same of the same scores as 'y'"),
        ("ArgMax instead", "z", "picks from the logits 'y'"),
        ("ArgMax beside", "z", "picks from the logits 'y'"),
        ("TopK instead", "v", "picks from the logits 'y'"),
        ("TopK instead", "i", "picks from the logits 'y'"),
    ],
)
def test_what_is_dropped_is_said(form: str, subject: str, reason: str) -> None:
    graph = from_model(network(FORMS[form]))
    classifier_exits(graph)
    (entry,) = [d for d in state_of(graph).declined if d.pass_name == "exits" and d.subject == subject]
    assert reason in entry.reason


def test_an_argmax_over_another_axis_is_no_pick_of_the_classes() -> None:
    text = (
        FORMS["ArgMax beside"]
        .replace("axis=1, keepdims=0", "axis=0, keepdims=0")
        .replace("int64[N] z", "int64[4] z")
    )
    graph = from_model(network(text))
    with pytest.raises(InputError, match="not a classifier"):
        classifier_exits(graph)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((1, 4), 1), ((1, 4, 1, 1), 1), ((1, 1, 4), 2), ((4,), 0),
        ((4, 1), None), ((1, 1), None), ((1,), None), ((), None), ((1, 4, 2), None), ((2, 4), None),
    ],
)  # fmt: skip
def test_the_axis_of_the_classes(shape: tuple[int, ...], axis: int | None) -> None:
    tensor = from_model(network(USUAL)).outputs[0]
    tensor.shape = shape
    assert class_axis(tensor) == axis
