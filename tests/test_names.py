"""A name means one thing, and a file is tested where one looks for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tools.house import PACKAGES

ROOT = Path(__file__).parents[1]


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Yield path and code of all files of the packages that hold more than a docstring."""
    for name in PACKAGES:
        for path in sorted((ROOT / name).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            if path.name != "__init__.py" or len(tree.body) > 1:
                yield str(path.relative_to(ROOT)), tree


def test_no_two_public_classes_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for path, tree in sources():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(path)
    assert len(places) > 100
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def mirror(path: str) -> str:
    """Return where the test of a source file lies."""
    source = Path(path)
    name = source.parent.name if source.name == "__init__.py" else source.stem
    return str("tests" / source.parent / f"test_{name}.py")


def test_every_file_has_its_test_file() -> None:
    assert [path for path, _ in sources() if not (ROOT / mirror(path)).exists()] == []
