"""The command line: a thin shell over `eecompile.api`; stdout carries the answer, stderr the progress."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]

from eecompile.cli import run_verbs, search_verbs
from eecompile.cli.common import COMPLETION, SHELLS, show_completion, with_common
from eecompile.cli.guard import complain, guarded, shown_progress
from eecompile.cli.options import (
    BITS,
    BREAKDOWN,
    C_SOURCE,
    CALIBRATION,
    COST_MODEL,
    DATA,
    EXACT_ROUNDING,
    EXITS,
    EXPORTED,
    FRONTIER,
    FUSION,
    HEAD,
    HOST_SCALE,
    JSON,
    KEEP_FLOAT,
    LOCALITY,
    LPF_LIMIT,
    MAPPING,
    MAX_DROP,
    MAX_LATENCY,
    MODEL,
    MODEL_REPOSITORY,
    OBJECTIVE,
    OVERLAY,
    PART_BITS,
    PLACEMENT,
    POINT,
    PREPROCESS,
    QAT_EPOCHS,
    QUANTIZE,
    RATIOS,
    RAY_SERVE,
    REQUANTIZE,
    RULES,
    RUN,
    SAVE_MAPPING,
    SCHEDULE,
    SCHEMES_OF,
    SEED,
    SOLVER,
    SPECULATE,
    TARGET_OR_FILE,
    TIME_LIMIT,
    TRACE,
    WEIGHTS,
)
from eecompile.cli.split import verb as split_verb
from eecompile.version import version as installed_version

P = ParamSpec("P")
# Objects made before the collector looks for cycles. A network is many objects that live to the end; Python's
# 700 look through them again and again and find nothing.
COLLECT_EVERY = 50_000


app = typer.Typer(
    name="eecompile",
    help="Compile trained ONNX classifiers into early-exit networks for edge accelerators.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


SAYS_PROGRESS = frozenset(
    {"run", "opt", "quantize", "cost", "retune", "search", "serve", "simulate", "split", "whatif"}
)


def _verb(function: Callable[P, None]) -> Callable[P, None]:
    """Register a verb; what it raises becomes a message and an exit code."""
    safe = guarded(function)
    app.command()(with_common(safe, progress=function.__name__ in SAYS_PROGRESS))
    return safe


def main() -> None:
    """Entry point of the ``eecompile`` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="replace"
            )  # a name no encoding of the terminal holds is no reason to fail
    if COMPLETION in os.environ:
        completion_init()
    thresholds = gc.get_threshold()
    gc.set_threshold(COLLECT_EVERY, *thresholds[1:])
    # killed politely: clean up as after Ctrl-C
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app(prog_name="eecompile")
    finally:
        signal.signal(signal.SIGTERM, before)
        gc.set_threshold(*thresholds)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"eecompile {installed_version()}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    completion: Annotated[
        str | None,
        typer.Option(
            "--completion",
            metavar="|".join(SHELLS),
            callback=show_completion,
            is_eager=True,
            help='Print a script that lets a shell complete commands: eval "$(eecompile --completion bash)".',
        ),
    ] = None,
) -> None:
    pass


run = _verb(run_verbs.run)


@_verb
def inspect(
    model: MODEL, target: TARGET_OR_FILE = "diana", cost_model: COST_MODEL = None, as_json: JSON = False
) -> None:
    """List nodes, exits and mounts, with reasons.

    For each tensor or node it says why it is not a mount, not fused or not placed.
    """
    from eecompile import api
    from eecompile.cli import show_network, terminal

    terminal.show(api.inspect(model, target, cost_model), as_json, show_network.inspection)


