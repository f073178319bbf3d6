"""Choices are one value or several, each once; complaints name the first that is wrong."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import ValidationError

from eecompile.search.space.choices import Table, choices, distinct, first_complaint, text_of
from passes.errors import InputError


class Small(Table):
    words: Annotated[tuple[str, ...], choices(text_of)]
    number: int = 0


def test_one_value_is_a_list_of_one() -> None:
    assert Small.model_validate({"words": "a"}) == Small.model_validate({"words": ["a"]})
    assert Small.model_validate({"words": ["b", "a"]}).words == ("b", "a")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"words": ["a", 3]}, "here.words[1]: expected a text in quotes, not 3"),
        ({"words": {"a": 1}}, "here.words: expected a text in quotes, not a table"),
        ({"words": ["a", "{b}", "a"]}, "here.words: 'a' is there twice"),
        ({"words": ["{b}", "{b}"]}, "here.words: '{b}' is there twice"),
        ({}, "here.words: is missing"),
        ({"words": "a", "number": 1.5}, "here.number: expected a whole number, not 1.5"),
        ({"words": "a", "number": True}, "here.number: expected a whole number, not true"),
        ({"words": "a", "number": [1]}, "here.number: expected a whole number, not a list"),
    ],
)
def test_complaints(data: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        Small.model_validate(data)
    assert first_complaint(error.value, "here").message == message


def test_distinct_takes_any_values() -> None:
    assert distinct([1, "1", None]) == (1, "1", None)
    with pytest.raises(InputError, match="'None' is there twice"):
        distinct([None, 1, None])
