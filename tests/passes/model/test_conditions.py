"""Conditions of others: read as the confidence rule that they are, and the flat network decides alike."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from passes.exits.recognise import recognise_exits
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import state_of
from tests.passes.equivalence import batch_of, run_model
from tests.passes.model.branching_nets import CONDITIONS, OTHER_NUMBERS, OTHERS, branching

RULED = [kind for kind, asked in CONDITIONS.items() if asked.rule]


@pytest.mark.parametrize("kind", RULED)
def test_a_condition_is_the_threshold_of_a_rule(kind: str) -> None:
    asked = CONDITIONS[kind]
    graph = from_model(branching(kind))
    early, _ = recognise_exits(graph)
    assert early.confidence.name == asked.rule
    assert early.threshold == pytest.approx(asked.threshold, abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "exits"),
    [*((kind, 1) for kind in RULED), ("greater", 2), ("less", 2), ("margin", 2), ("entropy", 2)],
)
def test_nested_again_it_answers_as_the_original_does(kind: str, exits: int) -> None:
    model = branching(kind, exits)
    graph = from_model(model)
    recognise_exits(graph)
    parse_pipeline("canonicalize,fold-batchnorm,nest-exits")(graph)
    nested = to_model(graph)
    taken = set()
    images = batch_of(model, 24) * np.linspace(0.02, 0.6, 24, dtype=np.float32).reshape(-1, 1, 1, 1)
    for x in images[:, np.newaxis]:
        logits, number, _ = run_model(nested, x)
        np.testing.assert_allclose(logits, run_model(model, x)[0], rtol=1e-4, atol=1e-5)
        taken.add(int(number[0]))
    assert taken == set(range(exits + 1))


@pytest.mark.parametrize("kind", [*OTHER_NUMBERS, *OTHERS])
def test_what_is_no_rule_has_no_threshold_and_the_reason_is_told(kind: str) -> None:
    graph = from_model(branching(kind))
    early, _ = recognise_exits(graph)
    assert early.threshold is None and early.confidence.name == "max_softmax"
    (told,) = [d.reason for d in state_of(graph).declined]
    expected = "no comparison with a constant" if kind in OTHERS else "its threshold not taken over: "
    assert expected in told
    assert ("less sure" in told) == (kind == "unsure")


@pytest.mark.parametrize(("strict", "loose"), list(pairwise(["greater", "greater_or_equal"])))
def test_more_than_a_constant_is_at_least_the_next_number(strict: str, loose: str) -> None:
    found = [recognise_exits(from_model(branching(kind)))[0].threshold for kind in (strict, loose)]
    assert found[0] is not None and found[1] is not None
    assert np.float32(found[0]) == np.nextafter(np.float32(found[1]), np.float32(1))
