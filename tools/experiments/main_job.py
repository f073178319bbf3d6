"""Print every figure the main job promises, on real networks and images.

    python -m tools.experiments.main_job --shared ../shared [--page docs/results/resnet8_diana.md]

Runs `eecompile run` on MLPerf Tiny ResNet8 with real CIFAR-10 images three times (default; with
``--optimistic``, twice), and costs networks without data. Nothing here feeds back into a run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

START = [sys.executable, "-c", "from eecompile.cli.main import main; main()"]
RESNET8, VWW = "models/resnet8_cifar10.onnx", "models/mobilenetv1_025_vww.onnx"
IMAGES = "data/cifar10_lossless_subset.npz"
HEAD = """# ResNet8 on DIANA

MLPerf Tiny ResNet8 (float ONNX, mlcommons), real CIFAR-10 images: 8,068 train, 611 val, 1,000 test, seed 0.
Exits and thresholds are chosen on val; figures are on test unless said; intervals are 95 %. Costs are
those of the published model MATCH with this project's placeholders for host, pooling and adds
([sources](../../targets/diana/README.md)).

Printed by `python -m tools.experiments.main_job` on 2 cores.

"""


@dataclass(frozen=True)
class Timed:
    """What one command printed, how long it took (s) and its largest resident memory (GB)."""

    text: str
    seconds: float
    gigabytes: float


def call(*words: str) -> Timed:
    """Run one eecompile command in a process of its own."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([*START, *words], stdout=out, stderr=subprocess.PIPE)
        assert process.stderr is not None
        errors = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            raise SystemExit(f"eecompile {' '.join(words)} failed:\n{errors}")
        out.seek(0)
        return Timed(out.read().decode(), seconds, usage.ru_maxrss / 2**20)


def plain_accuracy(model: Path, images: Any, labels: Any) -> float:
    """Return the accuracy of the user's file in onnxruntime, image by image, nothing of ours involved."""
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    answers = [session.run(None, {name: x[None].astype(np.float32)})[0].argmax() for x in images]
    return float((np.array(answers) == labels).mean())


def quantized_accuracy(run: Path, images: Any, labels: Any) -> tuple[float, float]:
    """Return the accuracy of the final exit, float and quantized, from the files of a run."""
    found = []
    for kind in ("exits", "quant"):
        path = run / f"model.{kind}.onnx"
        output = onnx.load(path).graph.output[-1].name
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        logits = session.run([output], {session.get_inputs()[0].name: images.astype(np.float32)})[0]
        found.append(float((logits.argmax(1) == labels).mean()))
    return found[0], found[1]


Show = Callable[[str, str, str], None]


def runs(shared: Path, folder: Path, show: Show) -> None:
    """The runs with data."""
    data = np.load(shared / IMAGES)
    arguments = ["run", str(shared / RESNET8), "--target", "diana", "--data", str(shared / IMAGES)]
    for name, more in (("default", []), ("optimistic", ["--optimistic"]), ("again", ["--optimistic"])):
        done = call(*arguments, *more, "--out", str(folder / name))
        if name != "again":
            cost = f"{done.seconds:.0f} s, {done.gigabytes:.2f} GB"
            show(f"{name}: wall time, peak memory", cost, "180 s, 4 GB")
            one_run(name, folder / name, show)
    same = (folder / "optimistic/summary.json").read_bytes() == (folder / "again/summary.json").read_bytes()
    show("second run gives the same summary.json", "yes, to the byte" if same else "NO", "yes")
    plain = plain_accuracy(shared / RESNET8, data["test_x"], data["test_y"])
    summary = json.loads((folder / "default/summary.json").read_text())
    ours = summary["static"]["accuracy_float"]
    printed = f"{100 * ours:.1f} %, {100 * plain:.1f} %"
    show("static float accuracy on test; plain onnxruntime", printed, "within 0.2 points")
    images, labels = (np.concatenate([data[f"val_{k}"], data[f"test_{k}"]]) for k in "xy")
    real, quant = quantized_accuracy(folder / "default", images, labels)
    printed = f"{100 * (real - quant):.2f} points ({100 * real:.2f} → {100 * quant:.2f} %)"
    show(f"static quantized below float, val+test (n = {len(labels)})", printed, "at most 1.0")


def one_run(name: str, run: Path, show: Show) -> None:
    """The figures of one run directory."""
    summary = json.loads((run / "summary.json").read_text())
    info = json.loads((run / "run.json").read_text())
    drop, saving, low = summary["drop"], summary["saving"], summary["drop"]["ci95"]
    printed = f"{drop['points']:.2f} points [{low[0]:.2f}, {low[1]:.2f}]"
    show(f"{name}: drop on test (n = {summary['dataset']['test']})", printed, "reaches down to 1.0")
    scaled = [h["saving"]["edp"] for h in summary["host_sensitivity"]]
    printed = " / ".join(f"{100 * s:.1f} %" for s in scaled)
    asked = "at least 20 % at x1" if summary["optimistic"] else "-"
    show(f"{name}: expected EDP saved at host cost x0 / x1 / x4", printed, asked)
    printed = ", ".join(f"{100 * saving[k]:.1f} %" for k in ("energy", "latency", "macs"))
    show(f"{name}: energy, latency, MACs saved", printed, "-")
    printed = ", ".join(
        f"{e['mount_name']}: {100 * e['ratio']:.1f} % at {100 * e['accuracy']:.1f} %"
        for e in summary["exits"]
    )
    show(f"{name}: where images leave, and their accuracy", printed, "-")
    counts = info["agreement"]
    agreed = min(v for k, v in counts.items() if k != "images")
    show(f"{name}: images on which all files agree", f"{agreed} of {counts['images']}", "all")
    times = info["measured"]
    printed = f"{times['static_ms']:.3f} / {times['dynamic_ms']:.3f}"
    show(f"{name}: onnxruntime on one thread, static / dynamic, ms per image", printed, "-")


def costs(shared: Path, folder: Path, show: Show) -> None:
    """The runs and costs without data."""
    done = call("run", str(shared / VWW), "--target", "diana", "--out", str(folder / "vww"), "--json")
    exits = json.loads(done.text)["exits"]
    show("VWW without data: exits costed, wall time", f"{len(exits)}, {done.seconds:.1f} s", "10 s")
    for path in sorted((shared / "reference/eenn").glob("*.onnx")):
        # Their weights are more than DIANA's L2 holds.
        found = json.loads(call("cost", str(path), "--target", "gap9", "--json").text)["exits"]
        cycles = ", ".join(f"{e['latency_cycles']:,}" for e in found)
        show(f"{path.name}: exits, cycles on GAP9", f"{len(found)}: {cycles}", "recognised, costed")
    times = [call("--help").seconds for _ in range(9)]
    show("`eecompile --help`, median of 9", f"{1e3 * float(np.median(times)):.0f} ms", "200 ms")


def main() -> None:
    """Run everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("EECOMPILE_SHARED", "../shared")))
    parser.add_argument("--page", type=Path, help="write the table to this page as well")
    parser.add_argument("--keep", type=Path, help="keep the run directories here")
    options = parser.parse_args()
    lines: list[str] = []

    def show(figure: str, printed: str, asked: str) -> None:
        lines.append(f"| {figure} | {printed} | {asked} |")
        print(lines[-1], flush=True)

    folder = options.keep or Path(tempfile.mkdtemp())
    show("figure", "printed", "asked")
    show("---", "---", "---")
    runs(options.shared, folder, show)
    costs(options.shared, folder, show)
    if options.page is not None:
        options.page.write_text(HEAD + "\n".join(lines) + "\n")
    if options.keep is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
