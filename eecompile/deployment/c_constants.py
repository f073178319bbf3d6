"""Constants in C99: arrays with a name each, and the numbers of a rescaling in either rounding."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from passes.errors import InputError
from passes.integers.program import Addition, Rescale
from passes.integers.rescaling import addition_tables, common_divisor, fixed_point, parts
from passes.number_formats import DOWN, HALF_AWAY, HALF_EVEN, HALF_UP, ONNXRUNTIME

ROUNDING_NAMES = {HALF_EVEN: "HALF_EVEN", HALF_UP: "HALF_UP", HALF_AWAY: "HALF_AWAY", DOWN: "DOWN"}
_COMMENT = re.compile(r"[^A-Za-z0-9_.: \-]")  # no end of a comment, no trigraph, no other alphabet
_LARGEST = 2**62  # sums of two such numbers still fit into 64 bits
_PER_LINE = 16
_INT16, _INT32 = 2**15, 2**31


def comment(text: str) -> str:
    """Return a name as it may stand in a comment."""
    return _COMMENT.sub("_", text)


def integer(value: int) -> str:
    """Return a constant expression of a value within 64 bits."""
    if value == -_INT32:
        return "(-2147483647 - 1)"
    if -_INT32 < value < _INT32:
        return str(value)
    return f"INT64_C({value})"


def floating(value: float | np.float32) -> str:
    """Return a float constant that is ``value`` in float32 to the last bit."""
    return float(np.float32(value)).hex() + "f"


class Constants:
    """The arrays of ``weights.c`` and their declarations, by name.

    Attributes:
        size: Bytes of all arrays.
    """

    def __init__(self) -> None:
        self.size = 0
        self._declared: list[str] = []
        self._defined: list[str] = []

    def array(self, name: str, kind: str, width: int, values: Iterable[Any]) -> str:
        """Add an array of ``kind``, of ``width`` bytes per value; return its name."""
        texts = [integer(int(v)) for v in values]
        lines = [", ".join(texts[k : k + _PER_LINE]) for k in range(0, len(texts), _PER_LINE)]
        self._declared.append(f"extern const {kind} {name}[{len(texts)}];")
        body = ",\n    ".join(lines)
        self._defined.append(f"const {kind} {name}[{len(texts)}] = {{\n    {body}}};")
        self.size += width * len(texts)
        return name

    def header(self) -> str:
        """Return ``weights.h``."""
        inside = "\n".join(self._declared)
        return f'#ifndef WEIGHTS_H\n#define WEIGHTS_H\n\n#include "network.h"\n\n{inside}\n\n#endif\n'

    def source(self) -> str:
        """Return ``weights.c``."""
        return '#include "weights.h"\n\n' + "\n".join(self._defined) + "\n"

    def rescale(self, stem: str, name: str, rule: Rescale, rounding: str) -> str:
        """Return the initializer of a ``rescale_t``.

        Args:
            stem: Begin of the names of its arrays.
            name: The operation, for errors.
            rule: What it is made of.
            rounding: ``onnxruntime`` or ``target``.

        Raises:
            InputError: A rescaling that the core or 64 bits cannot do.
        """
        divisors: list[int] = []
        quotient, power = 0, 0
        if rounding == ONNXRUNTIME:
            kind, found = "EMULATED", [parts(f) for f in rule.factors]
            if rule.divisor is not None:
                quotient, power = parts(rule.divisor)
            multipliers, shifts = [m for m, _ in found], [power - e for _, e in found]
        else:
            kind = ROUNDING_NAMES[rule.requantization.rounding]
            multipliers, divisors = fixed_point(name, rule.ratios, rule.requantization)
            if max(divisors) > _LARGEST:
                raise _too_far(name)
            shifts = [d.bit_length() - 1 for d in divisors]
        held = self.array(f"{stem}_multipliers", "int32_t", 4, multipliers)
        places, exact = "NULL", "NULL"
        if all(d & (d - 1) == 0 for d in divisors):
            places = self.array(f"{stem}_shifts", "int16_t", 2, shifts)
        else:
            exact = self.array(f"{stem}_divisors", "int64_t", 8, divisors)
        count, bounds = len(multipliers), f"{rule.zero}, {rule.low}, {rule.high}"
        return f"{{{kind}, {count}, {held}, {places}, {exact}, {quotient}, {bounds}}}"

    def addition(self, stem: str, op: Addition, size: int, rounding: str) -> str:
        """Return the initializer of an ``addition_t`` of ``size`` sums; else as :meth:`rescale`."""
        rule, table = op.rescale, "NULL"
        if rounding == ONNXRUNTIME:
            step, entries, power = addition_tables(op.name, op.zeros, rule, op.lowest)
            entries = entries + op.lowest * step
            kind, multipliers, divisor, shift = "EMULATED", [step, 0], 1, -power
            table = self.array(f"{stem}_table", "int64_t", 8, entries)
        else:
            kind, shift = ROUNDING_NAMES[rule.requantization.rounding], 0
            multipliers, divisor = common_divisor(op.name, rule.ratios, rule.requantization)
            if divisor > _LARGEST or 255 * sum(multipliers) > _LARGEST:
                raise _too_far(op.name)
        zeros = ", ".join(str(zero - op.lowest) for zero in op.zeros)
        factors = ", ".join(map(integer, multipliers))
        bounds = f"{rule.zero}, {rule.low}, {rule.high}, {-op.lowest}"
        numbers = f"{{{zeros}}}, {{{factors}}}, {integer(divisor)}, {table}, {shift}, {bounds}"
        return f"{{{kind}, {size}, {numbers}}}"


def _too_far(name: str) -> InputError:
    return InputError(
        f"'{name}' has no form in C: its steps lie too far apart for 64 bits", "calibrate on more images"
    )
