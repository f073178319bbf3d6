"""The verbs `run`, `retune`, `simulate` and `serve`; registered in `eecompile.cli.main`."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated

import typer

from eecompile.cli.guard import complain, shown_progress
from eecompile.cli.options import (
    CACHE,
    CALIBRATION,
    CONFIDENCE,
    COST_MODEL,
    DATA,
    EPOCHS,
    EXITS,
    FROM_STUDY,
    FRONT_POINT,
    GUARANTEE,
    HEAD,
    JSON,
    KEEP_THRESHOLDS,
    MAX_COST_RATIO,
    MAX_DROP,
    MAX_FINAL_RATIO,
    MAX_LATENCY,
    MAX_LATENCY_P95,
    MAX_WORST_LATENCY,
    MIN_GAIN,
    MODEL_OR_STUDY,
    OBJECTIVE_OF_RUN,
    OPTIMISTIC,
    PART_BITS,
    PLACEMENT,
    POINT,
    PREPROCESS,
    PRUNE,
    PRUNE_EPOCHS,
    QAT_EPOCHS,
    QUANTIZE,
    RECYCLE,
    REPLAY,
    REQUANTIZE,
    RULES,
    SCHEDULE,
    SEED,
    SPECULATE,
    TARGET_OF_RUN,
    TRAIN,
    TRIAL_OF_RUN,
)


def run(
    model: MODEL_OR_STUDY = None,
    target: TARGET_OF_RUN = None,
    data: DATA = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Run directory. [default: runs/MODEL-TARGET]"),
    ] = None,
    exits: EXITS = None,
    head: HEAD = None,
    objective: OBJECTIVE_OF_RUN = None,
    max_drop: MAX_DROP = None,
    optimistic: OPTIMISTIC = False,
    preprocess: PREPROCESS = None,
    cost_model: COST_MODEL = None,
    seed: SEED = None,
    point: POINT = None,
    speculate: SPECULATE = False,
    min_gain: MIN_GAIN = None,
    rules: RULES = None,
    schedule: SCHEDULE = None,
    max_latency: MAX_LATENCY = None,
    guarantee: GUARANTEE = None,
    max_latency_p95: MAX_LATENCY_P95 = None,
    max_worst_latency: MAX_WORST_LATENCY = None,
    max_final_ratio: MAX_FINAL_RATIO = None,
    max_cost_ratio: MAX_COST_RATIO = None,
    train: TRAIN = None,
    epochs: EPOCHS = None,
    confidence: CONFIDENCE = None,
    recycle: RECYCLE = None,
    quantize: QUANTIZE = None,
    qat_epochs: QAT_EPOCHS = None,
    placement: PLACEMENT = None,
    bits: PART_BITS = None,
    prune: PRUNE = None,
    prune_epochs: PRUNE_EPOCHS = None,
    calibration: CALIBRATION = None,
    requantize: REQUANTIZE = False,
    keep_thresholds: KEEP_THRESHOLDS = False,
    cache: CACHE = None,
    from_study: FROM_STUDY = None,
    trial: TRIAL_OF_RUN = None,
    front_point: FRONT_POINT = None,
    replay: REPLAY = None,
    as_json: JSON = False,
) -> None:
    """Put exits into a network and compile it, or deliver a point of a search.

    Without --data nothing is trained: costs are reported, no accuracy is claimed. Exits with 1 if an
    early-exit file and the flat model disagree on any test image, or no operating point meets --max-latency.
    """
    from eecompile import api
    from eecompile.cli import show_run, terminal, values

    with shown_progress() as progress:
        result = api.run(
            model, target, data, out, values.parse_exits(exits), values.parse_heads(head), objective,
            max_drop, optimistic, preprocess, cost_model, seed, point,
            speculate, min_gain, rules, schedule, max_latency, guarantee,
            max_latency_p95, max_worst_latency, max_final_ratio, max_cost_ratio, train, epochs,
            confidence, values.parse_switch("--recycle", recycle), quantize, qat_epochs, placement,
            values.parse_part_bits(bits), values.parse_prune(prune), prune_epochs, calibration, requantize,
            keep_thresholds, cache, from_study, trial, front_point, replay,
            progress=progress,
        )  # fmt: skip
    terminal.show(result, as_json, show_run.run_result)
    if not result.passed:
        raise SystemExit(complain("early-exit files and flat model disagree", result.failure, 1))


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

    with shown_progress() as progress:
        result = api.retune(
            run, out, max_drop, optimistic, min_gain, max_latency, max_latency_p95, max_worst_latency,
            max_final_ratio, max_cost_ratio, progress=progress,
        )  # fmt: skip
    terminal.show(result, as_json, show_run.run_result)
    if not result.passed:
        raise SystemExit(complain("early-exit files and flat model disagree", result.failure, 1))


def simulate(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Run directories that share the accelerator; one named twice has two streams.",
            show_default=False,
        ),
    ],
    arrivals: Annotated[
        list[str],
        typer.Option(
            metavar="TEXT",
            help="periodic:RATE, poisson:RATE, mmpp:LOW,HIGH,CALM,BURST, trace:FILE.csv; one, or one a run.",
        ),
    ],
    slo: Annotated[
        str, typer.Option(metavar="TIME[,...]", help="From arrival to deadline: 20ms; one, or one a run.")
    ],
    policy: Annotated[
        str | None,
        typer.Option(metavar="NAME[,…]", help="Who is next; see docs/serving.md. [default: fifo,remaining]"),
    ] = None,
    priority: Annotated[
        str | None, typer.Option(metavar="P0,P1,...", help="Of each run's requests. [default: all alike]")
    ] = None,
    requests: Annotated[int, typer.Option(metavar="N", help="The most of each stream and seed.")] = 100_000,
    seeds: Annotated[int, typer.Option(metavar="N", help="How many; intervals are over them.")] = 5,
    clock: Annotated[
        str | None, typer.Option(metavar="HZ", help="For targets without a clock: 200MHz.")
    ] = None,
    no_preempt: Annotated[
        bool, typer.Option("--no-preempt", help="A request that began goes on before another begins.")
    ] = False,
    capacity: Annotated[
        bool, typer.Option("--capacity", help="Find the highest rate at which at most 1 % are late, too.")
    ] = False,
    window: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a window of the last policy, for ui.perfetto.dev."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with tables and charts (HTML).")
    ] = None,
    accuracy_floor: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT", help="Thresholds give way under overload, on val never below this accuracy."
        ),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT[,…]",
            help="none, fixed:8, timeout:8,2ms, fluid:8: who runs together. [default: none]",
        ),
    ] = None,
    adapt: Annotated[
        bool, typer.Option("--adapt", help="Serve with thresholds that follow what images have become, too.")
    ] = False,
    drift: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Of the requests that are hard at the end; half are at first."),
    ] = None,
    overlap: Annotated[
        bool,
        typer.Option("--overlap", help="Stages run beside each other where schedules leave cores free."),
    ] = False,
    as_json: JSON = False,
) -> None:
    """Serve runs under load: latency, deadlines, energy and capacity with exits and without."""
    from eecompile import api
    from eecompile.cli import show_simulate, terminal, values
    from eecompile.serving.arrivals import arrivals_of

    patterns = [arrivals_of(text) for text in arrivals]
    with shown_progress() as progress:
        found = api.simulate(
            runs,
            patterns[0] if len(patterns) == 1 else patterns,
            [values.parse_seconds("--slo", one) for one in slo.split(",")]
            if "," in slo
            else values.parse_seconds("--slo", slo),
            values.parse_names("--policy", policy),
            values.parse_numbers("--priority", priority),
            requests,
            seeds,
            values.parse_hertz("--clock", clock),
            no_preempt,
            capacity,
            window,
            report,
            accuracy_floor,
            batch,
            adapt,
            drift,
            overlap,
            progress=progress,
        )
    terminal.show(found, as_json, show_simulate.simulated)


def serve(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Run directories, each a model by its name.", show_default=False
        ),
    ],
    policy: Annotated[str, typer.Option(metavar="NAME", help="Who is next; see docs/serving.md.")] = "fifo",
    batch: Annotated[
        str, typer.Option(metavar="TEXT", help="Who runs together: none, timeout:8,2ms or fluid:8.")
    ] = "none",
    slo: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From arrival to deadline: 20ms. [default: no deadline]"),
    ] = None,
    priority: Annotated[
        str | None, typer.Option(metavar="P0,P1,...", help="Of each run's requests. [default: all alike]")
    ] = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="To listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="For HTTP; 0: any that is free.")] = 8080,
    grpc_port: Annotated[
        int | None,
        typer.Option(metavar="N", help="For gRPC; 0: any that is free. [default: it is not spoken]"),
    ] = None,
    max_body: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of a request: 500kB. [default: 16MiB]")
    ] = None,
    max_queue: Annotated[
        int, typer.Option(metavar="N", help="Images that may be in at once; others are told to come again.")
    ] = 1024,
    threads: Annotated[int, typer.Option(metavar="N", help="Of onnxruntime, for one stage.")] = 1,
    as_json: JSON = False,
) -> None:
    """Answer images over the Open Inference Protocol until SIGTERM or Ctrl-C; what was taken is finished.

    With --json one line says where, once it is ready.
    """
    from eecompile import api
    from eecompile.cli import terminal, values

    deadline = None if slo is None else values.parse_seconds("--slo", slo)
    largest = values.parse_size(max_body)
    levels = values.parse_numbers("--priority", priority)
    with shown_progress() as progress:
        server = api.serve(
            runs, policy, batch, deadline, levels, host, port, grpc_port, largest, max_queue, threads,
            progress=progress,
        )  # fmt: skip
        # What is there stays: looking through it for garbage again and again holds up requests for 0.1 s.
        # Only who owns the process may say so.
        gc.collect()
        gc.freeze()
        if as_json:
            terminal.write_json_line(server.to_json())
        server.wait()
