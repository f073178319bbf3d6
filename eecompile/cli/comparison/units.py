"""Figures and their changes in the units people read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eecompile.wording import quantities

if TYPE_CHECKING:  # a verb loads only what it works with
    from eecompile.verbs.work.gates import Difference


def value_text(unit: str, value: float | None) -> str:
    """Return a figure in the unit people read it in."""
    if value is None:
        return quantities.ABSENT
    if unit == "pJ":
        return quantities.energy(value)
    if unit == "cycles":
        return f"{quantities.cycles(value)} cycles"
    if unit == "share":
        return quantities.percent(value, 2)
    if unit == "points":
        return f"{quantities.signed(value, 2)} points"
    if unit == "bytes":
        return f"{value / 1024:,.1f} KiB"
    if unit == "MACs":
        return quantities.quantity(value)
    return quantities.quantity(value, unit) if unit else f"{value:.6g}"


def change_text(unit: str, difference: Difference) -> str:
    """Return how a figure changed, with its sign: shares in points, all else in per cent of the baseline."""
    if unit in ("share", "points"):
        change = difference.change * (100 if unit == "share" else 1)
        return f"{plus(change, 2)} points"
    if difference.relative is None:
        return f"{'+' if difference.change > 0 else chr(0x2212)}{value_text(unit, abs(difference.change))}"
    return f"{plus(100 * difference.relative, 1)} %"


def plus(value: float, places: int) -> str:
    """Return a change with its sign, also where it rounds to zero."""
    text = quantities.signed(value, places)
    if float(f"{value:.{places}f}") == 0:
        return text if value == 0 else f"{'+' if value > 0 else chr(0x2212)}{text}"
    return f"+{text}" if value > 0 else text
