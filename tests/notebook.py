"""Cells of a notebook, run as Jupyter runs them: in one namespace, the last expression of each is shown."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cell:
    """A cell of code.

    Attributes:
        source: Its text.
        bare: Whether nothing that it printed or showed is kept in the file.
    """

    source: str
    bare: bool


def code_cells(path: Path) -> list[Cell]:
    """Return the cells of code of a notebook, in order."""
    document = json.loads(path.read_text(encoding="utf-8"))
    found = (cell for cell in document["cells"] if cell["cell_type"] == "code")
    return [
        Cell("".join(cell["source"]), not cell["outputs"] and cell["execution_count"] is None)
        for cell in found
    ]


def shown(cells: list[Cell]) -> Iterator[Any]:
    """Run cells one after the other; yield what each shows, ``None`` where its last line is no expression."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells:
        body = ast.parse(cell.source).body
        quiet = cell.source.rstrip().endswith(";") or not isinstance(body[-1], ast.Expr)
        last = None if quiet else body.pop()
        exec(compile(ast.Module(body, []), "<cell>", "exec", dont_inherit=True), namespace)
        yield None if last is None else eval(ast.unparse(last), namespace)
