"""Write ``docs/schemas/`` and the table in ``docs/schemas.md``: see the package."""

from __future__ import annotations

import json
from pathlib import Path

from tools.schemas import costs, listings, runs, searches, serving, splits
from tools.schemas.shapes import Document

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "schemas"
PAGE = ROOT / "docs" / "schemas.md"
DOCUMENTS: tuple[Document, ...] = (
    *runs.DOCUMENTS,
    *costs.DOCUMENTS,
    *searches.DOCUMENTS,
    *listings.DOCUMENTS,
    *serving.DOCUMENTS,
    *splits.DOCUMENTS,
)
_START, _END = "<!-- table -->\n", "<!-- end -->\n"


def schema_text(document: Document) -> str:
    """Return the file of a document."""
    return json.dumps(document.to_json(), indent=1, ensure_ascii=False) + "\n"


def page_text(page: str) -> str:
    """Return the page with the table of all documents in it."""
    before, _, rest = page.partition(_START)
    _, _, after = rest.partition(_END)
    lines = [f"| [{d.name}](schemas/{d.file}) | {d.version} | {d.where} |" for d in DOCUMENTS]
    head = "| schema | version | written by |\n|---|---|---|\n"
    return before + _START + head + "\n".join(lines) + "\n" + _END + after


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for document in DOCUMENTS:
        (FOLDER / document.file).write_text(schema_text(document), encoding="utf-8")
    PAGE.write_text(page_text(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
