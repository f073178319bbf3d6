"""A vendor's log of layers, line by line: name, measured cycles, operations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from passes.errors import InputError

NAME, CYCLES, OPERATIONS = "layer", "cycles", "operations"
ALIASES = {"name": NAME, "measured": CYCLES, "ops": OPERATIONS}
ABSENT = frozenset({"", "-", "?", "na", "n/a", "nan", "none"})
FORM = "a name, measured cycles (0 or - where there are none) and operations, apart by tabs or spaces"


@dataclass(frozen=True)
class Row:
    """One layer of a log.

    Attributes:
        line: Number of its line, from 1.
        name: As the log has it.
        measured: Cycles, or ``None`` where none were measured.
        operations: As the log has them.
    """

    line: int
    name: str
    measured: int | None
    operations: int


def read_rows(path: Path) -> tuple[Row, ...]:
    """Read a log.

    Raises:
        InputError: No such file, no text, or a line that is no layer.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror or error}", "give a file with a line per layer"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no text in UTF-8", f"each line has {FORM}") from None
    return parse_rows(text, str(path))


def parse_rows(text: str, where: str) -> tuple[Row, ...]:
    """Parse the text of a log; empty lines and what follows a ``#`` do not count, a header may name columns.

    Raises:
        InputError: A line that is no layer, or none that is one.
    """
    columns: Sequence[str] = (NAME, CYCLES, OPERATIONS)
    named = False
    rows: list[Row] = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = _fields(line.partition("#")[0])
        if not fields:
            continue
        place = f"{where}, line {number}"
        header = [ALIASES.get(field.lower(), field.lower()) for field in fields]
        if not rows and not named and NAME in header:
            columns, named = header, True
            if OPERATIONS not in columns:
                raise InputError(f"{place}: the header has no column '{OPERATIONS}'", f"each line has {FORM}")
            continue
        rows.append(_row(fields, columns, number, place))
    if not rows:
        raise InputError(f"{where}: no line is a layer", f"each line has {FORM}")
    return tuple(rows)


def _fields(line: str) -> list[str]:
    """Return the fields of a line; between tabs a field may be empty, between spaces it may not."""
    if "\t" in line.strip():
        fields = [field.strip() for field in line.rstrip().split("\t")]
        if not any(" " in field for field in fields) and fields[0]:
            return fields
    return line.split()


def _row(fields: list[str], columns: Sequence[str], number: int, place: str) -> Row:
    if len(fields) == len(columns) - 1 and CYCLES in columns:
        columns = [column for column in columns if column != CYCLES]
    if len(fields) != len(columns):
        raise InputError(f"{place}: {len(fields)} fields, expected {len(columns)}", f"each line has {FORM}")
    found = dict(zip(columns, fields, strict=True))
    cycles = found.get(CYCLES, "")
    measured = None if cycles.lower() in ABSENT else _count(cycles, CYCLES, place)
    operations = _count(found[OPERATIONS], OPERATIONS, place)
    if not operations:
        raise InputError(
            f"{place}: '{found[NAME]}' has no operations, expected 1 or more", "sizes follow from them"
        )
    return Row(number, found[NAME], measured or None, operations)


def _count(text: str, what: str, place: str) -> int:
    if not re.fullmatch(r"[0-9]+", text):
        raise InputError(
            f"{place}: {what} '{text}', expected a whole number without signs", f"each line has {FORM}"
        )
    return int(text)
