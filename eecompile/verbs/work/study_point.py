"""``run --from-study``: a point of a search as a run directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passes.errors import InputError

if TYPE_CHECKING:
    from eecompile.run.main import RunResult


def run_study_point(
    study: Mapping[str, Any], given: Mapping[str, Any], progress: Callable[[str], None]
) -> RunResult:
    """Write the run directory of a point; arguments as in `eecompile.api.run`.

    Args:
        study: ``from_study``, ``trial`` and ``front_point``.
        given: All other parameters, ``None`` or ``False`` where they were not told.
        progress: Called with one line of text per step.

    Raises:
        InputError: No trial is told, or a model beside.
    """
    if study["trial"] is None:
        raise InputError(
            f"`from_study` {study['from_study']} holds many networks",
            "say of which trial with `trial`; its front.json lists those that have one",
        )
    told = {name: value for name, value in given.items() if value is not None and value is not False}
    if "model" in told:
        raise InputError(
            f"`from_study` has the network, and {told['model']} is another",
            "leave one of them away",
        )
    from eecompile.search.point_run import PointAsked, run_point

    asked = PointAsked(Path(study["from_study"]), study["trial"], study["front_point"], told)
    return run_point(asked, progress)
