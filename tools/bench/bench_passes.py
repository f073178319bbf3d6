"""Time every pass of the whole pipeline on ImageNet-size networks, beside what others need for less.

    python -m tools.bench.bench_passes [--model resnet50-pytorch] [--exits 2] [--repeat 1]

Peers, on the same model in the same run: onnx's checker with shape inference and one serialization (the
least a tool must do that reads, checks and writes the file), and onnxruntime's own graph optimizer at its
extended level. Grids are fabricated: only the time of the rewriting is measured, not calibration.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import onnx_graphsurgeon as gs
import onnxruntime

from passes.base import Pass
from passes.exits.chain import set_thresholds
from passes.model.graph import load
from passes.model.writing import save
from passes.operator_sets import CLIPS, QUANTIZED_LINEAR
from passes.registry import parse_pipeline
from passes.state import QuantGrid, copy_graph, state_of
from tools.bench.bench_models import MODELS

BOUND_S = 5.0


class Table:
    """Prints one line per step and adds them up; also the observer of the pipelines."""

    def __init__(self) -> None:
        self.total = 0.0
        self._nodes = 0
        print(f"{'step':<28}{'ms':>9}{'nodes':>8}{'after':>8}  changed")

    def before(self, step: Pass, graph: gs.Graph) -> None:  # noqa: ARG002
        """Remember how many nodes there are."""
        self._nodes = len(graph.nodes)

    def after(self, step: Pass, graph: gs.Graph, changed: bool, seconds: float) -> None:
        """Print the line of a pass."""
        self.line(step.name, seconds, self._nodes, len(graph.nodes), str(changed).lower())

    def line(self, name: str, seconds: float, before: int, after: int, changed: str = "") -> None:
        """Print one line."""
        self.total += seconds
        print(f"{name:<28}{1e3 * seconds:>9.1f}{before:>8}{after:>8}  {changed}")


def add_fabricated_grids(graph: gs.Graph) -> None:
    """Give every activation and every weight some power-of-two grid."""
    grids = state_of(graph).grids
    for tensor in [*graph.inputs, *(t for n in graph.nodes for t in n.outputs)]:
        accumulates = len(tensor.outputs) == 1 and tensor.outputs[0].op in CLIPS
        if tensor.outputs and not accumulates:
            grids[tensor.name] = QuantGrid((2.0**-4,), 128, 0, 255, "uint8")
    for node in graph.nodes:
        if node.op in QUANTIZED_LINEAR:
            grids[node.inputs[1].name] = QuantGrid((2.0**-7,), 0, -128, 127, "int8")


def timed(action: Callable[[], object]) -> float:
    """Return how many seconds ``action`` takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def run_pipeline(path: Path, folder: Path, exits: int) -> float:
    """Run and print everything from the file to the early-exit files; return the seconds."""
    table = Table()
    start = time.perf_counter()
    graph = load(path)
    table.line("load", time.perf_counter() - start, 0, len(graph.nodes))
    parse_pipeline(f"canonicalize,fold-batchnorm,insert-exits{{at={exits}}}")(graph, [table])
    add_fabricated_grids(graph)
    set_thresholds(graph, [0.9] * exits)
    parse_pipeline("quantize,fold-qdq,fuse-layers")(graph, [table])
    made = {}
    for step in (*(f"split-stages{{stage={k}}}" for k in range(exits + 1)), "nest-exits"):
        start = time.perf_counter()
        made[step] = copy_graph(graph)
        table.line("copy", time.perf_counter() - start, len(graph.nodes), len(graph.nodes))
        parse_pipeline(step)(made[step], [table])
    for name, result in (("lowered", graph), *made.items()):
        file = folder / f"{name.partition('{')[0]}_{len(name)}.onnx"
        seconds = timed(lambda result=result, file=file: save(result, file))  # type: ignore[misc]
        table.line(f"save {name}", seconds, len(result.nodes), len(result.nodes))
    print(f"{'total':<28}{1e3 * table.total:>9.1f}")
    return table.total


def peers(path: Path) -> dict[str, float]:
    """Return the seconds others need on the same model."""

    def check() -> None:
        read = onnx.load(path)
        onnx.checker.check_model(read, full_check=True)
        onnx.shape_inference.infer_shapes(read, strict_mode=True, data_prop=True)
        read.SerializeToString()

    def optimize() -> None:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.intra_op_num_threads = 2
        options.log_severity_level = 3
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    return {
        "onnx read + full check + shape inference + serialize": timed(check),
        "onnxruntime session at ORT_ENABLE_EXTENDED": timed(optimize),
    }


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=sorted(MODELS), action="append", help="default: all")
    parser.add_argument("--exits", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=1, help="the last run counts")
    arguments = parser.parse_args()
    for name in arguments.model or MODELS:
        model = MODELS[name]()
        parameters = sum(int(onnx.numpy_helper.to_array(t).size) for t in model.graph.initializer)
        print(f"\n{name}: {len(model.graph.node)} nodes, {parameters / 1e6:.1f} M parameters")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(model.SerializeToString())
            for _ in range(arguments.repeat):
                total = run_pipeline(path, Path(folder), arguments.exits)
            for what, seconds in peers(path).items():
                print(f"  {total / seconds:6.2f} x  {what} ({1e3 * seconds:.0f} ms)")
            print(f"  {total / BOUND_S:6.2f} x  the bound of {BOUND_S:g} s")


if __name__ == "__main__":
    main()
