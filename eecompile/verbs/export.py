"""The verb `export`: a run's network as source code, or for servers of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from eecompile.verbs.given.option_rules import check_given
from passes.errors import InputError

if TYPE_CHECKING:
    from eecompile.verbs.work.export import ExportResult
    from eecompile.verbs.work.export_models import ServableResult

FORMS = ("c", "model_repository", "ray_serve")


@overload
def export(
    run: Path | str, c: Literal[True], rounding: str | None = None, out: Path | str | None = None
) -> ExportResult: ...


@overload
def export(run: Path | str, *, model_repository: Path | str) -> ServableResult: ...


@overload
def export(run: Path | str, *, ray_serve: Path | str) -> ServableResult: ...


@overload
def export(
    run: Path | str,
    c: bool = False,
    rounding: str | None = None,
    out: Path | str | None = None,
    model_repository: Path | str | None = None,
    ray_serve: Path | str | None = None,
) -> ExportResult | ServableResult: ...


def export(
    run: Path | str,
    c: bool = False,
    rounding: str | None = None,
    out: Path | str | None = None,
    model_repository: Path | str | None = None,
    ray_serve: Path | str | None = None,
) -> ExportResult | ServableResult:
    """Write a run in one form: its integers as C99 (`docs/integers.md`), or for servers of others.

    Those are told in `docs/how_to/model_server.md`. A model is called as the run directory.

    Args:
        run: The run directory.
        c: Write the lowered network as C99, in integers alone.
        rounding: How sums become integers of a grid: ``onnxruntime`` (if absent) as its float32 does,
            ``target`` by multiplier and shift as on the cores.
        out: Folder of the sources in C; ``c`` in the run directory if absent.
        model_repository: Folder of models, as Triton, KServe and MLServer read one; the run is one more.
        ray_serve: Folder of an application of Ray Serve: ``app.py``, ``serve.yaml`` and the run.

    Examples:
        >>> from eecompile import api
        >>> api.export("integers", c=True)
        <ExportResult: ... files in integers/c: 2 exits, ... bytes of constants, ...>
    """
    forms = {"c": c, "model_repository": model_repository, "ray_serve": ray_serve}
    told = check_given("export", {**forms, "rounding": rounding, "out": out})
    if len(told & {*FORMS}) != 1:
        wrong = "told several forms" if told & {*FORMS} else "not told what to write"
        raise InputError(f"`export` was {wrong}", "add one of `c`, `model_repository` and `ray_serve`")
    if c:
        from eecompile.verbs.work.export import export_run

        return export_run(Path(run), rounding, None if out is None else Path(out))
    from eecompile.verbs.work import export_models

    if model_repository is not None:
        return export_models.export_to_repository(Path(run), Path(model_repository))
    assert ray_serve is not None  # one of the three was told
    return export_models.export_to_ray(Path(run), Path(ray_serve))
