"""Tell what a network loses by calibration, and what training for integers wins back, scheme by scheme.

    python -m tools.experiments.qat MODEL --data D [--schemes int8-pow2 int8-channel w4a8 2-bit ternary]
        [--samples N] [--seed 0] [--threads 1] [--rates 2e-4 1e-3 …] [--step-rates 10 …]
        [--stages 8 4] [--val-only]

MODEL is a float network, with exits or without. A scheme is a pair of those of `passes/integers/schemes.py`:
of convolutions, and of everything else: `w4a8` and `2-bit` are what GAP9's NE16 has for convolutions, on free
steps per channel, `ternary` is -1, 0, 1 times a power of two per tensor on DIANA's activations, without an
analog array. Calibration sees 512 training images, training all of train. Accuracy is that of the Q/DQ file
in onnxruntime, on val, test and both, of the final exit (early ones beside it), with 95 % Wilson intervals.
Several rates are told on val only: they are chosen there.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_graphsurgeon as gs
import torch

from eecompile.data.dataset import Dataset, evenly
from eecompile.data.for_network import open_data
from eecompile.exits.answers import answers
from eecompile.exits.statistics import accuracy_interval
from eecompile.quantization.calibration import IMAGES, calibrate
from eecompile.runtime.preprocess import Preprocess
from eecompile.training.checkpoint import NOWHERE
from eecompile.training.contract import Course, TrainingImages
from eecompile.training.integers.quantized import train_quantized
from eecompile.training.recipe import QUANTIZED, QuantizedRecipe
from passes.exits.chain import keep_exits
from passes.exits.recognise import classifier_exits
from passes.integers.quantize import Quantize
from passes.integers.schemes import Scheme, scheme
from passes.model.graph import load
from passes.number_formats import Levels
from passes.operator_sets import QUANTIZED_LINEAR
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of

_POW2 = scheme("int8-pow2")
_TERNARY = replace(_POW2, name="ternary", weights=Levels(-1, 1, 2, power_of_two=True))
_CHANNEL = scheme("int8-channel")
# of convolutions, and of everything else
SCHEMES: dict[str, tuple[Scheme, Scheme]] = {
    "int8-pow2": (_POW2, _POW2),
    "int8-channel": (_CHANNEL, _CHANNEL),
    "w4a8": (scheme("int4-channel"), _CHANNEL),
    "2-bit": (scheme("int2-channel"), _CHANNEL),
    "ternary": (_TERNARY, _POW2),
}
HEADER = (
    "| numbers | | val | test | val + test [95 %] | below float | early exits, val + test "
    "| images trained on | s |\n|---|---|---|---|---|---|---|---|---|"
)


def calibrated(graph: gs.Graph, name: str, data: Dataset, preprocess: Preprocess) -> gs.Graph:
    """Return a copy on the grids of a scheme."""
    found, (layers, others) = copy_graph(graph), SCHEMES[name]
    state_of(found).precisions = {
        n.name: (layers if n.op == "Conv" else others).precision(n.op in QUANTIZED_LINEAR)
        for n in found.nodes
    }
    calibrate(found, preprocess.apply(evenly(data.train.x, IMAGES)))
    return found


class Table:
    """Prints a line per network."""

    def __init__(self, data: Dataset, preprocess: Preprocess, val_only: bool) -> None:
        self._data, self._preprocess, self._val_only = data, preprocess, val_only
        self._float: float | None = None
        print(HEADER, flush=True)

    def line(self, name: str, how: str, graph: gs.Graph, seen: int = 0, seconds: float = 0.0) -> None:
        """Answer all images with ``graph``, which is float or calibrated; others lie below the first."""
        file = copy_graph(graph)
        if state_of(file).grids:
            Quantize()(file)
        splits = ("val",) if self._val_only else ("val", "test")
        right = [answers(file, self._data.split(k), self._preprocess).correct for k in splits]
        parts = [f"{100 * part[-1].mean():.1f}" for part in right]
        both = np.concatenate(right, axis=1)
        share, low, high = accuracy_interval(both[-1])
        self._float = share if self._float is None else self._float
        early = ", ".join(f"{100 * part.mean():.1f}" for part in both[:-1])
        cells = [
            name, how, *parts, *["-"] * self._val_only,
            f"{100 * share:.1f} [{100 * low:.1f}, {100 * high:.1f}]",
            f"{100 * (self._float - share):+.1f}", early or "-", f"{seen:,}" if seen else "-",
            f"{seconds:.0f}" if seconds else "-",
        ]  # fmt: skip
        print(f"| {' | '.join(cells)} |", flush=True)


def recipe_of(rate: float | None, step_rate: float | None, samples: int | None) -> QuantizedRecipe:
    """Return the default recipe, with what is given in its place."""
    recipe = QUANTIZED
    if rate is not None:
        recipe = replace(recipe, rate=rate, low_rate=rate)
    if step_rate is not None:
        recipe = replace(recipe, step_rate=step_rate, exponent_rate=step_rate)
    return recipe if samples is None else replace(recipe, samples=samples, low_samples=samples)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--schemes", nargs="+", choices=SCHEMES, default=list(SCHEMES))
    parser.add_argument("--samples", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rates", type=float, nargs="+", default=[None])
    parser.add_argument("--step-rates", type=float, nargs="+", default=[None])
    parser.add_argument("--stages", type=int, nargs="*")
    parser.add_argument("--val-only", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    graph = load(given.model)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    classifier_exits(graph)
    data, choice = open_data(keep_exits(graph, []), given.data, "auto", given.seed, str(given.model))
    preprocess = choice.preprocess
    tried = list(itertools.product(given.rates, given.step_rates))
    print(f"seed {given.seed}, {given.threads} threads, {platform.machine()}, torch {torch.__version__}")
    table = Table(data, preprocess, given.val_only or len(tried) > 1)
    table.line("float", "", graph)
    for name in given.schemes:
        start = calibrated(graph, name, data, preprocess)
        table.line(name, "ptq", start)
        for rate, step_rate in tried:
            trained, begun = copy_graph(start), time.perf_counter()
            recipe = recipe_of(rate, step_rate, given.samples)
            if given.stages is not None:
                recipe = replace(recipe, stages=tuple(given.stages))
            course = Course(given.seed, lambda _: None, NOWHERE)
            images = TrainingImages(data.train, data.val, preprocess)
            told = train_quantized(trained, graph, images, recipe, course).to_json()
            text = "qat" if len(tried) == 1 else f"qat, rate {told['recipe']['rate']:g}, steps x{step_rate}"
            losses, stages = told["loss_on_val"], [(line["bits"], line["loss"]) for line in told["epochs"]]
            seen = len(told["epochs"]) * len(data.train)
            table.line(name, text, trained, seen, time.perf_counter() - begun)
            print(f"<!-- {told['kept']}, loss on val {losses}, by epoch {stages} -->", flush=True)


if __name__ == "__main__":
    main()
