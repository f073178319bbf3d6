"""What the README says of links and results; its blocks are run by `tests/test_documented.py`."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "targets").rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_table_of_results_is_what_the_results_page_says() -> None:
    readme, page = ((ROOT / p).read_text() for p in ("README.md", "docs/results/resnet8_diana.md"))
    assert "RESULT_" not in readme, "a placeholder was left"
    rows = re.findall(r"^\| (?:expected|energy|MACs|images).*$", readme, re.MULTILINE)
    figures = re.findall(r"\d+\.\d %", "\n".join(rows))
    assert len(figures) == 12, "six savings of energy-delay product, two of each other row"
    assert [figure for figure in figures if figure not in page] == []
