"""Tables as they are printed, cell by cell."""

from __future__ import annotations

import itertools
import re


def cells(text: str, title: str) -> list[list[str]]:
    """Return heading and rows of the table under ``title``; blanks in all lines tell its columns apart."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.rstrip() == title) + 1
    while not lines[start].strip():
        start += 1
    end = next((i for i in range(start, len(lines)) if not lines[i].strip()), len(lines))
    table = [line for line in lines[start:end] if not re.fullmatch(r"[\s─]*", line)]
    width = max(map(len, table))
    padded = [line.ljust(width) for line in table]
    blank = [all(line[i] == " " for line in padded) for i in range(width)]
    # One blank may stand within cells; two or more are between them.
    gaps = [m.span() for m in re.finditer(r"1{2,}", "".join("1" if b else "0" for b in blank))]
    bounds = [0, *(end for _, end in gaps if end < width), width]
    return [[line[a:b].strip() for a, b in itertools.pairwise(bounds)] for line in padded]
