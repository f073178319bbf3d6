"""Loops in the words of ZigZag's files: ``K`` and ``K, 8``."""

from __future__ import annotations

from collections.abc import Collection

from passes.errors import did_you_mean
from targets.description.mapping import loop_fault
from targets.description.readers.entry import Entry


def read_loop(entry: Entry) -> str:
    """Return the name of a loop, such as ``OX``. Raises InputError."""
    name = entry.text()
    fault = loop_fault(name)
    if fault:
        message, _, hint = fault.partition("; ")
        raise entry.wrong(message, hint)
    return name


def check_dimensions(entry: Entry, known: Collection[str]) -> None:
    """Check that the keys of ``entry`` are among the ``known`` array dimensions. Raises InputError."""
    for dimension, item in entry.items().items():
        if dimension not in known:
            raise item.wrong("no core it is for has such an array dimension", did_you_mean(dimension, known))


def read_unrolling(entry: Entry) -> dict[str, dict[str, int]]:
    """Return loops and factors per array dimension from ``{D1: ["K, 8", "C, 2"]}``. Raises InputError."""
    unrolling: dict[str, dict[str, int]] = {}
    for dimension, factors in entry.items().items():
        loops = unrolling[dimension] = {}
        for item in factors.elements(least=1):
            name, comma, factor = item.text().partition(",")
            if not comma or not factor.strip().isdecimal():
                raise item.wrong(f"'{item.text()[:40]}' is no loop with a factor", "write it as 'K, 8'")
            loop = read_loop(Entry(name, item.file, item.path))
            if loop in loops:
                raise item.wrong(
                    f"loop {loop} is there twice", f"write one entry with the product for {dimension}"
                )
            loops[loop] = Entry(int(factor.strip()[:18]), item.file, item.path).integer()
    return unrolling
