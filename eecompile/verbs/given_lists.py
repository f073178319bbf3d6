"""Parameters that are lists: a text alone is no list of its letters."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

from passes.errors import InputError

# How many exits, or their mounts.
Exits = int | str | Sequence[str]


def texts(name: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Return the texts of parameter ``name``; a text alone is a list of one.

    Raises:
        InputError: Something in it is no text.
    """
    found: list[str] = []
    for item in (given,) if isinstance(given, str) else _items(name, given, "['one', 'another']"):
        if not isinstance(item, str):
            raise InputError(f"`{name}` is a list of texts, and {item!r} is none", "write it in quotes")
        found.append(item)
    return tuple(found)


def numbers(name: str, given: Sequence[float], example: str) -> tuple[float, ...]:
    """Return the numbers of parameter ``name``; ``example`` shows how such a list is written.

    Raises:
        InputError: It is a text, or something in it is no number.
    """
    if isinstance(given, str):
        raise InputError(f"`{name}` is a list of numbers, not the text {given!r}", f"write {example}")
    found: list[float] = []
    for item in _items(name, given, example):
        if not isinstance(item, Real) or isinstance(item, bool):
            raise InputError(f"`{name}` is a list of numbers, and {item!r} is none", f"write {example}")
        found.append(float(item))
    return tuple(found)


def _items(name: str, given: Sequence[object], example: str) -> tuple[object, ...]:
    try:
        return tuple(given)
    except TypeError:
        raise InputError(f"`{name}` is a list, not {given!r}", f"write {example}") from None


def exits_given(given: Exits | None) -> int | str | tuple[str, ...] | None:
    """Return parameter ``exits`` with a list as a tuple; raises InputError for what names no exits."""
    if given is None or isinstance(given, str) or (isinstance(given, int) and not isinstance(given, bool)):
        return given
    if isinstance(given, bool | float):
        raise InputError(
            f"`exits` is how many exits, or their mounts, not {given!r}", "write 2, or ['relu_3', 'relu_5']"
        )
    return texts("exits", given)


def layers_given(name: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Return the layers of parameter ``name``: one text separated by commas, or a sequence.

    Raises:
        InputError: Something in it is no text, or there are none.
    """
    parts = given.split(",") if isinstance(given, str) else texts(name, given)
    found = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not found:
        raise InputError(f"`{name}` names no layers", "write conv_3,gemm_0; or leave it away")
    return found
