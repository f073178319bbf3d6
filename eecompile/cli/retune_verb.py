"""The verb `retune`; registered in `eecompile.cli.main`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eecompile.cli.guard import complain, timed_progress
from eecompile.cli.options import (
    JSON,
    MAX_COST_RATIO,
    MAX_FINAL_RATIO,
    MAX_LATENCY,
    MAX_LATENCY_P95,
    MAX_WORST_LATENCY,
    OPTIMISTIC,
)


def retune(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Directory of a run with images.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Run directory. [default: RUN-retuned]")
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(metavar="POINTS", help="Allowed accuracy drop, in points. [default: the run's]"),
    ] = None,
    optimistic: OPTIMISTIC = False,
    min_gain: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="What an exit more must save, in points of the network without exits. [default: the run's]",
        ),
    ] = None,
    max_latency: MAX_LATENCY = None,
    max_latency_p95: MAX_LATENCY_P95 = None,
    max_worst_latency: MAX_WORST_LATENCY = None,
    max_final_ratio: MAX_FINAL_RATIO = None,
    max_cost_ratio: MAX_COST_RATIO = None,
    as_json: JSON = False,
) -> None:
    """Choose exits and thresholds of a run anew, from its directory alone.

    Nothing is trained; what is not told stays as the run had it. Exits with 1 if an early-exit file and the
    flat model disagree on any test image, or nothing keeps what is asked for.
    """
    from eecompile import api
    from eecompile.cli import show_run, terminal

    result = api.retune(
        run, out, max_drop, optimistic, min_gain, max_latency, max_latency_p95, max_worst_latency,
        max_final_ratio, max_cost_ratio, progress=timed_progress(),
    )  # fmt: skip
    terminal.show(result, as_json, show_run.run_result)
    if not result.passed:
        raise SystemExit(complain("early-exit files and flat model disagree", result.failure, 1))