@_verb
def opt(
    model: MODEL,
    pipeline: Annotated[
        str,
        typer.Option(
            "--pipeline",
            "-p",
            metavar="TEXT",
            help="Passes, e.g. canonicalize,insert-exits{at=2}.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the resulting .onnx here.")
    ] = None,
    data: DATA = None,
    preprocess: PREPROCESS = None,
    target: SCHEMES_OF = None,
    verify_each: Annotated[
        bool, typer.Option("--verify-each", help="Run the network in onnxruntime before and after each pass.")
    ] = False,
    save_stages: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the network after each pass into this folder.")
    ] = None,
    seed: SEED = None,
    as_json: JSON = False,
) -> None:
    """Run passes and say what each did.

    With --data, `quantize` is calibrated by the schemes of --target.
    """
    from eecompile import api
    from eecompile.cli import show_run, terminal

    with shown_progress() as progress:
        result = api.opt(
            model, pipeline, out, data, preprocess, target, verify_each, save_stages, seed, progress=progress
        )
    terminal.show(result, as_json, show_run.optimized)
    if not result.passed:
        raise SystemExit(complain("a pass changed what the network computes", result.failure, 1))


@_verb
def quantize(
    model: MODEL,
    data: DATA = None,
    target: TARGET_OR_FILE = "diana",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="DIR", help="Where files go. [default: runs/MODEL-TARGET-quantized]"
        ),
    ] = None,
    objective: OBJECTIVE = "edp",
    preprocess: PREPROCESS = None,
    seed: SEED = None,
    calibration: CALIBRATION = None,
    keep_float: KEEP_FLOAT = None,
    max_drop: MAX_DROP = None,
    placement: PLACEMENT = None,
    bits: PART_BITS = None,
    frontier: FRONTIER = False,
    quantize: QUANTIZE = None,
    qat_epochs: QAT_EPOCHS = None,
    requantize: REQUANTIZE = False,
    as_json: JSON = False,
) -> None:
    """Quantize a network and tell which layers lose most.

    By the schemes of --target, on training images of --data; accuracies are those of val and test.
    """
    from eecompile import api
    from eecompile.cli import show_quantize, terminal, values

    with shown_progress() as progress:
        result = api.quantize(
            model, data, target, out, objective, preprocess, seed, calibration,
            values.parse_kept_float(keep_float), max_drop,
            placement, values.parse_part_bits(bits), frontier, quantize, qat_epochs, requantize,
            progress=progress,
        )  # fmt: skip
    terminal.show(result, as_json, show_quantize.quantized)


@_verb
def cost(
    model: MODEL,
    target: TARGET_OR_FILE = "diana",
    objective: OBJECTIVE = "edp",
    cost_model: COST_MODEL = None,
    exits: EXITS = None,
    head: HEAD = None,
    host_scale: HOST_SCALE = None,
    mapping: MAPPING = None,
    locality: LOCALITY = None,
    fusion: FUSION = None,
    lpf_limit: LPF_LIMIT = None,
    bits: BITS = None,
    save_mapping: SAVE_MAPPING = None,
    point: POINT = None,
    max_latency: MAX_LATENCY = None,
    schedule: SCHEDULE = None,
    weights: WEIGHTS = None,
    ratios: RATIOS = None,
    speculate: SPECULATE = False,
    solver: SOLVER = None,
    time_limit: TIME_LIMIT = None,
    trace: TRACE = None,
    overlay: OVERLAY = None,
    rules: RULES = None,
    breakdown: BREAKDOWN = False,
    as_json: JSON = False,
) -> None:
    """Tell what a network and its exits cost.

    Exits the network has already are recognised; weights may be absent. Exits with 1 if no operating
    point meets --max-latency.
    """
    from eecompile import api
    from eecompile.cli import show_cost, terminal, values

    values.check_for_tables("--breakdown", breakdown, as_json)
    with shown_progress() as progress:
        report = api.cost(
            model, target, objective, cost_model, values.parse_exits(exits), values.parse_heads(head),
            host_scale, mapping,
            values.parse_switch("--locality", locality),
            values.parse_switch("--fusion", fusion) is not False,
            values.parse_lpf_limit(lpf_limit),
            values.parse_bits(bits),
            save_mapping, point, max_latency, schedule, weights,
            values.parse_ratios(ratios),
            speculate, solver, time_limit, trace, overlay, rules, progress=progress,
        )  # fmt: skip
    if breakdown:
        show_cost.check_broken_down(report)
    terminal.show(report, as_json, show_cost.broken_down if breakdown else show_cost.cost_report)


