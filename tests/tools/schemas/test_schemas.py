"""The schemas are what their source says, and say something of every key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tools.schemas.__main__ import DOCUMENTS, FOLDER, PAGE, page_text, schema_text
from tools.schemas.shapes import NUMBER, TEXT, maybe, record, table, versioned
from tools.schemas.words import TEXT as WORDS_TEXT
from tools.schemas.words import WORDS

OF_OTHERS = ("trace",)


def test_files_are_those_of_the_source() -> None:
    """Written by ``python3 -m tools.schemas``."""
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    made = {document.file: schema_text(document) for document in DOCUMENTS}
    assert made == there
    page = PAGE.read_text(encoding="utf-8")
    assert page_text(page) == page and all(f"(schemas/{name})" in page for name in made)


def objects(shape: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each object of a schema with its place."""
    if isinstance(shape, dict):
        if shape.get("type") == "object" or "properties" in shape:
            yield where, shape
        for key, inner in shape.items():
            yield from objects(inner, f"{where}.{key}")
    elif isinstance(shape, list):
        for number, inner in enumerate(shape):
            yield from objects(inner, f"{where}.{number}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_no_key_is_unknown_and_each_is_told(document: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="comes with the extra test")
    schema = document.to_json()
    jsonschema.Draft202012Validator.check_schema(schema)
    if document.name in OF_OTHERS:
        return
    found = list(objects(schema, document.name))
    assert found
    for where, shape in found:
        if "properties" in shape:
            assert shape["additionalProperties"] is False, where
            assert all(inner.get("description") for inner in shape["properties"].values()), where
            assert set(shape["required"]) <= set(shape["properties"]), where
        elif "additionalProperties" not in shape:  # differs by how it came about: its words say so
            assert shape["description"], where


def test_words_are_one_line_per_name() -> None:
    names = [line.partition(": ")[0] for line in WORDS_TEXT.strip().splitlines()]
    assert names == sorted(set(names)) and len(WORDS) == len(names)


def test_shapes() -> None:
    found = record({"name": TEXT, "macs": maybe(NUMBER)}, "A layer.", sometimes=("macs",))
    assert found["required"] == ["name"] and found["additionalProperties"] is False
    assert found["properties"]["macs"] == {"description": WORDS["macs"], "type": ["number", "null"]}
    assert maybe(table(NUMBER))["anyOf"][1] == {"type": "null"}
    assert versioned({}, 3)["properties"]["schema_version"]["const"] == 3
    with pytest.raises(ValueError, match="without a word"):
        record({"no_such_word": TEXT})
    with pytest.raises(ValueError, match="no such keys"):
        record({"name": TEXT}, sometimes=("other",))
