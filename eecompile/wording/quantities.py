"""How numbers and names are written for people: the same on the terminal and in the report."""

from __future__ import annotations

from collections.abc import Sequence

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
    (1e-15, "f"),
)
# Of so much of a prefix three digits show one.
_ROUNDS_UP = 0.9995


def prefix_of(value: float, share: float = 1.0) -> tuple[float, str]:
    """Return factor and name of the largest SI prefix of which ``value`` is ``share`` at least, if any."""
    return next((p for p in _PREFIXES if abs(value) >= p[0] * share), (1.0, ""))


def quantity(value: float | None, unit: str = "") -> str:
    """Return ``value`` with three digits and an SI prefix: ``1.23 µJ``; an en dash for None."""
    if value is None:
        return ABSENT
    if value == 0:
        return f"0 {unit}".rstrip()
    for factor, prefix in _PREFIXES:
        if abs(value) >= factor * _ROUNDS_UP:
            return f"{_digits(value / factor)} {prefix}{unit}".rstrip()
    return f"{value:.3g} {unit}".rstrip()


def span(bounds: Sequence[float] | None, unit: str = "") -> str:
    """Return an interval in one unit, by its upper bound: ``[543, 699] µs``; empty for None."""
    if bounds is None:
        return ""
    low, high = bounds
    factor, prefix = prefix_of(high, _ROUNDS_UP)
    return f"[{_digits(low / factor)}, {_digits(high / factor)}] {prefix}{unit}".rstrip()


def bounds(value: float, around: Sequence[float] | None) -> str:
    """Return an interval without its unit, in that of ``quantity(value)`` above it; empty for None."""
    if around is None:
        return ""
    factor = next((factor for factor, _ in _PREFIXES if abs(value) >= factor * 0.9995), 1.0)
    low, high = around
    return f"[{_digits(low / factor)}, {_digits(high / factor)}]"


def energy_span(bounds_pj: Sequence[float] | None) -> str:
    """Return an interval of energies given in picojoules: ``[12.3, 14.5] µJ``; empty for None."""
    return span(None if bounds_pj is None else [bound * 1e-12 for bound in bounds_pj], "J")


def _digits(value: float) -> str:
    size = abs(value)
    places = 2 if size < 9.995 else 1 if size < 99.95 else 0
    return f"{value:.{places}f}"


def energy(energy_pj: float | None) -> str:
    """Return an energy given in picojoules: ``12.3 µJ``."""
    return quantity(None if energy_pj is None else energy_pj * 1e-12, "J")


def memory(size_bits: float) -> str:
    """Return a size in memory, in powers of 1024: ``512 B``, ``61.1 KiB``, ``1 MiB``."""
    size = size_bits / 8
    for factor, unit in ((2**20, "MiB"), (2**10, "KiB")):
        if size >= factor * _ROUNDS_UP:
            number = size / factor
            return f"{number:,.0f} {unit}" if number == round(number) else f"{_digits(number)} {unit}"
    return f"{size:,.4g} B"


def cycles(latency_cycles: float | None) -> str:
    """Return a number of cycles with thousands separated: ``12,345``."""
    return ABSENT if latency_cycles is None else f"{latency_cycles:,.0f}"


def product(edp_js: float | None, edp_j_cycles: float) -> str:
    """Return an energy-delay product in J·s, or in J·cycles where there is no clock."""
    if edp_js is not None:
        return quantity(edp_js, "J·s")
    return quantity(edp_j_cycles, "J·cycles")


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


def ratio(value: float, base: float) -> float | None:
    """Return ``value / base``; None where the base is zero."""
    return value / base if base else None
