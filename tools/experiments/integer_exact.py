"""Count the bits by which the integer program of a quantized network differs from onnxruntime.

    python -m tools.experiments.integer_exact MODEL --data D [--ways diana gap9 …] [--images 1000] [--seed 0]

MODEL is a float network with its exits. Each way calibrates it on train (no training for integers) and
lowers it; the first images of test run through onnxruntime, optimized as it is by default, and through the
interpreter in both roundings. Counted over the float32 logits of all exits: those that differ, the bits in
which they do, the largest difference in int32 sums, and per exit the answers (largest logit) that change.
`C` counts the int32 sums of all exits that differ between the interpreter and the exported network, whose
thresholds are set so high that all images pass all exits. Seconds are those of the interpreter, then of C.
`analog` has all convolutions that fit in the array of DIANA, `mixed` all of these but the first and the last;
`half-even` is `diana` with ties to even declared of the core, where it declares half up.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.data.dataset import evenly
from eecompile.data.for_network import open_data
from eecompile.deployment.c_source import c_source
from eecompile.quantization.assignment import assign_precisions
from eecompile.quantization.calibration import IMAGES, calibrate
from eecompile.quantization.placements import ANALOG, AUTO
from eecompile.quantization.wishes import SchemeWish
from eecompile.runtime.sessions import session
from passes.exits.recognise import recognise_exits
from passes.integers.analog import in_array
from passes.integers.interpreter import interpret, logits
from passes.integers.program import IntegerProgram
from passes.integers.read_program import integer_program
from passes.integers.schemes import scheme
from passes.model.graph import load
from passes.model.writing import to_model
from passes.number_formats import EXACT_ROUNDINGS, HALF_EVEN
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from targets.contract.registry import load_target

Array = np.ndarray[Any, Any]
BATCH = 50
COMPILE = ("cc", "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic")


@dataclass(frozen=True)
class Way:
    """A target, and what is wished of it.

    Attributes:
        target: Its name.
        bits: Of weights, per part of the network.
        placement: As `SchemeWish` has it.
        ends: The first and the last layer that would run in an array are digital.
        rounding: How the core treats ties, where that is not what its schemes declare.
    """

    target: str
    bits: Mapping[str, int] = field(default_factory=dict)
    placement: str = AUTO
    ends: bool = False
    rounding: str = ""


WAYS = {
    "diana": Way("diana"),
    "gap9": Way("gap9"),
    "edge_tpu_quad": Way("edge_tpu_quad"),
    "w4a8": Way("gap9", {"backbone": 4}),
    "analog": Way("diana", placement=ANALOG),
    "mixed": Way("diana", placement=ANALOG, ends=True),
    "half-even": Way("diana", rounding=HALF_EVEN),
}


@dataclass(frozen=True)
class Difference:
    """What differs between two lists of logits, one [N, classes] per exit.

    Attributes:
        logits: How many differ.
        of: How many there are.
        bits: In how many bits they do.
        sums: Largest difference in int32 sums.
        answers: Per exit, inputs whose largest logit is another.
    """

    logits: int
    of: int
    bits: int
    sums: int
    answers: tuple[int, ...]


def difference(wanted: list[Array], found: list[Array], scales: list[Array]) -> Difference:
    """Compare float32 logits bit by bit; ``scales`` are those of the sums of each exit."""
    pairs = list(zip(wanted, found, scales, strict=True))
    crossed = [
        np.ascontiguousarray(a).view(np.uint32) ^ np.ascontiguousarray(b).view(np.uint32) for a, b, _ in pairs
    ]
    far = [np.abs(np.rint(a / s) - np.rint(b / s)).max() for a, b, s in pairs]
    return Difference(
        sum(int(np.count_nonzero(x)) for x in crossed),
        sum(x.size for x in crossed),
        sum(int(np.unpackbits(x.view(np.uint8)).sum()) for x in crossed),
        int(max(far)),
        tuple(int((a.argmax(1) != b.argmax(1)).sum()) for a, b, _ in pairs),
    )


def lowered(graph: gs.Graph, way: Way, images: Array) -> gs.Graph:
    """Return ``graph`` calibrated on ``images`` and lowered for the target of ``way``."""
    found = copy_graph(graph)
    wish = SchemeWish(way.placement, way.bits)
    assign_precisions(found, load_target(way.target), wish=wish)
    precisions = state_of(found).precisions
    if way.ends:
        inside = [node.name for node in found.nodes if in_array(node, precisions.get(node.name))]
        precisions.update(dict.fromkeys((inside[0], inside[-1]), scheme("int8-pow2").precision(True)))
    if way.rounding:
        for name, held in precisions.items():
            rule = replace(held.requantization, rounding=way.rounding)
            precisions[name] = replace(held, requantization=rule)
    calibrate(found, images)
    parse_pipeline("quantize,fold-qdq")(found)
    return found


def of_onnxruntime(graph: gs.Graph, images: Array) -> list[Array]:
    """Return the logits of each exit, as onnxruntime computes the graph with its fusions."""
    running = session(to_model(graph, "N"))
    wanted = [item.output for item in state_of(graph).exits]
    parts = [running.run(wanted, {graph.inputs[0].name: part}) for part in _batches(images)]
    return _joined(parts)


def of_interpreter(
    program: IntegerProgram, integers: Array, rounding: str
) -> tuple[list[Array], list[Array]]:
    """Return the logits of each exit, float32, and their sums, as the interpreter computes them."""
    floats, sums = [], []
    for part in _batches(integers):
        tensors = interpret(program, part, rounding)
        floats.append(logits(program, tensors))
        sums.append([tensors[item.logits].reshape(len(part), -1) for item in program.exits])
    return _joined(floats), _joined(sums)


def of_c(program: IntegerProgram, integers: Array, rounding: str, folder: Path) -> list[Array]:
    """Return the int32 sums of each exit, as the network in C computes them; it is built in ``folder``.

    No confidence reaches 2: all images run to the end, and the sums of all exits they pass are printed.
    """
    exits = tuple(replace(item, threshold=2.0) for item in program.exits[:-1])
    open_to_all = replace(program, exits=(*exits, replace(program.exits[-1], threshold=None)))
    source = c_source(open_to_all, rounding, "integer_exact")
    sizes = [int(np.prod(program.shapes[item.logits])) for item in program.exits]
    buffers = ", ".join(source.logits)
    files = dict(source.files) | {"main.c": _MAIN}
    files["network.c"] += f"const int32_t *const network_sums[NETWORK_EXITS] = {{{buffers}}};\n"
    for name, text in files.items():
        (folder / name).write_text(text, encoding="ascii")
    sources = sorted(name for name in files if name.endswith(".c"))
    subprocess.run([*COMPILE, *sources, "-o", "network", "-lm"], cwd=folder, check=True)
    told = subprocess.run(
        [folder / "network"], input=integers.astype(np.uint8).tobytes(), capture_output=True, check=True
    )
    table = np.array([line.split() for line in told.stdout.decode().splitlines()], np.int64)
    ends = np.cumsum(sizes)[:-1]
    return np.split(table, ends, axis=1)


_MAIN = """#include "network.h"
#include <stdio.h>
extern const int32_t *const network_sums[NETWORK_EXITS];
int main(void)
{
    static uint8_t image[NETWORK_INPUT];
    static int32_t logits[NETWORK_CLASSES];
    while (fread(image, 1, sizeof image, stdin) == sizeof image) {
        float confidence;
        int label, k, j;
        network_run(image, logits, &confidence, &label);
        for (k = 0; k < NETWORK_EXITS; k++) {
            for (j = 0; j < network_classes[k]; j++) {
                printf("%ld ", (long)network_sums[k][j]);
            }
        }
        printf("\\n");
    }
    return 0;
}
"""


def sums_that_differ(wanted: list[Array], found: list[Array]) -> int:
    """Return how many integers differ; both are [N, classes] per exit."""
    return sum(int(np.count_nonzero(a != b)) for a, b in zip(wanted, found, strict=True))


def _joined(parts: list[list[Array]]) -> list[Array]:
    return [np.concatenate(found) for found in zip(*parts, strict=True)]


def _batches(images: Array) -> list[Array]:
    return [images[start : start + BATCH] for start in range(0, len(images), BATCH)]


def line(name: str, rounding: str, found: Difference, in_c: str, seconds: str) -> str:
    """Return one line of the table."""
    share = f"{found.logits} of {found.of} ({100 * found.logits / found.of:.2f} %)"
    changed = ", ".join(map(str, found.answers))
    cells = (name, rounding, share, found.bits, found.sums, changed, in_c, seconds)
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Print the table, line by line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    graph = load(given.model)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    recognise_exits(graph)
    data, chosen = open_data(graph, given.data, "auto", given.seed, str(given.model))
    calibrating = chosen.preprocess.apply(evenly(data.train.x, IMAGES))
    tested = chosen.preprocess.apply(data.test.x[: given.images])
    print(f"{len(tested)} images of test, exits {[item.name for item in state_of(graph).exits]}\n")
    print("| way | rounding | logits that differ | bits | largest, in sums | answers changed | C | seconds |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in given.ways:
        network = lowered(graph, WAYS[name], calibrating)
        program = integer_program(network)
        scales = [item.scales for item in program.exits]
        integers = program.quantized(tested)
        wanted = of_onnxruntime(network, tested)
        for rounding in EXACT_ROUNDINGS:
            start = time.perf_counter()
            found, sums = of_interpreter(program, integers, rounding)
            seconds, in_c = f"{time.perf_counter() - start:.0f}", "no compiler"
            start = time.perf_counter()
            if shutil.which(COMPILE[0]):
                with tempfile.TemporaryDirectory() as work:
                    count = sums_that_differ(sums, of_c(program, integers, rounding, Path(work)))
                in_c = f"{count} of {sum(values.size for values in sums)}"
                seconds += f" + {time.perf_counter() - start:.0f}"
            print(line(name, rounding, difference(wanted, found, scales), in_c, seconds), flush=True)


if __name__ == "__main__":
    main()
