"""Conditions on what a run has otherwise than the baseline."""

from __future__ import annotations

import pytest

from eecompile.verbs.work.gates import Difference, Gate
from passes.errors import InputError


@pytest.mark.parametrize(
    ("gate", "a", "b", "violated"),
    [
        ("x>+2%", 100.0, 103.0, True),
        ("x>+2%", 100.0, 102.0, False),
        ("x > +2 %", 100.0, 103.0, True),
        ("x<-2%", 100.0, 97.0, True),
        ("x>+0.2", 0.5, 0.8, True),
        ("x>+0.5", 0.5, 0.8, False),
        ("x>0.9", 0.0, 0.99, True),
        ("x>1.0", 0.0, 0.99, False),
        ("x>=0.99", 0.0, 0.99, True),
        ("x<=1e-3", 1.0, 0.001, True),
        ("x>+500%", 0.0, 0.1, True),  # growth from zero is without bounds
        ("x>+0%", 0.0, 0.0, False),
        ("x<-1%", -1.0, -1.1, True),
    ],
)
def test_a_gate_holds_or_not(gate: str, a: float, b: float, violated: bool) -> None:
    parsed = Gate.parse(gate)
    assert (parsed.text, parsed.key) == (gate, "x")
    assert parsed.violated(Difference("x", a, b)) is violated


def test_changes_are_shares_of_the_size_of_the_baseline() -> None:
    assert Difference("x", -2.0, -1.0).relative == 0.5
    assert Difference("x", 0.0, 0.0).relative == 0.0
    assert Difference("x", 0.0, 1.0).relative is None
    assert Difference("x", 2.0, 5.0).change == 3.0


@pytest.mark.parametrize(
    "text", ["", "expected.edp_js", "expected.edp_js>>1", "expected.edp_js>+", "a=1", "x>1e", "x>+2%%"]
)
def test_bad_expression_shows_an_example(text: str) -> None:
    with pytest.raises(InputError, match=r"expected\.edp_js>\+2%"):
        Gate.parse(text)


def test_percentage_without_sign_is_refused() -> None:
    with pytest.raises(InputError, match="needs its sign"):
        Gate.parse("expected.edp_js>2%")