@_verb
def report(
    run: RUN,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Where to write. [default: RUN/report.html]"),
    ] = None,
    export: EXPORTED = None,
    as_json: JSON = False,
) -> None:
    """Write report.html of a run again from its files."""
    from eecompile import api
    from eecompile.cli import show_run, terminal

    terminal.show(api.report(run, out, export), as_json, show_run.written_report)


@_verb
def export(
    run: RUN,
    c: C_SOURCE = False,
    rounding: EXACT_ROUNDING = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Folder of the sources in C. [default: RUN/c]"),
    ] = None,
    model_repository: MODEL_REPOSITORY = None,
    ray_serve: RAY_SERVE = None,
    as_json: JSON = False,
) -> None:
    """Write a run as C99, as a model of a repository, or as an application of Ray Serve.

    The sources in C answer bit for bit as the integer program does; see docs/integers.md for what has a form
    in C. The other two are for servers of others; see docs/how_to/model_server.md.
    """
    from eecompile import api
    from eecompile.cli import show_run, terminal

    answer = api.export(run, c, rounding, out, model_repository, ray_serve)
    shown: Callable[..., None] = show_run.exported if c else show_run.servable
    terminal.show(answer, as_json, shown)


@_verb
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN RUN...", help="Run directories; the first is the baseline.", show_default=False
        ),
    ],
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GATE", help="Exit with 1 if this holds, e.g. 'expected.edp_js>+2%'. May be repeated."
        ),
    ] = None,
    all_figures: Annotated[
        bool, typer.Option("--all", help="Print every figure by its key, not those alone that matter.")
    ] = False,
    as_json: JSON = False,
) -> None:
    """Compare runs with the first of them, with gates for CI.

    What is compared: accuracy with and without exits, drop, images that leave early, energy, latency, EDP and
    MACs per image, latency of the deepest path, EDP saved, size of the file; each better or worse than in the
    first run. Accuracies on the same test images are compared image by image, with interval and p-value.
    --all prints every figure of summary.json, and each of them can be in a gate. Exits with 1 if a --fail-if
    holds for any run but the first.
    """
    from eecompile import api
    from eecompile.cli import terminal, values
    from eecompile.cli.comparison import show

    values.check_for_tables("--all", all_figures, as_json)
    found = api.compare(runs, tuple(fail_if or ()))
    terminal.show(found, as_json, lambda out, seen: show.comparison(out, seen, all_figures))
    if not found.passed:
        violated = [show.gate_line(result) for result in found.gates if result.violated]
        raise SystemExit(
            complain(f"{len(violated)} of {len(found.gates)} gates violated", "\n".join(violated), 1)
        )


@_verb
def targets(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Show this target in full.", show_default=False)
    ] = None,
    as_json: JSON = False,
) -> None:
    """List the targets, or what one supports on which core."""
    from eecompile import api
    from eecompile.cli import show_network, terminal

    terminal.show(api.targets(name), as_json, show_network.target_list)


@_verb
def passes(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Show this pass in full.", show_default=False)
    ] = None,
    as_json: JSON = False,
) -> None:
    """List the passes, or the rules and options of one."""
    from eecompile import api
    from eecompile.cli import show_run, terminal

    terminal.show(api.passes(name), as_json, show_run.pass_list)


@_verb
def doctor(as_json: JSON = False) -> None:
    """Check that this machine has what eecompile needs."""
    from eecompile import api
    from eecompile.cli import show_run, terminal

    diagnosis = api.doctor()
    terminal.show(diagnosis, as_json, show_run.diagnosis)
    if not diagnosis.healthy:
        raise SystemExit(1)


retune = _verb(run_verbs.retune)
search = _verb(search_verbs.search)
why = _verb(search_verbs.why)
front = _verb(search_verbs.front)
cache = _verb(search_verbs.cache)
whatif = _verb(search_verbs.whatif)
simulate = _verb(run_verbs.simulate)
split = _verb(split_verb.split)
serve = _verb(run_verbs.serve)

if __name__ == "__main__":
    main()
