"""Tables as LaTeX with the rules of the package booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "µ": r"\textmu{}", "\N{GREEK SMALL LETTER MU}": r"\textmu{}",
    "\N{MINUS SIGN}": "$-$", "\N{EN DASH}": "--", "…": r"\ldots{}", "\N{MULTIPLICATION SIGN}": r"$\times$",
    "·": r"$\cdot$", "²": "$^2$", "→": r"$\rightarrow$", "≥": r"$\geq$", "≤": r"$\leq$", "±": r"$\pm$",
    "\N{NO-BREAK SPACE}": "~",
}  # fmt: skip
_POWER = re.compile(r"([-+]?\d+(?:\.\d+)?)e([-+]?)0*(\d+)")


def escaped(text: str) -> str:
    """Return a text as LaTeX shows it: nothing in it is a command, and exponents are powers of ten."""
    if found := _POWER.fullmatch(text):
        sign = "-" if found[2] == "-" else ""
        return rf"${found[1]} \times 10^{{{sign}{found[3] or 0}}}$"
    shown = "".join(_SPECIAL.get(letter, letter) for letter in " ".join(text.split()))
    return f"${shown}$" if re.fullmatch(r"-\d+(\.\d+)?", text) else shown


def tex_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[bool]
) -> str:
    """Return a ``tabular`` to be put into a document that uses booktabs.

    Args:
        title: What it shows; stands above it as a comment.
        columns: Headings; without a row of them where all are empty.
        rows: Cells as they are shown, as many as headings.
        numbers: Which columns are set to the right.
    """
    form = "".join("r" if right else "l" for right in numbers)
    lines = [
        rf"% {' '.join(title.split())}",
        r"% \usepackage{booktabs}",
        rf"\begin{{tabular}}{{{form}}}",
        r"\toprule",
        *([_row(columns), r"\midrule"] if any(columns) else []),
        *map(_row, rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    shown = [escaped(cell) for cell in cells]
    if shown and shown[0].startswith(("[", "*")):
        shown[0] = f"{{{shown[0][0]}}}{shown[0][1:]}"  # else the line before takes it for its own option
    return " & ".join(shown) + r" \\"
