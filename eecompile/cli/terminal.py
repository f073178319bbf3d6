"""Answers on stdout: tables, or one JSON document; errors on stderr."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Protocol, TypeVar

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eecompile.cli.flags import with_flags
from eecompile.wording.quantities import printable
from passes.shown_result import finite

_GAP, _LEAST_NAME = 3, 8
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


def write_json_line(document: dict[str, Any]) -> None:
    """Print one JSON document on one line, at once: for who waits for it while the program goes on."""
    print(json.dumps(finite(document), default=str), flush=True)


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
    style: Callable[[str], str] = lambda _: "",
    beside: Sequence[str] = (),
) -> None:
    """Print a table with a title; columns named in ``numbers`` are set to the right.

    Where a terminal is too narrow for all columns the table goes on below, with the names of its rows again.

    Args:
        out: Where to.
        title: Line above the table.
        columns: Headings.
        rows: Cells, already worded.
        numbers: Headings of columns set to the right and never broken.
        bold_last: How many rows at the end are totals.
        tight: Columns stand closer, for tables with many of them.
        style: From a cell to its style.
        beside: Headings of columns that stay beside the one before them, where there is room for both.
    """
    lines = [tuple(printable(cell) for cell in row) for row in rows]
    if not lines:
        return
    line(out, title, "bold")
    right, joined = ([name in some for name in columns] for some in (numbers, beside))
    for part in _parts([tuple(columns), *lines], right, out.width, joined):
        grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=tight)
        for number in part:
            justify: Literal["left", "right"] = "right" if right[number] else "left"
            grid.add_column(columns[number], justify=justify, no_wrap=right[number], overflow="fold")
        for index, row in enumerate(lines):
            total = index >= len(lines) - bold_last
            grid.add_row(
                *(Text(row[number], style=style(row[number])) for number in part),
                style="bold" if total else None,
            )
        out.print(grid)


def _parts(
    rows: Sequence[Sequence[str]], right: Sequence[bool], width: int, joined: Sequence[bool]
) -> list[list[int]]:
    """Return which columns stand side by side: all, or as many as a terminal has room for.

    The first ones, which tell rows apart, are always there.

    Args:
        rows: Headings and cells.
        right: Which columns hold numbers, which are never broken.
        width: Of the terminal.
        joined: Which columns stay beside the one before.
    """
    needs, width = [], width + _GAP - 2  # beside the last column there is no gap, and one place on each side
    for number, cells in enumerate(itertools.zip_longest(*rows, fillvalue="")):
        pieces = [piece for cell in cells for piece in (cell.splitlines() if right[number] else cell.split())]
        need = max((cell_len(piece) for piece in pieces), default=0)
        # A name may be broken where it would take too much of the room of numbers.
        needs.append(_GAP + (need if right[number] else min(need, max(_LEAST_NAME, width // 4))))
    if sum(needs) <= width:
        return [list(range(len(needs)))]
    names = 1
    while names < len(needs) and not right[names] and not _told_apart([row[:names] for row in rows]):
        names += 1
    first, left = list(range(names)), width - sum(needs[:names])
    parts, room = [[*first]], left
    for number in range(names, len(needs)):
        end = number + 1
        while end < len(needs) and joined[end]:
            end += 1
        both = sum(needs[number:end])
        wanted = needs[number] if joined[number] or both > left else both
        if wanted > room and len(parts[-1]) > names:
            parts.append([*first])
            room = left
        parts[-1].append(number)
        room -= needs[number]
    return parts


def _told_apart(names: Sequence[Sequence[str]]) -> bool:
    """Return whether no two rows have the same names, nor one none; a row may leave out what stands above."""
    return all(name[-1] for name in names) and len({tuple(name) for name in names}) == len(names)


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
