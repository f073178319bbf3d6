"""Columns of a table of the page with their units in the head: the digits stay those that are shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from eecompile.report.paper.page_parts import PageCell, PageTable
from eecompile.wording.quantities import ABSENT

_NUMBER = re.compile(r"([+-]?\d[\d,]*(?:\.\d+)?) ?(\D*)")
_INTERVAL = re.compile(r"\[([^][]*)\] ?(.*)")
_PREFIXES = {"G": 9, "M": 6, "k": 3, "m": -3, "µ": -6, "n": -9, "p": -12, "f": -15}
_NOTHING = ("", ABSENT, "·")
_UNITS = ("J·s", "J·cycles", "J", "s", "Hz", "B", "bit/cycle", "MAC", "")


@dataclass(frozen=True)
class Column:
    """A column: its head with the unit, its cells without, and whether these are numbers."""

    head: str
    cells: tuple[str, ...]
    numbers: bool


def columns(table: PageTable) -> list[Column]:
    """Return the columns of a table, those of its smaller lines behind each; empty ones are left out."""
    heads = table.columns or ("",) * len(table.rows[0])
    found: list[Column] = []
    for number, head in enumerate(heads):
        cells = [row[number] for row in table.rows]
        found.append(_column(head, [cell.text for cell in cells]))
        found += _small(head, cells)
    return [column for column in found if any(column.cells)]


def _small(head: str, cells: Sequence[PageCell]) -> list[Column]:
    """Return smaller lines as columns: intervals in one, shares in another, other words in a third."""
    kinds: dict[str, list[str]] = {}
    for index, cell in enumerate(cells):
        for text in cell.small:
            share = _NUMBER.fullmatch(text) and text.endswith("%")
            kind = "interval" if _INTERVAL.fullmatch(text) else "share" if share else "note"
            before = kinds.setdefault(kind, [""] * len(cells))
            before[index] = f"{before[index]} {text}".strip()
    return [_column(f"{head}, {kind}", texts) for kind, texts in kinds.items()]


def _column(head: str, texts: Sequence[str]) -> Column:
    """Return a column with its unit in the head, where all its cells have one."""
    found = [_NUMBER.fullmatch(text.replace("\N{MINUS SIGN}", "-")) for text in texts]
    numbers = [(Decimal(n[1].replace(",", "")), n[2].strip()) for n in found if n]
    if numbers and all(n is not None or text in _NOTHING for n, text in zip(found, texts, strict=True)):
        powers = _powers({unit for _, unit in numbers})
        if powers is not None:
            power = max((powers[unit] for value, unit in numbers if value), default=0)
            unit = next((name for name, of in powers.items() if of == power and name), "")
            cells = iter([_written(value, powers[name] - power) for value, name in numbers])
            shown = (next(cells) if n else text for n, text in zip(found, texts, strict=True))
            return Column(f"{head} ({unit})" if unit else head, tuple(shown), True)
    units = {unit for text in texts if text not in _NOTHING for unit in _unit_of(text)}
    if len(units) == 1 and (unit := units.pop()):
        return Column(f"{head} ({unit})", tuple(text.removesuffix(unit).rstrip() for text in texts), False)
    return Column(head, tuple(texts), False)


def _written(value: Decimal, power: int) -> str:
    return f"{value.scaleb(power):f}" if value else f"{value:f}"


def _unit_of(text: str) -> tuple[str, ...]:
    """Return the unit of an interval or a number; of anything else two, which no column shares."""
    found = _INTERVAL.fullmatch(text) or _NUMBER.fullmatch(text.replace("\N{MINUS SIGN}", "-"))
    return (found[2].strip(),) if found else ("", text)


def _powers(units: set[str]) -> dict[str, int] | None:
    """Return the power of ten of each unit if all are one unit with prefixes; a number without has any."""
    if len(units) <= 1:
        return dict.fromkeys(units, 0)
    for base in _UNITS:
        powers = {unit: _power(unit, base) for unit in units if unit}
        if all(power is not None for power in powers.values()):
            return {"": 0, **{unit: power for unit, power in powers.items() if power is not None}}
    return None


def _power(unit: str, base: str) -> int | None:
    if unit == base:
        return 0
    return _PREFIXES.get(unit[0]) if unit[1:] == base else None
