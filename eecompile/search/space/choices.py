"""Values of keys that are one or a list of choices, and complaints about them with path and hint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from passes.errors import InputError, did_you_mean

Item = TypeVar("Item")
TOLD = "told"

# What pydantic missed, by the kind of its complaint.
_EXPECTED = {
    **dict.fromkeys(("tuple_type", "list_type"), "a list: [a, b]"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a table of keys with values"),
    "float_type": "a number",
    **dict.fromkeys(("int_type", "int_from_float"), "a whole number"),
    "bool_type": "true or false",
    "string_type": "a text in quotes",
    "finite_number": "a finite number",
}


class Table(BaseModel):
    """A table of the file of a space; unknown keys and values of another kind are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def told(error: InputError) -> PydanticCustomError:
    """Return what a validator raises for one of our own errors; pydantic adds the path."""
    # the text of a custom error is a template of braces, and heads are written with them
    return PydanticCustomError(TOLD, "{message}", {"message": error.message, "hint": error.hint})


def by(function: Callable[[Any], Item]) -> Callable[[Any], Item]:
    """Return ``function`` as a validator: its InputError is a complaint with a path."""

    def validated(value: Any) -> Item:
        try:
            return function(value)
        except InputError as error:
            raise told(error) from None

    return validated


def text_of(value: object) -> str:
    """Return ``value``; raises InputError unless it is text."""
    if not isinstance(value, str):
        raise InputError(f"expected a text in quotes, not {shown(value)}")
    return value


def choices(of: Callable[[Any], Item | tuple[Item, ...]]) -> BeforeValidator:
    """Return the validator of a key that is one value or a list of them, each once.

    Args:
        of: From a value as it is written to what it says; a tuple says several.
    """

    def read(given: object) -> tuple[Item, ...]:
        found: list[Item] = []
        for number, value in enumerate(given if isinstance(given, list) else (given,)):
            try:
                one = of(value)
                found += one if isinstance(one, tuple) else [one]
            except InputError as error:
                where = f"[{number}]: " if isinstance(given, list) else ""
                raise InputError(where + error.message, error.hint) from None
        return distinct(found)

    return BeforeValidator(by(read))


def distinct(values: Sequence[Item]) -> tuple[Item, ...]:
    """Return ``values``; raises InputError where there are none, or one is there twice."""
    if not values:
        raise InputError("is empty: there is nothing to choose", "give one value or more")
    for number, value in enumerate(values):
        if value in values[:number]:
            name = str(getattr(value, "name", value))
            raise InputError(f"'{name}' is there twice", "name each choice once")
    return tuple(values)


def first_complaint(error: ValidationError, table: str) -> InputError:
    """Return the first of all complaints about a table, with the path of the value and what to do."""
    found = error.errors()[0]
    path = table
    for part in found["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    message, hint = _sentence(found)
    return InputError(f"{path}{message}" if message.startswith("[") else f"{path}: {message}", hint)


def _sentence(found: Any) -> tuple[str, str]:
    kind, context = found["type"], found.get("ctx", {})
    if kind == TOLD:
        return context["message"], context["hint"]
    if kind == "missing":
        return "is missing", "the space needs it"
    if kind == "literal_error":
        words = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        return f"cannot be {shown(found['input'])}", did_you_mean(str(found["input"]), words)
    bounds = {"greater_than": "above", "greater_than_equal": "at least", "less_than": "below",
              "less_than_equal": "at most"}  # fmt: skip
    if kind in bounds:
        limit = next(iter(context.values()))
        hint = "it is a fraction: 0.5 for 50 %" if limit == 1 and found["input"] > 1 else ""
        return f"must be {bounds[kind]} {limit:g}, not {shown(found['input'])}", hint
    if kind in ("too_short", "too_long"):
        limit = context.get("min_length", context.get("max_length"))
        few = "at least" if kind == "too_short" else "at most"
        there = context["actual_length"]
        return f"has {there} {'entry' if there == 1 else 'entries'}, and {few} {limit} are needed", ""
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, not {shown(found['input'])}", ""
    return str(found["msg"]).removeprefix("Value error, "), ""


def shown(value: object) -> str:
    """Return a value as messages show it."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value)[:60]
