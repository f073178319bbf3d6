"""Complaints of pydantic in words, with the path of the value."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from targets.description.explain import explain
from targets.description.figure import Figure, Frozen, Real, Whole
from targets.description.hierarchy import Transfer


class Part(Frozen):
    size: Annotated[Whole, Field(gt=0)] = 1
    share: Annotated[Real, Field(ge=0)] = 1.0
    name: Annotated[str, Field(min_length=1)] = "part"
    serves: tuple[Transfer, ...] = ()
    wide: Annotated[Whole, Field(gt=2)] = 3
    low: int = 0
    high: int = 0

    @model_validator(mode="after")
    def _ordered(self) -> Part:
        if self.low > self.high:
            raise ValueError("high: must not be less than low; raise it")
        if self.low < 0:
            raise ValueError("Nothing here is negative")
        return self


class Holder(Frozen):
    kind: Literal["bus", "point_to_point"] = "bus"
    parts: Annotated[tuple[Part, ...], Field(min_length=2)] = (Part(), Part())
    by_name: dict[str, Part] = {}
    power: Figure | None = None
    on: bool = False
    count: int = 0


def complaint(model: type[Frozen] = Holder, /, **values: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(values)
    return explain(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 0}, "size: must be > 0"),
        ({"wide": 2}, "wide: must be > 2"),
        ({"size": "64"}, "size: expected a number, not '64'; numbers have no quotes"),
        ({"size": True}, "size: expected a number, not True"),
        ({"size": 0.5}, "size: expected a whole number, not 0.5"),
        ({"size": [1]}, "size: expected a whole number, not a list"),
        ({"size": None}, "size: expected a whole number, not nothing"),
        ({"share": -1}, "share: expected a number of at least 0, not -1"),
        ({"share": {"a": 1}}, "share: expected a number, not keys with values"),
        ({"share": float("inf")}, "share: expected a finite number, not inf"),
        ({"name": ""}, "name: is empty; write a text"),
        ({"name": 3}, "name: expected text, not 3"),
        ({"serves": ["below"]}, "serves[0]: expected an operand and a direction such as 'I to_below', not"),
        ({"serves": "I to_below"}, "serves: expected a list such as [a, b]"),
        ({"colour": "red"}, "colour: unknown key"),
        ({"low": 2}, "high: must not be less than low; raise it"),
        ({"low": -1, "high": 0}, "Nothing here is negative"),
    ],
)
def test_each_kind_of_complaint_has_its_words(values: dict[str, Any], message: str) -> None:
    found = complaint(Part, **values)
    assert found.startswith(message) and "Value error" not in found


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "buss"}, "kind: 'buss' is not known here; did you mean 'bus'?"),
        ({"kind": 7}, "kind: 7 is not known here; known: bus, point_to_point"),
        ({"parts": [{}]}, "parts: needs 2 or more entries, not 1; add them"),
        ({"parts": [{}, {"size": 0}]}, "parts[1].size: must be > 0"),
        ({"parts": [{}, {"low": 1}]}, "parts[1].high: must not be less than low; raise it"),
        ({"parts": [{}, {"low": -1}]}, "parts[1]: Nothing here is negative"),
        ({"by_name": {"a": {"low": 1}}}, "by_name.a.high: must not be less than low; raise it"),
        ({"by_name": 3}, "by_name: expected keys with values, 'key: value', not 3"),
        ({"power": {"value": 0, "known": "measured", "source": "x"}}, "power: must be > 0"),
        ({"power": {"value": 1, "known": "measured"}}, "power.source: is missing"),
        ({"on": "maybe"}, "on: expected true or false, not 'maybe'"),
    ],
)
def test_the_path_leads_to_the_value(values: dict[str, Any], message: str) -> None:
    assert complaint(**values) == message


def test_only_first_causes_are_told() -> None:
    """A list is not called too short because one of its entries is wrong."""
    assert complaint(parts=[{"size": 0}]) == "parts[0].size: must be > 0"


def test_all_complaints_are_told() -> None:
    assert complaint(Part, size=0, colour="red") == "size: must be > 0; colour: unknown key"
    assert complaint(parts=[{}], on=2) == (
        "parts: needs 2 or more entries, not 1; add them; on: expected true or false, not 2"
    )


def test_long_values_are_cut() -> None:
    assert complaint(Part, name=["x"] * 100) == "name: expected text, not a list"
    assert len(complaint(kind="x" * 200)) < 150
