"""How the CPU time of `eecompile inspect` grows with the number of layers, for networks of several shapes.

    python -m tools.bench.bench_inspect [--shape chain ...] [--layers 100 ...] [--repeat 3] [--target diana]

The time is that of the whole process, its start and the printing of all tables included: the least of
``--repeat`` runs, in seconds of user and system time. Beside it stands the least any tool must do with such a
file in the same run: a process that loads the model with onnx, infers its shapes and checks it.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import onnx

from tools.bench.long_models import BLOCKS, long_model
from tools.bench.processes import eecompile, least_cpu, python

LAYERS = (100, 400, 800, 1500, 2000)
FEW, MANY = 100, 1500
BOUND = (
    "import sys, onnx\n"
    "model = onnx.load(sys.argv[1])\n"
    "onnx.checker.check_model(onnx.shape_inference.infer_shapes(model, strict_mode=True))"
)


def main() -> None:
    """Print one line per shape and number of layers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shape", nargs="+", choices=BLOCKS, default=list(BLOCKS))
    parser.add_argument("--layers", nargs="+", type=int, default=LAYERS, metavar="N")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each [default: 3]")
    parser.add_argument("--target", default="diana", metavar="NAME")
    options = parser.parse_args()
    print(f"CPU seconds of a process; --target {options.target}, least of {options.repeat} runs")
    print(f"{'shape':<12}{'layers':>7}{'inspect':>9}{'--json':>9}{'onnx':>7}{'inspect/onnx':>14}")
    with tempfile.TemporaryDirectory() as folder:
        for shape in options.shape:
            taken = {}
            for layers in options.layers:
                path = Path(folder) / f"{shape}_{layers}.onnx"
                onnx.save(long_model(shape, layers), path)
                call = ("inspect", str(path), "--target", options.target)
                repeats = range(options.repeat)
                text = taken[layers] = least_cpu([eecompile(*call) for _ in repeats])
                json = least_cpu([eecompile(*call, "--json") for _ in repeats])
                bound = least_cpu([python("-c", BOUND, str(path)) for _ in repeats])
                print(
                    f"{shape:<12}{layers:>7}{text:>9.2f}{json:>9.2f}{bound:>7.2f}{text / bound:>14.1f}",
                    flush=True,
                )
            if FEW in taken and MANY in taken:
                print(f"{shape:<12}{MANY} / {FEW} layers: {taken[MANY] / taken[FEW]:.1f} x\n", flush=True)


if __name__ == "__main__":
    main()
