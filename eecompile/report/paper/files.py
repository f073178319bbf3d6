"""Each table of the report as ``.tex`` and ``.csv``, each plot as ``.svg``."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import Counter
from pathlib import Path

from eecompile.report import render
from eecompile.report.paper.columns import columns
from eecompile.report.paper.page_parts import page_parts
from eecompile.report.paper.style_rules import style_rules
from eecompile.report.paper.svg_file import svg_file
from eecompile.run_files.directory import folders
from passes.files import write_atomic
from passes.tex_table import tex_table

LONGEST_NAME = 60
"""Letters of the name of a file, its ending left out."""


def export_page(run_dir: Path, folder: Path) -> tuple[Path, ...]:
    """Write every table and plot of the report of ``run_dir`` into ``folder``, which is made.

    They are called after the headings they stand under; a second one there has a number.

    Raises:
        InputError: No run directory, a damaged file in it, or a place that cannot be written to.
    """
    parts = page_parts(render(run_dir))
    taken: Counter[str] = Counter()
    files: dict[str, str] = {}
    for table in parts.tables:
        found = columns(table)
        heads = [column.head for column in found]
        rows = list(zip(*(column.cells for column in found), strict=True))
        name = _name(table.title, taken)
        files[f"{name}.tex"] = tex_table(table.title, heads, rows, [column.numbers for column in found])
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([heads, *rows] if any(heads) else rows)
        files[f"{name}.csv"] = text.getvalue()
    rules = style_rules(parts.style)
    for plot in parts.plots:
        files[f"{_name(plot.title, taken)}.svg"] = svg_file(plot, rules)
    with folders(folder):
        for name, content in files.items():
            write_atomic(folder / name, content.encode())
    return tuple(folder / name for name in files)


def _name(title: str, taken: Counter[str]) -> str:
    """Return a title as the name of a file, in ASCII; another number for each that is alike."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9_]+", "-", plain).strip("-") or "table"
    name = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME + 1].rpartition("-")[0]
    taken[name] += 1
    return name if taken[name] == 1 else f"{name}-{taken[name]}"
