"""What pydantic found wrong, in words for the person who wrote the file."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from passes.errors import InputError, did_you_mean

Model = TypeVar("Model", bound=BaseModel)

# A model names the field at fault itself where several are compared, as in "cores: one is named twice".
_STARTS_WITH_PATH = re.compile(r"[a-z_]+[\w.\[\]]*: ")

# What pydantic missed, by the kind of its complaint.
_EXPECTED = {
    **dict.fromkeys(("tuple_type", "list_type"), "a list such as [a, b] or lines that start with '- '"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "keys with values, 'key: value'"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "string_type": "text",
    "string_pattern_mismatch": "an operand and a direction such as 'I to_below'",
    "finite_number": "a finite number",
    "greater_than_equal": "a number of at least 0",
}


def checked(kind: type[Model], data: object, where: str, keys: str) -> Model:
    """Return the content of a file as what it describes.

    Args:
        kind: What it describes.
        data: The content, as YAML has it.
        where: Names the file in messages.
        keys: Some that such a file has, for messages.

    Raises:
        InputError: No keys and values, or a wrong one, with the path of the value.
    """
    if not isinstance(data, dict):
        raise InputError(f"{where}: expected keys and values such as {keys}")
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{where}: {explain(error)}") from None


def explain(error: ValidationError) -> str:
    """Return all complaints, each with the path of the value, joined by semicolons."""
    return "; ".join(_sentence(_path(e["loc"]), _message(e)) for e in _first_causes(error))


def _first_causes(error: ValidationError) -> list[Any]:
    """Drop complaints that a sequence is too short where one of its own items was found wrong."""
    errors = error.errors()
    locations = [e["loc"] for e in errors]
    return [
        e
        for e in errors
        if e["type"] != "too_short"
        or not any(len(other) > len(e["loc"]) and other[: len(e["loc"])] == e["loc"] for other in locations)
    ]


def _sentence(path: str, message: str) -> str:
    if not path:
        return message
    return f"{path}.{message}" if _STARTS_WITH_PATH.match(message) else f"{path}: {message}"


def _path(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".").removesuffix(".value")


def _message(error: Any) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "greater_than":
        return f"must be > {context['gt']:g}"
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "too_short":
        return f"needs {context['min_length']} or more entries, not {context['actual_length']}; add them"
    if kind == "literal_error":
        words = [word.strip("'") for word in re.split(r", | or ", str(context["expected"]))]
        return f"{_shown(error['input'])} is not known here; {did_you_mean(str(error['input']), words)}"
    if kind == "string_too_short":
        return "is empty; write a text"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, not {_shown(error['input'])}"
    return str(error["msg"]).removeprefix("Value error, ")


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "keys with values"
    if isinstance(value, list | tuple):
        return "a list"
    return "nothing" if value is None else repr(value)[:60]
