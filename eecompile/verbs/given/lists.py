"""Parameters that are lists: a text alone is no list of its letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real

from passes.errors import InputError

# How many exits, or their mounts; a text alone is one.
Exits = int | str | Sequence[str]
# One head, or one for each exit.
Heads = str | Sequence[str]


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


def exits_given(given: Exits | None) -> int | tuple[str, ...] | None:
    """Return parameter ``exits`` with mounts as a tuple; raises InputError for what names no exits."""
    if given is None or (isinstance(given, int) and not isinstance(given, bool)):
        return given
    if isinstance(given, bool | float):
        raise InputError(
            f"`exits` is how many exits, or their mounts, not {given!r}", "write 2, or ['relu_3', 'relu_5']"
        )
    return texts("exits", given)


def heads_given(given: Heads | None) -> str | tuple[str, ...]:
    """Return parameter ``head``: ``auto`` if absent, one head, or several as a tuple.

    Raises:
        InputError: Something in it is not one head.
    """
    from passes.heads.designs import parse_heads

    heads = texts("head", "auto" if given is None else given)
    parse_heads(heads)
    return heads if len(heads) > 1 else heads[0]


def layers_given(name: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Return the layers of parameter ``name``, each once; a text alone is one.

    Raises:
        InputError: Something in it is no text, or there are none.
    """
    found = tuple(dict.fromkeys(texts(name, given)))
    if not found or not all(found):
        raise InputError(f"`{name}` names no layers", "write ['conv_3', 'gemm_0']; or leave it away")
    return found


def numbers_by_path(name: str, given: Mapping[str, float]) -> dict[str, float]:
    """Return parameter ``name``, a number for each path; raises InputError for anything else."""
    if not isinstance(given, Mapping):
        raise InputError(
            f"`{name}` says a number for each path, not {given!r}", "write {'memories.l1.size_bytes': 65536}"
        )
    for path, value in given.items():
        if not isinstance(path, str) or not isinstance(value, Real) or isinstance(value, bool):
            raise InputError(
                f"`{name}`: {path!r}: {value!r} is no number of the hardware",
                "write {'memories.l1.size_bytes': 65536}",
            )
    return {path: float(value) for path, value in given.items()}
