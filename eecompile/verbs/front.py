"""``front``: the result of a search to look at, or of several laid over each other.

What it works with is loaded when it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passes.errors import InputError
from passes.shown_result import Row, ShownResult

if TYPE_CHECKING:
    from eecompile.search.shown.front import ShownFront


@dataclass(frozen=True, repr=False)
class FrontComparison(ShownResult):
    """Fronts, and how much each dominates up to one reference.

    Attributes:
        fronts: In the order of the folders.
        reference: By name of an objective of the first front, the worst that any search has it.
        volumes: Of each front, on val and on test: the share of the box between the reference and what
            nothing is better than; ``None`` where a figure is not known.
        warnings: What keeps them from being compared.
        files: Those that were written.
    """

    fronts: tuple[ShownFront, ...]
    reference: dict[str, float]
    volumes: tuple[tuple[float | None, float | None], ...]
    warnings: tuple[str, ...]
    files: tuple[Path, ...]

    def _words(self) -> str:
        titles = ", ".join(front.title for front in self.fronts)
        return f"fronts of {titles}; {len(self.files)} files written"

    def _rows(self) -> list[Row]:
        return [
            {"front": front.title, "point": point.name, **point.figures}
            for front in self.fronts
            for point in front.points
        ]

    def _axes(self) -> tuple[str, str]:
        first, *others = self.fronts[0].objectives
        return (others or [first])[0], first

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as one JSON document; ``compared_by`` tells the figures of the reference."""
        from eecompile.search.shown.axes import measures_of

        measures = measures_of(self.fronts)
        return {
            "schema_version": 1,
            "objectives": list(self.fronts[0].objectives),
            "reference": self.reference,
            "compared_by": {name: measures[name].key for name in self.reference},
            "warnings": list(self.warnings),
            "fronts": [
                {
                    "title": front.title,
                    "facts": dict(front.facts),
                    "designs": len(front.designs),
                    "hypervolume_val": on_val,
                    "hypervolume_test": on_test,
                    "points": [{"name": point.name, **point.figures} for point in front.points],
                }
                for front, (on_val, on_test) in zip(self.fronts, self.volumes, strict=True)
            ],
            "files": [str(path) for path in self.files],
        }


def front(
    studies: Sequence[Path | str] | Path | str,
    html: Path | str | None = None,
    csv: Path | str | None = None,
    svg: Path | str | None = None,
) -> FrontComparison:
    """Write the front of a search anew as page, table and picture; of several, lay them over each other.

    Args:
        studies: Folder of a search, or folders.
        html: File of the page; of a single search ``front.html`` in its folder if absent, of several none.
        csv: Likewise of the table, ``front.csv``.
        svg: Likewise of the picture, ``front.svg``.

    Raises:
        InputError: A folder without a finished search, or one that is given twice; a place that cannot be
            written to.

    Examples:
        >>> from eecompile import api
        >>> api.front("searched", csv="points.csv")
        <FrontComparison: fronts of ...; 3 files written>
    """
    from eecompile.search.shown.axes import measures_of
    from eecompile.search.shown.files import CSV, HTML, SVG, write_files
    from eecompile.search.shown.page import warnings
    from eecompile.search.shown.study import shown_study, shown_what_ifs
    from eecompile.search.shown.volumes import common_reference, volumes

    folders = [Path(one) for one in ([studies] if isinstance(studies, Path | str) else studies)]
    if not folders:
        raise InputError("no search is named", "give the folder (`out`) of one at least")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError("a search is named twice", "name each folder once")
    fronts = tuple(front for folder in folders for front in (shown_study(folder), *shown_what_ifs(folder)))
    given = [None if path is None else Path(path) for path in (html, csv, svg)]
    if len(folders) == 1:
        given = [path or folders[0] / name for path, name in zip(given, (HTML, CSV, SVG), strict=True)]
    files = write_files(fronts, *given)
    measures = measures_of(fronts)
    reference = common_reference(fronts, fronts[0].objectives, measures)
    return FrontComparison(
        fronts,
        reference,
        tuple(volumes(front, reference, measures) for front in fronts),
        tuple(warnings(fronts)),
        tuple(files),
    )
