"""The verb `export`: a run's network as source code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from eecompile.verbs.given.option_rules import check_given

if TYPE_CHECKING:
    from eecompile.verbs.work.export import ExportResult


def export(
    run: Path | str, c: bool = False, rounding: str | None = None, out: Path | str | None = None
) -> ExportResult:
    """Write the lowered network of a run as source code, in integers alone (`docs/integers.md`).

    Args:
        run: The run directory.
        c: Write C99; so far the only form, so that it must be told.
        rounding: How sums become integers of a grid: ``onnxruntime`` (if absent) as its float32 does,
            ``target`` by multiplier and shift as on the cores.
        out: Folder to write into; ``c`` in the run directory if absent.

    Examples:
        >>> from eecompile import api
        >>> api.export("integers", c=True)
        <ExportResult: ... files in integers/c: 2 exits, ... bytes of constants, ...>
    """
    from eecompile.verbs.work.export import export_run

    check_given("export", {"c": c, "rounding": rounding, "out": out})
    return export_run(Path(run), c, rounding, None if out is None else Path(out))
