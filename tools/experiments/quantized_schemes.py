"""Tell what each way to quantize does to a network with two exits: accuracy and ratio per exit.

    python -m tools.experiments.quantized_schemes STATIC.onnx TRAINED.onnx --data D --exits exit_0 exit_2
        [--schemes int8 w4a8 …] [--quantize ptq qat] [--qat-epochs N] [--max-drop 1] [--seed 0]

TRAINED is a network with exits, STATIC the same trained alone. Each row is what `eecompile run` does behind
its training: calibration (and training for integers) on train, thresholds on val by the plain estimate within
`--max-drop` points of static quantized alike. All figures are of test images; the first row is the network in
float, at the thresholds of the row behind it. Seconds are wall time of the row.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
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


def rows(name: str, quantize: str, found: Summary, seconds: float, plain: bool) -> list[str]:
    """Return a line for the network as it is delivered, behind one for float where that is asked for."""
    assert found.quantization is not None and found.drop is not None and found.saving is not None
    forms = [FLOAT] if plain else []
    lines = []
    for form in (*forms, quantize):
        exits = [r for r in found.quantization.exits if (r.split, r.form) == ("test", form)]
        cells = [f"{100 * row.accuracy:.1f}, {row.ratio:.2f}" for row in exits]
        low, high = found.drop.ci95
        told = [
            f"{100 * (found.static.accuracy_quant or 0):.1f}",
            f"{100 * (found.expected.accuracy if found.expected else 0):.1f}",
            f"{found.drop.points:+.1f} [{low:+.1f}, {high:+.1f}]",
            f"{100 * found.saving.edp:.1f} %",
            f"{found.static.latency_cycles:,.0f}",
            f"{seconds:.0f}",
        ]
        if form == FLOAT:
            told = [f"{100 * (found.static.accuracy_float or 0):.1f}", "", "", "", "", ""]
        lines.append(f"| {FLOAT if form == FLOAT else name} | {form} | {' | '.join([*cells, *told])} |")
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
    parser.add_argument("--max-drop", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    columns = [f"{name} (accuracy, ratio)" for name in (*given.exits, "final")]
    columns += ["static", "early-exit", "drop [95 %]", "EDP saved", "static cycles", "seconds"]
    print(f"| scheme | form | {' | '.join(columns)} |\n{'|---' * (len(columns) + 2)}|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        kept = save(keep_exits(network(given.trained), given.exits), Path(folder) / "kept.onnx")
        shown = False
        for name in given.schemes:
            for quantize in given.quantize:
                start, way = time.perf_counter(), WAYS[name]
                epochs = given.qat_epochs if quantize == QAT else None
                work = Path(tempfile.mkdtemp(dir=folder))
                options = RunOptions(
                    given.static, way.target, given.data, quantize=quantize, qat_epochs=epochs,
                    seed=given.seed, max_drop=given.max_drop, bits=way.bits, placement=way.placement,
                    recycle=False,
                )  # fmt: skip
                try:
                    ((_, summary),) = summaries(
                        options, kept, given.static, work, [given.max_drop], True, [True], keep_all=True
                    )
                except EecompileError as error:
                    print(f"| {name} | {quantize} | {error.message} |", flush=True)
                    continue
                if summary is None:
                    print(f"| {name} | {quantize} | no thresholds keep the drop |", flush=True)
                    continue
                seconds = time.perf_counter() - start
                print("\n".join(rows(name, quantize, summary, seconds, not shown)), flush=True)
                shown = True


if __name__ == "__main__":
    main()
