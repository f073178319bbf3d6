"""What quick answers of the command line take, process start included, beside what no Python tool can avoid.

    python -m tools.bench.bench_startup [--repeat 7]

Prints the least and the median wall time and the least CPU time (user and system) of ``--repeat`` runs, in
milliseconds. Bounds in the same run: Python with nothing to do, and Python that imports what graphs are read
with. The runs take turns, so that a busy moment of the machine is nobody's alone.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from tools.bench.processes import Taken, least_cpu, python

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "digits_resnet.onnx")
TARGETS = ("diana", "gap9", "edge_tpu_quad")
CLI = ("-m", "eecompile.cli.main")
CALLS: dict[str, tuple[str, ...]] = {
    "python -c pass": ("-c", "pass"),
    "import numpy, onnx, onnx_graphsurgeon": ("-c", "import numpy, onnx, onnx_graphsurgeon"),
    "eecompile --help": (*CLI, "--help"),
    "eecompile cost --help": (*CLI, "cost", "--help"),
    **{f"eecompile cost --target {name}": (*CLI, "cost", EXAMPLE, "--target", name) for name in TARGETS},
    "eecompile cost --json": (*CLI, "cost", EXAMPLE, "--json"),
    "eecompile inspect": (*CLI, "inspect", EXAMPLE),
    "eecompile targets": (*CLI, "targets"),
}


def main() -> None:
    """Print one line per call."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=7, metavar="N", help="runs of each [default: 7]")
    options = parser.parse_args()
    for call in CALLS.values():
        python(*call)  # compiles modules that were not yet
    taken: dict[str, list[Taken]] = {name: [] for name in CALLS}
    for _ in range(options.repeat):
        for name, call in CALLS.items():
            taken[name].append(python(*call))
    print(f"{'ms, ' + str(options.repeat) + ' runs':<40}{'wall':>7}{'median':>8}{'CPU':>7}")
    for name, runs in taken.items():
        wall = [run.wall for run in runs]
        print(
            f"{name:<40}{1e3 * min(wall):>7.0f}{1e3 * statistics.median(wall):>8.0f}"
            f"{1e3 * least_cpu(runs):>7.0f}"
        )


if __name__ == "__main__":
    main()
