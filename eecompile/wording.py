"""How numbers and names are written for people: the same on the terminal and in the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eecompile.run_files.summary import Costs, Summary


ABSENT = "–"  # noqa: RUF001 - an en dash stands for "no value"
_PREFIXES = (
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
    (1e-12, "p"),
)


def quantity(value: float | None, unit: str = "") -> str:
    """Return ``value`` with three digits and an SI prefix: ``1.23 µJ``; an en dash for None."""
    if value is None:
        return ABSENT
    if value == 0:
        return f"0 {unit}".rstrip()
    for factor, prefix in _PREFIXES:
        if abs(value) >= factor * 0.9995:
            return f"{_digits(value / factor)} {prefix}{unit}".rstrip()
    return f"{value:.3g} {unit}".rstrip()


def _digits(value: float) -> str:
    size = abs(value)
    places = 2 if size < 9.995 else 1 if size < 99.95 else 0
    return f"{value:.{places}f}"


def energy(energy_pj: float | None) -> str:
    """Return an energy given in picojoules: ``12.3 µJ``."""
    return quantity(None if energy_pj is None else energy_pj * 1e-12, "J")


def cycles(latency_cycles: float | None) -> str:
    """Return a number of cycles with thousands separated: ``12,345``."""
    return ABSENT if latency_cycles is None else f"{latency_cycles:,.0f}"


def edp(costs: Costs) -> str:
    """Return the energy-delay product: in J·s, or in J·cycles on a target without a clock."""
    return product(costs.edp_js, costs.edp_j_cycles)


def product(edp_js: float | None, edp_j_cycles: float) -> str:
    """Return an energy-delay product in J·s, or in J·cycles where there is no clock."""
    if edp_js is not None:
        return quantity(edp_js, "J·s")
    return quantity(edp_j_cycles, "J·cycles")


def time(costs: Costs) -> str:
    """Return the latency: in seconds, or in cycles on a target without a clock."""
    if costs.latency_s is not None:
        return quantity(costs.latency_s, "s")
    return f"{cycles(costs.latency_cycles)} cycles"


def percent(share: float | None, places: int = 1) -> str:
    """Return a share (0.123) as a percentage: ``12.3 %``."""
    return ABSENT if share is None else f"{share * 100:.{places}f} %"


def interval(bounds: Sequence[float] | None, factor: float = 1.0, places: int = 1) -> str:
    """Return an interval: ``[81.2, 84.0]``; empty for None."""
    if bounds is None:
        return ""
    low, high = (signed(bound * factor, places) for bound in bounds)
    return f"[{low}, {high}]"


def signed(value: float, places: int) -> str:
    """Return ``value`` with a true minus sign, and without one where it rounds to zero."""
    text = f"{value:.{places}f}"
    if float(text) == 0:
        return text.lstrip("-")
    return text.replace("-", "\N{MINUS SIGN}")


def shortened(name: str, length: int = 32) -> str:
    """Return ``name`` without control characters, its middle cut out so that it fits in ``length``."""
    clean = printable(name)
    if len(clean) <= length:
        return clean
    tail = (length - 1) * 2 // 3  # exporters put what tells names apart at the end
    return f"{clean[: length - 1 - tail]}…{clean[-tail:]}"


def printable(text: str) -> str:
    """Return ``text`` with control characters made visible, so that no name can steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def change(saving: float) -> str:
    """Return a saving as words: ``31.2 % less`` or ``4.0 % more``."""
    return f"{percent(abs(saving))} {'less' if saving >= 0 else 'more'}"


def headline(summary: Summary) -> str:
    """Return the result of a run in one or two sentences."""
    if summary.saving is None or summary.expected is None or summary.drop is None:
        return _cost_headline(summary)
    early = len(summary.exits) - 1
    what, saved = summary.objective.words, summary.saving.of(summary.objective)
    images = f" on {summary.dataset.test:,} test images" if summary.dataset else ""
    first = (
        f"With {_exits(early)} an image takes {change(saved)} {what} on {summary.target} than without."
        if early
        else "No early exit pays off within the allowed drop: the files hold the final exit alone."
    )
    if summary.never_taken:
        first = f"{_never_taken(summary)} {first}"
    if summary.caution:
        first = summary.caution
    return (
        f"{first} Accuracy is {percent(summary.expected.accuracy)} "
        f"(95 % interval {interval(summary.expected.accuracy_ci95, 100)}){images}, "
        f"a drop of {signed(summary.drop.points, 2)} points {interval(summary.drop.ci95, places=2)}."
        f"{_above(summary)}"
    )


def _never_taken(summary: Summary) -> str:
    """Say of which exits that were asked for nobody may leave at."""
    mounts = {e.name: e.mount_name for e in summary.exits}
    listed = ", ".join(f"{name} ({mounts[name]})" for name in summary.never_taken)
    return (
        f"No image leaves at {listed}: no threshold there keeps the drop within {summary.max_drop:g} points."
    )


def power_note(summary: Summary) -> str:
    """Say it where latency and energy tell the same: no path has another mean power than static."""
    static, paths = summary.static, summary.exits
    same = (
        math.isclose(e.energy_pj * static.latency_cycles, static.energy_pj * e.latency_cycles) for e in paths
    )
    if len(paths) < 2 or not all(same):
        return ""
    return "All powers in use are equal, so energy is proportional to latency."


def _above(summary: Summary) -> str:
    """Say it where test images show a larger drop than was allowed on validation images."""
    if summary.drop is None or summary.drop.points <= summary.max_drop:
        return ""
    return f" That is above the {summary.max_drop} points allowed, which validation images kept to."


def _exits(count: int) -> str:
    return f"{count} early exit{'' if count == 1 else 's'}"


def _cost_headline(summary: Summary) -> str:
    claim = "No data was given, so nothing was trained and no accuracy is claimed."
    early = len(summary.exits) - 1
    if not early:
        costs = f"{energy(summary.static.energy_pj)} and {time(summary.static)} per image"
        return f"Without early exits the network takes {costs} on {summary.target}. {claim}"
    share = percent(ratio(summary.exits[0].energy_pj, summary.static.energy_pj), 0)
    return (
        f"Costs of {_exits(early)} on {summary.target}: "
        f"an image that leaves at {summary.exits[0].name} takes {share} of the energy "
        f"of the network without exits. {claim}"
    )


def ratio(value: float, base: float) -> float | None:
    """Return ``value / base``; None where the base is zero."""
    return value / base if base else None
