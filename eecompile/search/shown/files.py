"""The files a search is looked at by, written at its end or anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eecompile.run_files.directory import write_csv
from eecompile.search.shown.axes import axes_of, measures_of
from eecompile.search.shown.front import ShownFront
from eecompile.search.shown.measures import FIGURES
from eecompile.search.shown.page import page
from eecompile.search.shown.picture import front_picture
from eecompile.search.shown.study import shown_study, shown_what_ifs
from passes.files import write_atomic

HTML, CSV, SVG = "front.html", "front.csv", "front.svg"


def write_front(folder: Path) -> None:
    """Write the table, the picture and the page of a search into its folder, with what it would be elsewhere.

    Raises:
        InputError: No finished search, or a place that cannot be written to.
    """
    write_files([shown_study(folder), *shown_what_ifs(folder)], folder / HTML, folder / CSV, folder / SVG)


def write_files(
    fronts: Sequence[ShownFront], html: Path | None = None, csv: Path | None = None, svg: Path | None = None
) -> list[Path]:
    """Write fronts, laid over each other, into those files that are named; return these."""
    if html is not None:
        write_atomic(html, page(fronts).encode())
    if csv is not None:
        write_csv(csv, csv_rows(fronts))
    if svg is not None:
        write_atomic(svg, front_picture(fronts, *axes_of(fronts), measures_of(fronts)).encode())
    return [path for path in (html, csv, svg) if path is not None]


def csv_rows(fronts: Sequence[ShownFront]) -> list[dict[str, Any]]:
    """Return a row per point; what is not known of it is left empty."""
    return [
        {
            "front": front.title,
            "point": point.name,
            **{key: point.figures.get(key, "") for key in FIGURES},
            "accuracy_ci95_low": point.facts.get("accuracy_ci95", ["", ""])[0],
            "accuracy_ci95_high": point.facts.get("accuracy_ci95", ["", ""])[1],
            "operating_point": point.facts.get("operating_point") or "",
            "design": point.facts.get("design", ""),
            "exits": " | ".join(
                f"{item['head']} on {item['mount']}: {item['confidence']} >= {item['threshold']:.6g}, "
                f"{item['ratio']:.4f} leave"
                for item in point.facts.get("exits", ())
            ),
        }
        for front in fronts
        for point in front.points
    ]
