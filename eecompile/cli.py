"""The command line: a thin shell over `eecompile.api`; stdout carries the answer, stderr the progress."""

from __future__ import annotations

import errno
import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

from eecompile.options import (
    COST_MODEL,
    DATA,
    EXITS,
    HEAD,
    HOST_SCALE,
    JSON,
    MAX_DROP,
    MODEL,
    OBJECTIVE,
    OPTIMISTIC,
    PREPROCESS,
    RUN,
    SEED,
    TARGET,
)
from passes.errors import EecompileError

P = ParamSpec("P")
INTERNAL_ERROR = 70
INTERRUPTED = 130


app = typer.Typer(
    name="eecompile",
    help="Compile trained ONNX classifiers into early-exit networks for edge accelerators.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _verb(function: Callable[P, None]) -> Callable[P, None]:
    """Register a verb; what it raises becomes a message and an exit code."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except EecompileError as error:
            raise SystemExit(_complain(error.message, error.hint, error.exit_code)) from None
        except KeyboardInterrupt:
            raise SystemExit(_complain("interrupted", "", INTERRUPTED)) from None
        except OSError as error:
            raise SystemExit(_disk_error(error)) from None
        except Exception:
            raise SystemExit(_internal_error()) from None

    app.command()(guarded)
    return guarded


def main() -> None:
    """Entry point of the ``eecompile`` command."""
    app(prog_name="eecompile")


def _complain(message: str, hint: str, code: int) -> int:
    from eecompile.terminal import write_error

    write_error(message, hint)
    return code


def _disk_error(error: OSError) -> int:
    if error.errno == errno.EPIPE:
        raise error  # a closed pipe (`| head`) is typer's business
    if error.errno == errno.ENOSPC:
        hint = "free some space or choose another --out"
        return _complain(f"the disk is full{f': {error.filename}' if error.filename else ''}", hint, 2)
    return _internal_error()


def _internal_error() -> int:
    import traceback

    from eecompile import __version__

    traceback.print_exc()
    hint = (
        "This is a bug in eecompile, not in your input. Please report it with the trace above,\n"
        f"the command you gave, and the output of `eecompile doctor` (version {__version__})."
    )
    return _complain("internal error", hint, INTERNAL_ERROR)


def _progress() -> Callable[[str], None]:
    start = time.monotonic()

    def say(text: str) -> None:
        from eecompile.wording import printable

        print(f"{time.monotonic() - start:7.1f} s  {printable(text)}", file=sys.stderr, flush=True)

    return say


def _version(wanted: bool) -> None:
    if wanted:
        from eecompile import __version__

        print(f"eecompile {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@_verb
def run(
    model: MODEL,
    target: TARGET = "diana",
    data: DATA = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Run directory. [default: runs/MODEL-TARGET]"),
    ] = None,
    exits: EXITS = None,
    head: HEAD = "auto",
    objective: OBJECTIVE = "edp",
    max_drop: MAX_DROP = 1.0,
    optimistic: OPTIMISTIC = False,
    preprocess: PREPROCESS = "auto",
    cost_model: COST_MODEL = None,
    seed: SEED = 0,
    as_json: JSON = False,
) -> None:
    """Put exits into a network, compile it for a target, and write the files of the run."""
    from eecompile import answers, api, terminal

    result = api.run(
        model, target, data, out, exits, head, objective, max_drop, optimistic, preprocess, cost_model, seed,
        progress=_progress(),
    )  # fmt: skip
    terminal.show(result, as_json, answers.run_result)


@_verb
def inspect(
    model: MODEL, target: TARGET = "diana", cost_model: COST_MODEL = None, as_json: JSON = False
) -> None:
    """List nodes, layers, exits and mounts, and why what is not a mount, not fused or not placed is not."""
    from eecompile import answers, api, terminal

    terminal.show(api.inspect(model, target, cost_model), as_json, answers.inspection)


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
    preprocess: PREPROCESS = "auto",
    target: TARGET = "diana",
    verify_each: Annotated[
        bool, typer.Option("--verify-each", help="Run the network in onnxruntime before and after each pass.")
    ] = False,
    save_stages: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the network after each pass into this folder.")
    ] = None,
    seed: SEED = 0,
    as_json: JSON = False,
) -> None:
    """Run passes on a network and say what each did; --data calibrates `quantize` for --target."""
    from eecompile import answers, api, terminal

    result = api.opt(
        model, pipeline, out, data, preprocess, target, verify_each, save_stages, seed, progress=_progress()
    )
    terminal.show(result, as_json, answers.optimized)
    if not result.passed:
        raise SystemExit(_complain("a pass changed what the network computes", result.failure, 1))


@_verb
def cost(
    model: MODEL,
    target: TARGET = "diana",
    objective: OBJECTIVE = "edp",
    cost_model: COST_MODEL = None,
    exits: EXITS = None,
    head: HEAD = "auto",
    host_scale: HOST_SCALE = 1.0,
    as_json: JSON = False,
) -> None:
    """Tell what a network and each of its exits cost on a target; weights may be absent."""
    from eecompile import answers, api, terminal

    report = api.cost(model, target, objective, cost_model, exits, head, host_scale)
    terminal.show(report, as_json, answers.cost_report)


@_verb
def report(
    run_dir: RUN,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Where to write. [default: RUN/report.html]"),
    ] = None,
    as_json: JSON = False,
) -> None:
    """Write report.html of a run again from its files."""
    from eecompile import answers, api, terminal

    terminal.show(api.report(run_dir, out), as_json, answers.written_report)


@_verb
def compare(
    run_a: Annotated[
        Path, typer.Argument(metavar="RUN_A", help="Run directory: the reference.", show_default=False)
    ],
    run_b: Annotated[
        Path,
        typer.Argument(metavar="RUN_B", help="Run directory: the one that is judged.", show_default=False),
    ],
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GATE", help="Exit with 1 if this holds, e.g. 'expected.edp_js>+2%'. May be repeated."
        ),
    ] = None,
    as_json: JSON = False,
) -> None:
    """Compare two runs number by number, with gates for a continuous-integration job."""
    from eecompile import answers, api, terminal

    comparison = api.compare(run_a, run_b, tuple(fail_if or ()))
    terminal.show(comparison, as_json, answers.comparison)
    if not comparison.passed:
        violated = [answers.gate_line(result) for result in comparison.gates if result.violated]
        raise SystemExit(
            _complain(f"{len(violated)} of {len(comparison.gates)} gates violated", "\n".join(violated), 1)
        )


@_verb
def targets(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show this target in full.", show_default=False)
    ] = None,
    as_json: JSON = False,
) -> None:
    """List the targets, or what one supports on which core."""
    from eecompile import answers, api, terminal

    terminal.show(api.targets(name), as_json, answers.target_list)


@_verb
def passes(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show this pass in full.", show_default=False)
    ] = None,
    as_json: JSON = False,
) -> None:
    """List the passes, or the rules and options of one."""
    from eecompile import answers, api, terminal

    terminal.show(api.passes(name), as_json, answers.pass_list)


@_verb
def doctor(as_json: JSON = False) -> None:
    """Check that this machine has what eecompile needs."""
    from eecompile import answers, api, terminal

    diagnosis = api.doctor()
    terminal.show(diagnosis, as_json, answers.diagnosis)
    if not diagnosis.healthy:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
