"""The few shapes that documents are made of, as JSON Schema 2020-12."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tools.schemas.words import WORDS

Shape = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
NUMBER: Shape = {"type": "number"}
INTEGER: Shape = {"type": "integer"}
TEXT: Shape = {"type": "string"}
FLAG: Shape = {"type": "boolean"}
NOTHING: Shape = {"type": "null"}
ANYTHING: Shape = {}


@dataclass(frozen=True)
class Document:
    """A kind of document.

    Attributes:
        name: Of its files in ``docs/schemas``.
        where: Where such documents are written.
        shape: What they hold.
        version: Their ``schema_version``.
        note: What else to know.
    """

    name: str
    where: str
    shape: Shape
    version: int = 1
    note: str = ""

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"{self.name}-{self.version}.json"

    def to_json(self) -> Shape:
        """Return the schema as it is written."""
        return {
            "$schema": DIALECT,
            "$id": f"urn:eecompile:schema:{self.name}:{self.version}",
            "title": f"{self.name}, version {self.version}",
            "description": " ".join(filter(None, (f"Written by: {self.where}.", self.note))),
            **self.shape,
        }


def record(fields: Mapping[str, Shape], about: str = "", sometimes: Iterable[str] = ()) -> Shape:
    """Return an object with these keys and no others; each has its description, its own or that of its name.

    Args:
        fields: Key -> shape.
        about: What it is.
        sometimes: Keys that may be absent.
    """
    rare = set(sometimes)
    if unknown := rare - set(fields):
        raise ValueError(f"no such keys: {sorted(unknown)}")
    properties = {name: described(shape, WORDS.get(name, "")) for name, shape in fields.items()}
    if bare := [name for name, shape in properties.items() if not shape.get("description")]:
        raise ValueError(f"keys without a word on them: {bare}")
    found: Shape = {"type": "object", "description": about} if about else {"type": "object"}
    return found | {
        "properties": properties,
        "required": [name for name in fields if name not in rare],
        "additionalProperties": False,
    }


def versioned(fields: Mapping[str, Shape], version: int = 1, sometimes: Iterable[str] = ()) -> Shape:
    """Return a record with its ``schema_version``."""
    return record({"schema_version": {"const": version}, **fields}, sometimes=sometimes)


def described(shape: Shape, words: str) -> Shape:
    """Return a shape with a description, unless it has one."""
    return shape if "description" in shape or not words else {"description": words, **shape}


def said(words: str, shape: Shape) -> Shape:
    """Return a shape with a description of its own."""
    return {**shape, "description": words}


def rows(of: Shape) -> Shape:
    """Return a list of such shapes."""
    return {"type": "array", "items": of}


def pair(of: Shape) -> Shape:
    """Return a list of two."""
    return {"type": "array", "items": of, "minItems": 2, "maxItems": 2}


def table(of: Shape) -> Shape:
    """Return an object whose keys are names of things."""
    return {"type": "object", "additionalProperties": of}


def maybe(shape: Shape) -> Shape:
    """Return a shape that may be null."""
    inner = {key: value for key, value in shape.items() if key != "description"}
    words = {"description": shape["description"]} if "description" in shape else {}
    if set(inner) == {"type"}:
        return {"type": [inner["type"], "null"], **words}
    return {"anyOf": [inner, NOTHING], **words}


def any_of(*shapes: Shape) -> Shape:
    """Return one of several shapes."""
    return {"anyOf": list(shapes)}
