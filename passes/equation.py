"""The equation of an Einsum: which index of which operand is which, after numpy's and ONNX's rules."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass

_DOTS = "..."


@dataclass(frozen=True)
class Equation:
    """An Einsum with every index named by one letter.

    Attributes:
        operands: The indices of each operand, axis by axis.
        result: The indices of the result; what it lacks is summed over.
        extents: How far each index runs.
    """

    operands: tuple[str, ...]
    result: str
    extents: dict[str, int]

    @property
    def products(self) -> int:
        """How many products are added up: one per value of all indices; 0 of one operand, which has none."""
        return math.prod(self.extents.values()) if len(self.operands) > 1 else 0


def read_equation(text: str, shapes: Sequence[Sequence[int]]) -> Equation | None:
    """Return what ``text`` says of operands of these shapes; None if it does not fit them.

    Dots stand for the axes that are not named, aligned from the last. Without an arrow the result has the
    axes of the dots and every index that stands once, by the alphabet.
    """
    given, arrow, result = text.replace(" ", "").partition("->")
    terms = given.split(",")
    if len(terms) != len(shapes):
        return None
    free = [letter for letter in reversed(string.ascii_letters) if letter not in text]
    unnamed = [len(shape) - len(term.replace(_DOTS, "")) for term, shape in zip(terms, shapes, strict=True)]
    if min(unnamed) < 0 or max(unnamed) > len(free):
        return None
    longest = "".join(free[: max(unnamed)])
    operands = [
        term.replace(_DOTS, longest[len(longest) - count :])
        for term, count in zip(terms, unnamed, strict=True)
    ]
    if not arrow:
        named = "".join(terms).replace(_DOTS, "")
        result = _DOTS + "".join(sorted(letter for letter in set(named) if named.count(letter) == 1))
    result = result.replace(_DOTS, longest)
    extents: dict[str, int] = {}
    for term, shape in zip(operands, shapes, strict=True):
        if len(term) != len(shape):
            return None
        for letter, size in zip(term, shape, strict=True):
            if extents.setdefault(letter, int(size)) == 1:
                extents[letter] = int(size)
            elif int(size) not in (1, extents[letter]):
                return None
    if not set(result) <= set(extents) or len(set(result)) != len(result):
        return None
    return Equation(tuple(operands), result, extents)
