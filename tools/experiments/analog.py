"""Tell how accurate a network is whose convolutions run in DIANA's analog array.

    python -m tools.experiments.analog MODEL --data D [--rows …] [--epochs N …] [--live-rate R] [--seed S]

Rows: `digital` (all int8), `analog` (all convolutions the array takes), `first-digital` (all of these but the
first; what is behind the convolutions is digital anyway). Calibration is on train, training for the integers
too, with noise in the converters; accuracies are those of onnxruntime on the written form, val and test, with
95 % intervals. `no converter` is the same network with its converters taken out, nothing fitted anew. A
training leaves checkpoints in `--work`, and goes on from those that are there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.data.dataset import Dataset, Split, evenly
from eecompile.data.for_network import open_data
from eecompile.exits.answers import answers
from eecompile.exits.statistics import accuracy_interval
from eecompile.quantization.calibration import IMAGES, calibrate
from eecompile.runtime.preprocess import Preprocess
from eecompile.training.checkpoint import Checkpoints
from eecompile.training.contract import Course, TrainingImages
from eecompile.training.integers.quantized import train_quantized
from eecompile.training.recipe import QUANTIZED
from passes.integers.analog import analog_forms, in_array
from passes.integers.schemes import scheme
from passes.model.graph import load, tidy
from passes.operator_sets import QUANTIZED_LINEAR
from passes.registry import parse_pipeline
from passes.rewrite.names import Names
from passes.state import copy_graph, state_of

DIGITAL, ANALOG, FIRST_DIGITAL = ROWS = ("digital", "analog", "first-digital")


def place(graph: gs.Graph, row: str) -> int:
    """Give the nodes of ``graph`` their precisions; return how many convolutions are analog."""
    digital, array = scheme("int8-pow2"), scheme("ternary-analog").precision(weighted=True)
    taken = [node.name for node in graph.nodes if in_array(node, array)]
    taken = {DIGITAL: [], ANALOG: taken, FIRST_DIGITAL: taken[1:]}[row]
    state_of(graph).precisions = {
        node.name: array if node.name in taken else digital.precision(node.op in QUANTIZED_LINEAR)
        for node in graph.nodes
    }
    return len(taken)


def without_converters(quantized: gs.Graph) -> gs.Graph:
    """Return a copy of a Q/DQ graph whose sums reach the affine as they are."""
    found = copy_graph(quantized)
    names = Names(found)
    for form in analog_forms(found):
        for conv in form.convs:
            sums, convert = conv.outputs[0], conv.outputs[0].outputs[0]
            whole = convert.outputs[0].outputs[0].outputs[0].outputs[0]  # behind its Clip
            converted = whole.outputs[0]
            whole.outputs = []
            unit = gs.Constant(names.fresh("unit"), np.array(1 / convert.inputs[1].values, np.float32))
            found.nodes.append(gs.Node("Mul", names.fresh("unconverted"), {}, [sums, unit], [converted]))
    tidy(found)
    return found


def accuracy(graph: gs.Graph, split: Split, preprocess: Preprocess) -> str:
    """Return the accuracy of the final exit in %, with its interval."""
    right = answers(graph, split, preprocess).correct[-1]
    return "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * share for share in accuracy_interval(right)))


def line(name: str, graph: gs.Graph, data: Dataset, preprocess: Preprocess) -> str:
    """Return one line of the table."""
    return f"| {name} | {' | '.join(accuracy(graph, s, preprocess) for s in (data.val, data.test))} |"


def quantized(graph: gs.Graph) -> gs.Graph:
    """Return the Q/DQ form of a calibrated graph."""
    found = copy_graph(graph)
    parse_pipeline("quantize")(found)
    return found


def main() -> None:
    """Print the table, line by line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--epochs", type=int, nargs="+", default=[0], help="of training, one or one per row")
    parser.add_argument("--live-rate", type=float, default=QUANTIZED.live_rate)
    parser.add_argument("--live", type=float, default=QUANTIZED.live, help="share of the epochs")
    parser.add_argument("--held", type=float, default=QUANTIZED.live_held, help="share of these")
    parser.add_argument("--stages", type=int, nargs="*", default=list(QUANTIZED.live_stages))
    parser.add_argument("--work", type=Path, help="folder of checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    graph = load(given.model)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    data, chosen = open_data(graph, given.data, "auto", given.seed, str(given.model))
    preprocess = chosen.preprocess
    print(f"| | val ({len(data.val)}) | test ({len(data.test)}) |\n|---|---|---|", flush=True)
    print(line("float", graph, data, preprocess), flush=True)
    many = given.epochs * len(given.rows) if len(given.epochs) == 1 else given.epochs
    for row, epochs in zip(given.rows, many, strict=True):
        calibrated = copy_graph(graph)
        count, start = place(calibrated, row), time.perf_counter()
        calibrate(calibrated, preprocess.apply(evenly(data.train.x, IMAGES)))
        name = f"{row} ({count} analog), ptq, {time.perf_counter() - start:.0f} s"
        form = quantized(calibrated)
        print(line(name, form, data, preprocess), flush=True)
        if count:
            print(line(f"{row}, ptq, no converter", without_converters(form), data, preprocess), flush=True)
        if not epochs:
            continue
        start = time.perf_counter()
        recipe = replace(
            QUANTIZED,
            epochs=epochs,
            live=given.live,
            live_rate=given.live_rate,
            live_stages=tuple(given.stages),
            live_held=given.held,
        )
        images = TrainingImages(data.train, data.val, preprocess)
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work) if given.work is None else given.work / row
            checkpoints = Checkpoints(folder, {}, resume=given.work is not None)
            course = Course(given.seed, lambda told: print(told, file=sys.stderr, flush=True), checkpoints)
            log = train_quantized(calibrated, graph, images, recipe, course)
            print(log.details, file=sys.stderr, flush=True)
        seen, seconds = epochs * len(data.train), time.perf_counter() - start
        form = quantized(calibrated)
        print(line(f"{row}, qat, {seen} images, {seconds:.0f} s", form, data, preprocess), flush=True)
        if count:
            print(line(f"{row}, qat, no converter", without_converters(form), data, preprocess), flush=True)


if __name__ == "__main__":
    main()
