"""One piece of advice, and what is typed to follow it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass


@dataclass(frozen=True)
class Trial:
    """A verb of the command line with what is told to it.

    Attributes:
        verb: Its name; of ``run`` only the settings are typed, beside those that the run had.
        subject: What it is of, a file or a run directory; empty for none.
        settings: Parameter and value; a switch has the value "".
    """

    verb: str
    subject: str = ""
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """What is typed, word by word."""
        found = [] if self.verb == "run" else ["eecompile", self.verb]
        found += [shlex.quote(self.subject)] if self.subject else []
        for name, value in self.settings:
            found += [f"--{name.replace('_', '-')}", *([shlex.quote(value)] if value else [])]
        return tuple(found)


@dataclass(frozen=True)
class Advice:
    """A finding that can be acted on.

    Attributes:
        figure: Its number, as it is shown: ``34 %``.
        unit: What the number is of, below it: ``of the energy``.
        finding: A sentence up to its last word, with the number in it; no full stop.
        step: What to do, the second half of that sentence.
        trial: What to type for it; ``None`` where there is nothing to type.
    """

    figure: str
    unit: str
    finding: str
    step: str
    trial: Trial | None = None
