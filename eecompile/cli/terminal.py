"""Answers on stdout: tables, or one JSON document; errors on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eecompile.cli.flags import with_flags
from eecompile.wording.quantities import printable
from passes.shown_result import finite

PIPE_WIDTH = 160
"""Columns when nobody looks: wide enough that a row of a table stays on one line for grep."""


def console() -> Console:
    """Return a console on stdout; escape codes only on a terminal, no markup in anybody's names."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


class Answer(Protocol):
    """What a verb answers."""

    def to_json(self) -> dict[str, Any]:
        """Return the answer as one JSON document."""


A = TypeVar("A", bound=Answer)


def show(answer: A, as_json: bool, write: Callable[[Console, A], None]) -> None:
    """Print an answer: as one JSON document, or as ``write`` puts it."""
    if as_json:
        write_json(answer.to_json())
    else:
        write(console(), answer)


def write_json(document: dict[str, Any]) -> None:
    """Print one JSON document; numbers JSON cannot hold become null."""
    print(json.dumps(finite(document), indent=1, default=str))


def line(out: Console, text: str = "", style: str | None = None) -> None:
    """Print one line of text, wrapped at words."""
    out.print(Text(printable(with_flags(text)), style=style or ""))


def table(
    out: Console,
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: Sequence[str] = (),
    bold_last: int = 0,
    tight: bool = False,
) -> None:
    """Print a table with a title; columns named in ``numbers`` are set to the right.

    Args:
        out: Where to.
        title: Line above the table.
        columns: Headings.
        rows: Cells, already worded.
        numbers: Headings of columns set to the right and never broken.
        bold_last: How many rows at the end are totals.
        tight: Columns stand closer, for tables with many of them.
    """
    lines = [tuple(printable(cell) for cell in row) for row in rows]
    if not lines:
        return
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=tight)
    for name in columns:
        number = name in numbers
        grid.add_column(name, justify="right" if number else "left", no_wrap=number, overflow="fold")
    for index, row in enumerate(lines):
        total = index >= len(lines) - bold_last
        grid.add_row(*(Text(cell) for cell in row), style="bold" if total else None)
    line(out, title, "bold")
    out.print(grid)


def bullets(out: Console, title: str, entries: Iterable[tuple[str, str]]) -> None:
    """Print a titled list of subjects and what is said of them."""
    lines = list(entries)
    if not lines:
        return
    line(out, title, "bold")
    for subject, text in lines:
        entry = Text(printable(with_flags(f"{subject}: {text}" if subject else text)))
        for number, part in enumerate(entry.wrap(out, max(20, out.width - 4))):
            part.rstrip()
            out.print(Text("    " if number else "  ") + part)
    out.print()
