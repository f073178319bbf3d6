"""What pydantic found wrong, in words for the person who wrote the file."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

# A model names the field at fault itself where several are compared, as in "cores: one is named twice".
_STARTS_WITH_PATH = re.compile(r"[a-z_]+[\w.\[\]]*: ")


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
    return str(error["msg"]).removeprefix("Value error, ")
