"""The errors a user can meet: one message that says what, where and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EecompileError(Exception):
    """Base of all errors shown to a user as a message, never as a trace.

    Args:
        message: What is wrong, and where.
        hint: What the user can do about it.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class InputError(EecompileError):
    """Bad use or bad input: a wrong file, option, name or value (exit code 2)."""


class NoSolutionError(EecompileError):
    """A well-formed request that has no solution on this target (exit code 1)."""

    exit_code = 1


class PassError(EecompileError):
    """A pass was asked to run on a graph that breaks its precondition (exit code 2)."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for the closest known names, or the list of all of them."""
    choices = sorted(known)
    close = difflib.get_close_matches(name, choices, n=2, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "known: " + ", ".join(choices) if choices else "none are known"
