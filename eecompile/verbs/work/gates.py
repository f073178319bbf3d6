"""The gates a continuous-integration job puts on what a run has otherwise than another."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from passes.errors import InputError

_GATE = re.compile(
    r"\s*(?P<key>[A-Za-z_][\w.\-]*)\s*(?P<op><=|>=|<|>)\s*(?P<sign>[+-]?)(?P<number>\d+(\.\d*)?(e[+-]?\d+)?|\.\d+)\s*(?P<percent>%?)\s*",
    re.IGNORECASE,
)
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
EXAMPLE = (
    "examples: 'expected.edp_js>+2%' (grew by more than 2 %), 'drop.points>+0.5' (grew by more than 0.5), "
    "'drop.points>1.0' (is above 1.0)"
)


@dataclass(frozen=True)
class Gate:
    """A condition on a run that is judged, which must not hold.

    Attributes:
        text: As the user wrote it.
        key: Dotted key into ``summary.json``; an exit is named by its name or number.
        op: ``<``, ``>``, ``<=`` or ``>=``.
        limit: What is compared with: a share for a relative change, else in the unit of the value.
        kind: ``relative`` (change over the baseline), ``absolute`` (change) or ``value`` (of the run).
    """

    text: str
    key: str
    op: str
    limit: float
    kind: str

    @classmethod
    def parse(cls, text: str) -> Gate:
        """Parse ``key>+2%``, ``key>+0.5``, ``key<-1`` or ``key>1.0``; raises InputError with examples."""
        match = _GATE.fullmatch(text)
        if match is None:
            raise InputError(f"`fail_if`: cannot read '{text}'", EXAMPLE)
        number, sign = float(match["number"]), match["sign"]
        if match["percent"] and not sign:
            raise InputError(f"`fail_if`: '{text}': a percentage is a change and needs its sign", EXAMPLE)
        limit = -number if sign == "-" else number
        if match["percent"]:
            return cls(text, match["key"], match["op"], limit / 100, "relative")
        return cls(text, match["key"], match["op"], limit, "absolute" if sign else "value")

    def violated(self, difference: Difference) -> bool:
        """Return whether the condition holds for ``difference``, which is then a failure."""
        if self.kind == "value":
            observed = difference.b
        elif self.kind == "absolute":
            observed = difference.change
        else:
            observed = (
                difference.relative
                if difference.relative is not None
                else math.copysign(math.inf, difference.change)
            )
        return _OPERATORS[self.op](observed, self.limit)


@dataclass(frozen=True)
class Difference:
    """One number of the baseline and of another run.

    Attributes:
        key: Where it is in ``summary.json``.
        a: Of the baseline.
        b: Of the run that is judged.
        within: Whether each lies in the interval around the other, so that the models are not good enough to
            tell them apart; ``None`` where they have no intervals.
    """

    key: str
    a: float
    b: float
    within: bool | None = None

    @property
    def change(self) -> float:
        """The run minus the baseline."""
        return self.b - self.a

    @property
    def relative(self) -> float | None:
        """Change as a share of the baseline; None where that is zero and the run is not."""
        if self.a == 0:
            return 0.0 if self.b == 0 else None
        return self.change / abs(self.a)


@dataclass(frozen=True)
class GateResult:
    """A gate and the numbers it was held against; ``run`` is the letter of the run that is judged."""

    gate: Gate
    difference: Difference
    violated: bool
    run: str = "B"
