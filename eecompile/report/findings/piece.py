"""One piece of advice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Advice:
    """A finding that can be acted on.

    Attributes:
        figure: Its number, as it is shown: ``34 %``.
        unit: What the number is of, below it: ``of the energy``.
        finding: A sentence up to its last word, with the number in it; no full stop.
        step: What to do, the second half of that sentence.
        option: What to type for it, of ``eecompile run`` or a command; empty where there is nothing to type.
    """

    figure: str
    unit: str
    finding: str
    step: str
    option: str = ""
