"""Tell what each way to quantize does to a network with two exits: accuracy and ratio per exit.

    python -m tools.experiments.quantized_schemes STATIC.onnx TRAINED.onnx --data D --exits exit_0 exit_2
        [--schemes int8 w4a8 …] [--quantize ptq qat] [--qat-epochs N] [--images N] [--jobs 2] [--max-drop 1]

TRAINED is a network with exits, STATIC the same trained alone. Each row is what `eecompile run` does behind
its training: calibration (and training for integers) on train, thresholds on val by the plain estimate within
`--max-drop` points of static quantized alike. All figures are of test images; the first row is the network in
float. `--quantize qat` tells of calibration alone, too, from the same run: at the thresholds of the trained
network, as float is. `--images` trains on so many train images, evenly chosen, `--jobs` works on as many rows
at once, each on one thread. Seconds are wall time of the row; the last line is that of all.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch

from eecompile.run.options import RunOptions
from eecompile.run_files.summary import Summary
from eecompile.training.recipe import PTQ, QAT, QUANTIZERS
from passes.errors import EecompileError
from passes.exits.chain import keep_exits
from passes.model.writing import save
from tools.experiments.trained_on_targets import network, summaries

FLOAT = "float"
# Columns behind those of exits.
COSTS = 6


@dataclass(frozen=True)
class Way:
    """A way to quantize: options of `eecompile run`."""

    target: str
    bits: Mapping[str, int] = field(default_factory=dict)
    placement: str | None = None


WAYS = {
    "int8": Way("gap9"),
    "4-bit heads": Way("gap9", {"head": 4}),
    "w4a8": Way("gap9", {"head": 4, "backbone": 4}),
    "w2a8": Way("gap9", {"head": 2, "backbone": 2}),
    "int8, digital": Way("diana"),
    "mixed": Way("diana", placement="mixed"),
    "all-analog": Way("diana", placement="analog"),
}


@dataclass(frozen=True)
class Job:
    """One row to be found out: a way, by calibration or by training behind it, and what all rows share."""

    name: str
    quantize: str
    static: Path
    trained: Path
    exits: tuple[str, ...]
    data: str
    qat_epochs: int | None
    images: int | None
    max_drop: float
    seed: int
    threads: int


@dataclass(frozen=True)
class Found:
    """What a job found out; ``None`` where no thresholds keep the drop, a text where it cannot be."""

    job: Job
    summary: Summary | None
    refused: str
    seconds: float


def find_out(job: Job) -> Found:
    """Run one job."""
    if job.threads:
        torch.set_num_threads(job.threads)
    start, way = time.perf_counter(), WAYS[job.name]
    options = RunOptions(
        job.static, way.target, job.data, quantize=job.quantize,
        qat_epochs=job.qat_epochs if job.quantize == QAT else None, seed=job.seed,
        max_drop=job.max_drop, bits=way.bits, placement=way.placement, recycle=False,
    )  # fmt: skip
    summary, refused = None, ""
    with tempfile.TemporaryDirectory() as folder:
        kept = save(keep_exits(network(job.trained), list(job.exits)), Path(folder) / "kept.onnx")
        try:
            ((_, summary),) = summaries(
                options, kept, job.static, Path(folder), [job.max_drop], True, [True], True, job.images
            )
        except EecompileError as error:
            refused = error.message
    return Found(job, summary, refused, time.perf_counter() - start)


def lines_of(found: Found, first: bool) -> list[str]:
    """Return the lines of the table: of what was delivered, and before it of calibration alone, and of float.

    Args:
        found: What a job found out.
        first: Nothing was told of float yet.
    """
    job, summary = found.job, found.summary
    if summary is None:
        return [f"| {job.name} | {job.quantize} | {found.refused or 'no thresholds keep the drop'} |"]
    assert summary.quantization is not None and summary.drop is not None and summary.saving is not None
    static, low, high = summary.static, *summary.drop.ci95
    told = {
        FLOAT: [f"{100 * (static.accuracy_float or 0):.1f}"],
        job.quantize: [
            f"{100 * (static.accuracy_quant or 0):.1f}",
            f"{100 * (summary.expected.accuracy if summary.expected else 0):.1f}",
            f"{summary.drop.points:+.1f} [{low:+.1f}, {high:+.1f}]",
            f"{100 * summary.saving.edp:.1f} %",
            f"{static.latency_cycles:,.0f}",
            f"{found.seconds:.0f}",
        ],
    }
    lines = []
    for form in ([FLOAT] if first else []) + ([PTQ] if job.quantize == QAT else []) + [job.quantize]:
        exits = [r for r in summary.quantization.exits if (r.split, r.form) == ("test", form)]
        cells = [f"{100 * row.accuracy:.1f}, {row.ratio:.2f}" for row in exits]
        cells += [*told.get(form, []), *[""] * COSTS][:COSTS]
        lines.append(f"| {FLOAT if form == FLOAT else job.name} | {form} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("static", type=Path)
    parser.add_argument("trained", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--exits", nargs="+", required=True)
    parser.add_argument("--schemes", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--quantize", nargs="+", choices=QUANTIZERS, default=[PTQ])
    parser.add_argument("--qat-epochs", type=int)
    parser.add_argument("--images", type=int)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--max-drop", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    begun = time.perf_counter()
    jobs = [
        Job(
            name, quantize, given.static, given.trained, tuple(given.exits), given.data, given.qat_epochs,
            given.images, given.max_drop, given.seed, 1 if given.jobs > 1 else given.threads,
        )
        for name in given.schemes
        for quantize in given.quantize
    ]  # fmt: skip
    columns = [f"{name} (accuracy, ratio)" for name in (*given.exits, "final")]
    columns += ["static", "early-exit", "drop [95 %]", "EDP saved", "static cycles", "seconds"]
    print(f"| scheme | form | {' | '.join(columns)} |\n{'|---' * (len(columns) + 2)}|", flush=True)
    shown = False
    # spawned: torch and onnxruntime do not survive a fork
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.jobs, mp_context=context) as pool:
        for found in map(find_out, jobs) if given.jobs == 1 else pool.map(find_out, jobs):
            print("\n".join(lines_of(found, not shown)), flush=True)
            shown = shown or found.summary is not None
    print(f"seed {given.seed}, {time.perf_counter() - begun:.0f} s of wall time in all", flush=True)


if __name__ == "__main__":
    main()
