"""Compare calibrators, and channels as they are with equalized ones, on networks, targets and images.

    python -m tools.experiments.post_training MODEL … --data D [--targets diana gap9]
        [--calibrations least-squares minmax percentile entropy] [--preprocess R] [--seed 0]
        [--train mobilenetv1:16 mobilenetv2:6 --out FOLDER] [--threads 1]

MODEL is a float network. `--train NAME:EPOCHS` first trains one of `tools/make_tiny_networks.py` from fresh
weights, on train, by the recipe of `run --train scratch`, into FOLDER; one that is there is not trained
again, one that was interrupted goes on. Calibration sees 512 train images. Accuracy is that of the integer
file in onnxruntime, with 95 % Wilson intervals; the drop against float is paired, over val and test. Signal
over noise, and the share of images answered as in float, are on 512 train images that calibrated nothing.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_graphsurgeon as gs
import torch

from eecompile.data.dataset import Dataset, evenly
from eecompile.data.for_network import open_data
from eecompile.exits.answers import answers
from eecompile.exits.statistics import accuracy_interval, paired_drop
from eecompile.quantization.assignment import assign_precisions
from eecompile.quantization.calibration import IMAGES, calibrate
from eecompile.quantization.calibration_names import CALIBRATIONS
from eecompile.quantization.equalization import equalize
from eecompile.quantization.sensitivity import disturbance
from eecompile.runtime.preprocess import Preprocess
from eecompile.runtime.sessions import Evaluator
from eecompile.training.checkpoint import Checkpoints
from eecompile.training.contract import Course, TrainingImages
from eecompile.training.fresh_weights import draw_network
from eecompile.training.joint import train_jointly
from eecompile.training.recipe import FRESH
from passes.exits.recognise import classifier_exits
from passes.model.graph import load
from passes.model.writing import save, to_model
from passes.registry import parse_pipeline
from passes.state import copy_graph
from targets.contract.registry import load_target
from tools.make_tiny_networks import write

HEADER = (
    "| network | target | calibration | channels | val | test | val + test [95 %] | below float [95 %] "
    "| signal over noise, dB | answered as in float |\n" + "|---" * 10 + "|"
)


def opened(model: Path, given: argparse.Namespace) -> tuple[gs.Graph, Dataset, Preprocess]:
    """Return a network in canonical form, the images, and how they become its input."""
    graph = load(model)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    classifier_exits(graph)
    data, choice = open_data(graph, given.data, given.preprocess, given.seed, str(model))
    return graph, data, choice.preprocess


def trained(name: str, epochs: int, given: argparse.Namespace) -> Path:
    """Train a network from fresh weights unless it is there; return its file."""
    path: Path = given.out / f"{name}-{epochs}.onnx"
    if path.exists():
        return path
    graph, data, preprocess = opened(write(name, given.out), given)
    draw_network(graph, given.seed)
    checkpoints = Checkpoints(path.with_suffix(".training"), {}, resume=True)
    course = Course(given.seed, lambda line: print(f"<!-- {path.stem}: {line} -->", flush=True), checkpoints)
    images = TrainingImages(data.train, data.val, preprocess)
    train_jointly(graph, images, replace(FRESH, epochs=epochs), course, [], scratch=True)
    save(graph, path, "N")
    checkpoints.clear()
    return path


class Comparison:
    """Compares the integers of one network with its floats."""

    def __init__(self, model: Path, given: argparse.Namespace) -> None:
        self._name = model.stem
        self._graph, self._data, self._preprocess = opened(model, given)
        train = self._data.train.x
        used = np.linspace(0, len(train) - 1, min(IMAGES, len(train))).astype(int)
        self._images = self._preprocess.apply(train[used])
        self._others = self._preprocess.apply(evenly(np.delete(train, used, axis=0), IMAGES))
        self._real, self._right = self._logits(self._graph), self._correct(self._graph)
        shares = [f"{100 * part.mean():.1f}" for part in self._right]
        share, low, high = accuracy_interval(np.concatenate(self._right))
        self._line(
            "-", "float", "-", shares, f"{100 * share:.1f} [{100 * low:.1f}, {100 * high:.1f}]", "-", "-", "-"
        )

    def _line(self, *cells: str | list[str]) -> None:
        flat = [text for cell in cells for text in ([cell] if isinstance(cell, str) else cell)]
        print(f"| {self._name} | {' | '.join(flat)} |", flush=True)

    def _logits(self, graph: gs.Graph) -> np.ndarray:
        runner = Evaluator.of(lambda batch: to_model(graph, batch))
        (found,) = runner.run(self._others.__getitem__, len(self._others), [graph.outputs[-1].name])
        return np.asarray(found)

    def _correct(self, graph: gs.Graph) -> list[np.ndarray]:
        splits = (self._data.val, self._data.test)
        return [answers(graph, split, self._preprocess).correct[-1] for split in splits]

    def compare(self, target: str, calibration: str) -> None:
        """Print a line for channels as they are, and one for equalized ones where that is taken."""
        assigned = copy_graph(self._graph)
        assign_precisions(assigned, load_target(target))
        self._measure(copy_graph(assigned), target, calibration, "as they are")
        done = equalize(assigned, self._images, calibration)
        if done is not None and not done.taken:
            print(f"<!-- {self._name} on {target}, {calibration}: {done.note} -->")
        elif done is not None:
            bound = f", {done.at_bound} at a bound" if done.at_bound else ""
            self._measure(assigned, target, calibration, f"equalized{bound}")

    def _measure(self, graph: gs.Graph, target: str, calibration: str, channels: str) -> None:
        calibrate(graph, self._images, calibration)
        parse_pipeline("quantize,fold-qdq")(graph)
        found, right = self._logits(graph), self._correct(graph)
        both, real = np.concatenate(right), np.concatenate(self._right)
        share, low, high = accuracy_interval(both)
        drop = paired_drop(real, both)
        self._line(
            target, calibration, channels, [f"{100 * part.mean():.1f}" for part in right],
            f"{100 * share:.1f} [{100 * low:.1f}, {100 * high:.1f}]",
            f"{drop.points:+.1f} [{drop.lo95:+.1f}, {drop.hi95:+.1f}]",
            f"{disturbance([self._real], [found]).sqnr_db:.1f}",
            f"{100 * (found.argmax(axis=1) == self._real.argmax(axis=1)).mean():.1f} %",
        )  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--data", required=True)
    parser.add_argument("--targets", nargs="+", default=["diana", "gap9"])
    parser.add_argument("--calibrations", nargs="+", choices=CALIBRATIONS, default=list(CALIBRATIONS))
    parser.add_argument("--preprocess", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", nargs="+", default=[], metavar="NAME:EPOCHS")
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    made = [trained(name, int(epochs), given) for name, epochs in (text.split(":") for text in given.train)]
    print(HEADER, flush=True)
    for model in (*given.models, *made):
        comparison = Comparison(model, given)
        for target in given.targets:
            for calibration in given.calibrations:
                comparison.compare(target, calibration)


if __name__ == "__main__":
    main()
