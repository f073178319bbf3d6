"""What a verb hands on to the function that does its work."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest


class StopHereError(Exception):
    """Ends a verb where it would begin to work."""


def handed_on(monkeypatch: pytest.MonkeyPatch, place: str, call: Callable[[], Any]) -> inspect.BoundArguments:
    """Return what ``call`` hands on to the function at ``place``, by the names that has for it."""
    module, _, name = place.rpartition(".")
    function = getattr(__import__(module, fromlist=[name]), name)
    taken: list[inspect.BoundArguments] = []

    def stop(*arguments: Any, **named: Any) -> None:
        taken.append(inspect.signature(function).bind(*arguments, **named))
        raise StopHereError

    with monkeypatch.context() as patch, pytest.raises(StopHereError):
        patch.setattr(place, stop)
        call()
    return taken[0]


def words(text: str) -> None:
    """Take a line of progress."""
