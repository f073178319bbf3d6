"""Texts of the command line to values; lower floors take the values alone."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from passes.errors import InputError, did_you_mean
from targets.network.layer import Bits

ON_OFF = {"on": True, "off": False}
FULL: Literal["full"] = "full"
MAX_BITS = 64
AUTO = "auto"
_WHOLE = re.compile(r"[+-]?[0-9]+")
_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def parse_bits(text: str | None) -> Bits | None:
    """Return the precision of ``W,A,P``: weights, activations (also of the network's outputs), partial sums.

    Raises:
        InputError: Not three whole numbers from 1 to 64, or partial sums narrower than activations.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not all(part.isdecimal() and 1 <= int(part[:9]) <= MAX_BITS for part in parts):
        raise InputError(
            f"--bits {text}: expected three whole numbers from 1 to {MAX_BITS}",
            "bits of weights, activations and partial sums: --bits 8,8,16",
        )
    weight, activation, accumulator = (int(part) for part in parts)
    if accumulator < activation:
        raise InputError(
            f"--bits {text}: {accumulator}-bit partial sums are narrower than {activation}-bit activations",
            "the third number is that of partial sums: --bits 8,8,16",
        )
    return Bits(weight, activation, accumulator, logits=activation)


def parse_part_bits(text: str | None) -> dict[str, int] | None:
    """Return the bits of each part in ``PART=N,PART=N``; raises InputError for anything else."""
    if text is None:
        return None
    found: dict[str, int] = {}
    for item in text.split(","):
        part, _, width = (side.strip() for side in item.rpartition("="))
        if not part or not width.isdecimal() or not 1 <= int(width[:9]) <= MAX_BITS:
            raise InputError(
                f"--bits {text}: expected parts with bits of their weights, from 1 to {MAX_BITS}",
                "parts are head, backbone, layers and nodes: --bits head=4,conv_0=8",
            )
        if part in found:
            raise InputError(f"--bits {text}: '{part}' is there twice", "leave one of the two away")
        found[part] = int(width)
    return found


def parse_numbers(
    flag: str, text: str | None, what: str = "numbers", hint: str = ""
) -> tuple[float, ...] | None:
    """Return the numbers of ``A,B,…``; raises InputError with ``what`` and ``hint`` for anything else."""
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        message = f"{flag} {text}: expected {what}, separated by commas"
        raise InputError(message, hint or f"example: {flag} 9,1") from None


def parse_seconds(flag: str, text: str) -> float:
    """Return the seconds of ``20ms``; raises InputError for anything else."""
    return _with_unit(flag, text, {"us": 1e-6, "ms": 1e-3, "s": 1.0}, "20ms")


def parse_hertz(flag: str, text: str | None) -> float | None:
    """Return the hertz of ``200MHz``; raises InputError for anything else."""
    units = {"ghz": 1e9, "mhz": 1e6, "khz": 1e3, "hz": 1.0}
    return None if text is None else _with_unit(flag, text, units, "200MHz")


def parse_rates(flag: str, text: str) -> tuple[float, float]:
    """Return the slowest and the fastest bit/s of ``0.1Mbit/s..10Mbit/s`` or ``2Mbit/s``.

    Raises:
        InputError: Anything else.
    """
    units = {"gbit/s": 1e9, "mbit/s": 1e6, "kbit/s": 1e3, "bit/s": 1.0}
    ends = [_with_unit(flag, part.strip(), units, "2Mbit/s") for part in text.split("..")]
    if len(ends) > 2 or ends[0] > ends[-1]:
        raise InputError(
            f"{flag} {text}: expected a rate, or the slowest and the fastest", f"{flag} 1Mbit/s..9Mbit/s"
        )
    return ends[0], ends[-1]


def parse_watts(flag: str, text: str | None) -> float | None:
    """Return the watts of ``10mW``; raises InputError for anything else."""
    return None if text is None else _with_unit(flag, text, {"uw": 1e-6, "mw": 1e-3, "w": 1.0}, "10mW")


def parse_joules(flag: str, text: str | None) -> float | None:
    """Return the joules of ``2uJ``; raises InputError for anything else."""
    units = {"pj": 1e-12, "nj": 1e-9, "uj": 1e-6, "mj": 1e-3, "j": 1.0}
    return None if text is None else _with_unit(flag, text, units, "2uJ")


def _with_unit(flag: str, text: str, units: Mapping[str, float], example: str) -> float:
    for unit, factor in units.items():
        number = text.lower().removesuffix(unit)
        if number != text.lower():
            try:
                value = float(number) * factor
            except ValueError:
                break
            if 0 < value < math.inf:
                return value
            break
    listed = ", ".join(units)
    raise InputError(
        f"{flag} {text}: expected a number above 0 and its unit ({listed})", f"example: {flag} {example}"
    )


def parse_ratios(text: str | None) -> tuple[float, ...] | None:
    """Return the numbers of ``R0,R1,...``; raises InputError for anything else."""
    hint = "one per exit, the final one included: --ratios 0.6,0.3,0.1"
    return parse_numbers("--ratios", text, "numbers from 0 to 1", hint)


def parse_names(flag: str, text: str | None) -> tuple[str, ...] | None:
    """Return the names of ``a,b``; one that holds a comma stands in double quotes.

    Raises:
        InputError: One is empty.
    """
    if text is None:
        return None
    names = tuple(name.strip() for name in next(csv.reader([text], skipinitialspace=True), []))
    if not names or not all(names):
        raise InputError(
            f"{flag} {text!r} leaves out a name", f"separate names by single commas: {flag} one,other"
        )
    return names


def parse_exits(text: str | None) -> int | tuple[str, ...] | None:
    """Return a number of exits, or the names of their mounts; raises InputError for neither."""
    if text is not None and _WHOLE.fullmatch(text.strip()):
        return int(text)
    return parse_names("--exits", text)


def parse_heads(text: str | None) -> tuple[str, ...] | None:
    """Return the heads of ``conv{kernel=5},linear``; raises InputError for what is no head."""
    if text is None:
        return None
    from passes.option_text import parse_list, print_named

    heads = parse_list(text, "head")
    return tuple(print_named(head.name, {k: tuple(v) for k, v in head.options.items()}) for head in heads)


def parse_kept_float(text: str | None) -> str | tuple[str, ...] | None:
    """Return the layers of ``a,b``, or ``auto``."""
    return text if text == AUTO else parse_names("--keep-float", text)


def parse_prune(text: str | None) -> dict[str, float] | None:
    """Return the share a measure shall change by, of ``cycles=-30%``; raises InputError for anything else."""
    if text is None:
        return None
    from eecompile.pruning.goal import PruningGoal

    goal = PruningGoal.parse(text)
    return {goal.measure: -goal.less}


def parse_settings(texts: Sequence[str] | None) -> dict[str, float] | None:
    """Return the number of each path of ``PATH=VALUE``; raises InputError for what changes no number."""
    return None if texts is None else dict(_setting(text) for text in texts)


def _setting(text: str) -> tuple[str, float]:
    path, mark, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        mark = ""
    if not mark or not path:
        raise InputError(f"'{text}' changes no number", "example: memories.l1.size_bytes=65536")
    return path.strip(), number


def parse_size(text: str | None) -> int | None:
    """Return the bytes of ``500MB``, ``2GiB``, ``0``; raises InputError for what is no size."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    unit = found[2].lower() if found else ""
    if found is None or unit not in _UNITS:
        hint = did_you_mean(unit, [name for name in _UNITS if name]) if unit else "example: 500MB"
        raise InputError(f"'{text}' is no size", hint)
    return int(float(found[1]) * _UNITS[unit])


def parse_switch(flag: str, text: str | None) -> bool | None:
    """Return whether ``text`` is ``on``; raises InputError unless it is ``on``, ``off`` or not told."""
    if text is None:
        return None
    if text not in ON_OFF:
        raise InputError(f"{flag} {text}: expected on or off", did_you_mean(text, ON_OFF))
    return ON_OFF[text]


def parse_lpf_limit(text: str | None) -> int | Literal["full"] | None:
    """Return a number of temporal factors, or ``full``; raises InputError for anything else."""
    if text is None or text == FULL:
        return text and FULL
    if not text.isdecimal() or int(text[:9]) < 1:
        raise InputError(
            f"--lpf-limit {text}: expected a whole number from 1 on, or '{FULL}'",
            "6 is the default; larger numbers search longer",
        )
    return int(text)


def check_for_tables(flag: str, told: bool, as_json: bool) -> None:
    """Refuse a flag that is for tables where it changes nothing: documents always hold all."""
    if told and as_json:
        raise InputError(
            f"{flag} is for tables: the document of --json always holds it", "leave one of the two away"
        )
