"""The verb `retune`: exits and thresholds of a run chosen anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from eecompile.verbs.progress import Progress, silent
from passes.errors import InputError

if TYPE_CHECKING:
    from eecompile.run.main import RunResult


def retune(
    run: Path | str,
    out: Path | str | None = None,
    max_drop: float | None = None,
    optimistic: bool = False,
    min_gain: float | None = None,
    max_latency: float | None = None,
    max_latency_p95: float | None = None,
    max_worst_latency: float | None = None,
    max_final_ratio: float | None = None,
    max_cost_ratio: float | None = None,
    progress: Progress = silent,
) -> RunResult:
    """Choose exits and thresholds of a run anew, and write the files that the run had written with them.

    All is read from the run directory: nothing is trained or quantized, and neither network nor images are
    needed. What is not told stays as the run had it. Options as in `eecompile.api.run`.

    Args:
        run: Directory of a run with images.
        out: Run directory to write; ``<run>-retuned`` if absent.
        max_drop: Accuracy that may be lost, in points.
        optimistic: Hold the plain estimate of the drop to it, not its upper 90 % bound.
        min_gain: What an exit more must save, in points of static.
        max_latency: Longest expected latency, in s: the best operating point within it is taken.
        max_latency_p95: 95 % of the images take no longer, in s.
        max_worst_latency: No input takes longer, in s.
        max_final_ratio: Largest share of images that reach the final exit.
        max_cost_ratio: Largest mean of the objective, as a share of the network without exits.
        progress: Called with one line of text per step.

    Raises:
        InputError: No run with images, a point of a search, or nothing that is to be changed.
        NoSolutionError: No thresholds keep what is asked for.

    Examples:
        >>> from eecompile import api
        >>> api.retune("tiny-run", max_drop=100.0, out="tuned")
        <RunResult: tiny.onnx on diana: ...
        >>> api.retune("tuned", "again", max_drop=0.5).summary.max_drop
        0.5
    """
    given = {
        "max_drop": max_drop, "optimistic": optimistic, "min_gain": min_gain, "max_latency": max_latency,
        "max_latency_p95": max_latency_p95, "max_worst_latency": max_worst_latency,
        "max_final_ratio": max_final_ratio, "max_cost_ratio": max_cost_ratio,
    }  # fmt: skip
    changed = {name: value for name, value in given.items() if value is not None and value is not False}
    if not changed:
        raise InputError(
            f"nothing is told that {run} shall have otherwise",
            "say for instance with `max_drop` what may be lost",
        )
    from eecompile.run.retuning import retune as retune_run

    folder = Path(run)
    target = folder.with_name(f"{folder.resolve().name}-retuned") if out is None else Path(out)
    return retune_run(folder, changed, target, progress)
