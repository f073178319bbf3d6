"""Documents of each version, kept as they were written; what holds new ones against their schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).parent
SCHEMAS = FIXTURES.parents[1] / "docs" / "schemas"


def fixture(name: str, version: int = 1) -> dict[str, Any]:
    """Return a document as that version was written; some lists in it were cut short."""
    found: dict[str, Any] = json.loads((FIXTURES / f"{name}-{version}.json").read_text(encoding="utf-8"))
    return found


def valid(name: str, document: Any) -> None:
    """Check that a document is as its schema says, with no key that the schema does not have."""
    jsonschema = pytest.importorskip("jsonschema", reason="comes with the extra test")
    version = document.get("schema_version", 1)
    schema = json.loads((SCHEMAS / f"{name}-{version}.json").read_text(encoding="utf-8"))
    faults = jsonschema.Draft202012Validator(schema).iter_errors(document)
    told = [f"{'.'.join(map(str, fault.absolute_path))}: {fault.message[:200]}" for fault in faults]
    assert not told, f"{name}-{version}: " + "\n".join(told)
