"""Loops in the words of ZigZag's files: ``K`` and ``K, 8``."""

from __future__ import annotations

import re

from targets.readers.entry import Entry

_LOOP = re.compile(r"[A-Z]+\d*")


def read_loop(entry: Entry) -> str:
    """Return the name of a loop, such as ``OX``. Raises InputError."""
    name = entry.text()
    if not _LOOP.fullmatch(name):
        raise entry.wrong(f"'{name[:40]}' is no loop name", "loops are named by capitals, such as K, C or OX")
    return name


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
