"""What all results have in common: one line, a table, a picture, a file."""

from __future__ import annotations

import csv
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passes.errors import InputError
from passes.files import write_atomic
from passes.tex_table import tex_table

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

Row = Mapping[str, Any]
MOST_LETTERS = 190
"""Of a line that stands for a result."""
MOST_ROWS = 40
"""Of a table in a notebook."""
PICTURES = (".png", ".svg", ".pdf")
UNITS = {
    "_j_cycles": "J·cycles", "_cycles": "cycles", "_js": "J·s", "_pj": "pJ", "_hz": "Hz", "_bits": "bits",
    "_bytes": "bytes", "_points": "points", "_ms": "ms", "_s": "s",
}  # fmt: skip
"""How names of figures end, and their units."""


class ShownResult:
    """A result that shows itself; its class says in words, rows and axes what there is to see.

    Subclasses are dataclasses with ``repr=False``, and have ``to_json``.
    """

    def _words(self) -> str:
        """Return the result in one line."""
        raise NotImplementedError

    def _rows(self) -> Sequence[Row]:
        """Return its table, a row each, all with the same columns."""
        raise NotImplementedError

    def _axes(self) -> tuple[str, str]:
        """Return the columns of its picture: names beside a figure are bars, two figures are points."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        raise NotImplementedError

    def __repr__(self) -> str:
        line = " ".join(f"{type(self).__name__}: {self._words()}".split())
        return f"<{line if len(line) <= MOST_LETTERS else line[: MOST_LETTERS - 1] + '…'}>"

    def _repr_html_(self) -> str:
        rows = self._rows()
        head = "".join(f"<th>{html.escape(name)}</th>" for name in (rows[0] if rows else ()))
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell(value))}</td>" for value in row.values()) + "</tr>"
            for row in rows[:MOST_ROWS]
        )
        more = f"<p>and {len(rows) - MOST_ROWS} more</p>" if len(rows) > MOST_ROWS else ""
        title = f"<p>{html.escape(self._words())}</p>"
        return f"{title}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"

    def to_frame(self) -> pandas.DataFrame:
        """Return the table as a frame of pandas.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise _lacking("to_frame", "pandas", "frames") from None
        return pandas.DataFrame([dict(row) for row in self._rows()])

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the result.

        Args:
            axes: Where to; a new figure of pyplot if absent.

        Raises:
            InputError: matplotlib is not installed.
        """
        drawn = new_axes() if axes is None else axes
        across, up = self._axes()
        known = [row for row in self._rows() if row[across] is not None and row[up] is not None]
        values = [float(row[up]) for row in known]
        if all(isinstance(row[across], str) for row in known):
            places = range(len(known))
            drawn.bar(places, values)
            drawn.set_xticks(places, [row[across] for row in known], rotation=30, ha="right")
        else:
            drawn.scatter([float(row[across]) for row in known], values)
            drawn.set_xlabel(across)
        drawn.set_ylabel(up)
        drawn.set_title(" ".join(self._words().split())[:80])
        return drawn

    def save(self, path: Path | str) -> Path:
        """Write the result in the form that the ending of ``path`` names, and return the path.

        ``.json`` holds all that is known, ``.csv``, ``.html`` and ``.tex`` (a ``tabular`` for booktabs, with
        units in its head) the table, ``.png``, ``.svg`` and ``.pdf`` the picture.

        Raises:
            InputError: Another ending, a place that cannot be written to, or a picture without matplotlib.
        """
        path = Path(path)
        if path.suffix in PICTURES:
            data = self._picture(path.suffix.removeprefix("."))
        elif path.suffix == ".json":
            data = (json.dumps(finite(self.to_json()), indent=1, default=str) + "\n").encode()
        elif path.suffix == ".csv":
            data = self._csv().encode()
        elif path.suffix == ".html":
            title = html.escape(type(self).__name__)
            data = f"<!doctype html><meta charset=utf-8><title>{title}</title>{self._repr_html_()}\n".encode()
        elif path.suffix == ".tex":
            data = self._tex().encode()
        else:
            endings = ", ".join((".json", ".csv", ".html", ".tex", *PICTURES))
            raise InputError(f"{path} has no ending that says in which form to save", f"known: {endings}")
        write_atomic(path, data)
        return path

    def _picture(self, form: str) -> bytes:
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise _lacking("save", "matplotlib", "plot") from None
        figure = Figure()
        self.plot(figure.subplots())
        stream = io.BytesIO()
        figure.savefig(stream, format=form, bbox_inches="tight")
        return stream.getvalue()

    def _tex(self) -> str:
        rows = self._rows()
        names = list(rows[0]) if rows else []
        numbers = [any(_is_number(row[name]) for row in rows) for name in names]
        cells = [[cell(row[name]) for name in names] for row in rows]
        return tex_table(self._words(), [heading(name) for name in names], cells, numbers)

    def _csv(self) -> str:
        text = io.StringIO()
        rows = self._rows()
        writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()


def cell(value: Any) -> str:
    """Return a value as a table shows it: numbers with four digits, nothing for ``None``."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def heading(name: str) -> str:
    """Return the name of a column as a table for people has it, its unit behind it: ``energy (pJ)``."""
    for ending, unit in UNITS.items():
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')} ({unit})"
    return name.replace("_", " ")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def finite(value: Any) -> Any:
    """Return a document in which numbers that JSON cannot hold are ``None``."""
    if isinstance(value, dict):
        return {str(key): finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def new_axes() -> Axes:
    """Return axes of a new figure of pyplot; raises InputError where matplotlib is not installed."""
    try:
        import matplotlib.pyplot
    except ImportError:
        raise _lacking("plot", "matplotlib", "plot") from None
    axes: Axes = matplotlib.pyplot.subplots()[1]
    return axes


def _lacking(what: str, package: str, extra: str) -> InputError:
    return InputError(
        f"`{what}` needs {package}, which is not installed", f"pip install 'eecompile[{extra}]'"
    )
