"""Numbers of a description: what is one, and how it is known."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from targets.description.figure import Figure, Frozen, Real, Whole

SOURCE = {"known": "measured", "source": "a paper"}


class Numbers(Frozen):
    real: Real = 0.0
    whole: Whole = 0


@pytest.mark.parametrize("value", [1, 0.25, 1.0e9, 1e-300])
def test_a_figure_is_a_positive_number_with_provenance(value: float) -> None:
    for known in ("measured", "published", "placeholder"):
        figure = Figure.model_validate({"value": value, "known": known, "source": "a paper"})
        assert (figure.value, figure.known, figure.source) == (value, known, "a paper")


@pytest.mark.parametrize(
    "changes",
    [
        {"value": 0},
        {"value": -1},
        {"value": float("nan")},
        {"value": float("inf")},
        {"value": "5"},
        {"value": True},
        {"value": None},
        {"known": "guessed"},
        {"source": ""},
        {"unit": "pJ"},
    ],
    ids=str,
)
def test_anything_else_is_no_figure(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Figure.model_validate({"value": 5, **SOURCE, **changes})


@pytest.mark.parametrize("key", ["value", "known", "source"])
def test_nothing_of_a_figure_may_be_left_out(key: str) -> None:
    whole = {"value": 5, **SOURCE}
    with pytest.raises(ValidationError):
        Figure.model_validate({k: v for k, v in whole.items() if k != key})


@pytest.mark.parametrize("key", ["real", "whole"])
@pytest.mark.parametrize("slip", ["1e9", "8", "yes", True, False])
def test_texts_and_truth_values_are_slips_and_not_read_as_numbers(key: str, slip: object) -> None:
    with pytest.raises(ValidationError, match=r"numbers have no quotes, and 1e9 is 1\.0e\+9 in YAML"):
        Numbers.model_validate({key: slip})


def test_whole_numbers_may_be_written_with_a_point_but_not_with_a_fraction() -> None:
    assert Numbers.model_validate({"real": 3, "whole": 3.0}) == Numbers(real=3.0, whole=3)
    with pytest.raises(ValidationError):
        Numbers.model_validate({"whole": 3.5})


def test_descriptions_do_not_change() -> None:
    figure = Figure(value=1, known="measured", source="a paper")
    with pytest.raises(ValidationError, match="frozen"):
        figure.value = 2
    assert figure == Figure(value=1, known="measured", source="a paper")
    assert len({figure, Figure(value=2, known="measured", source="a paper")}) == 2, "they are keys"
