"""Prune networks to a share of their latency on the schedule of targets, in three ways.

    python -m tools.experiments.pruning MODEL --data D --out FOLDER [--targets diana gap9 edge_tpu_quad]
        [--ways branches channels magnitude] [--goal cycles=-30%] [--epochs N] [--seed 0] [--threads 1]
        [--exact]

`branches` is what `--prune` does: whole branches and channels, planned on the schedule and ranked by the loss
on training images. `channels` is the same without branches. `magnitude` takes the smallest channels of all
groups in one order, by the squares of their weights over the mean of their group, until there are no more
MACs than in the first of the other networks. All are fitted by least squares and trained by the same recipe
on as many images, with the answers of MODEL as teacher, and scheduled. With `--exact` plans are looked for by
the whole schedule on all targets; else by one of whole layers, and checked.
Accuracies are of the float networks in onnxruntime; nothing is chosen on val or test. A row that is in FOLDER
is read, a training that was interrupted goes on, a network that two targets have in common is trained once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_graphsurgeon as gs
import torch

from eecompile.data.dataset import Dataset
from eecompile.data.for_network import open_data
from eecompile.exits.answers import Answers, answers
from eecompile.exits.statistics import accuracy_interval, paired_drop
from eecompile.pruning.goal import PruningGoal
from eecompile.pruning.prune import reach_goal, whole_way
from eecompile.pruning.restore import restore_outputs
from eecompile.run.accelerator import open_target
from eecompile.run.prepare import cost_of
from eecompile.runtime.preprocess import Preprocess
from eecompile.training.checkpoint import Checkpoints
from eecompile.training.contract import Course, TrainingImages
from eecompile.training.joint import train_jointly
from eecompile.training.recipe import PRUNED, JointRecipe
from passes.exits.chain import keep_exits
from passes.exits.recognise import classifier_exits
from passes.files import write_atomic
from passes.macs import node_macs
from passes.model.graph import load
from passes.model.writing import save, to_model
from passes.pruning.groups import Dependencies, find_groups
from passes.pruning.prune_channels import magnitudes
from passes.pruning.remove import remove_channels
from passes.registry import parse_pipeline
from passes.state import copy_graph
from targets.contract.target import Target
from targets.evaluation.report import CostReport
from targets.evaluation.scheduling import Wishes
from targets.objective import LATENCY

Row = dict[str, Any]
HEADER = (
    "| target | pruned by | latency | MACs | weights | val | test [95 %] | drop on test [95 %] | seconds |\n"
    "|---|---|---|---|---|---|---|---|---|"
)
BRANCHES, MAGNITUDE = "branches", "magnitude"
WAYS = {
    BRANCHES: "loss and schedule",
    "channels": "the same, channels alone",
    MAGNITUDE: "magnitude, same MACs",
}
LEAST = 8
"""A group keeps one in so many channels, however small they are."""


def macs_of(graph: gs.Graph) -> int:
    """Return the multiply-accumulates of a network."""
    return sum(node_macs(node) for node in graph.nodes)


def weights_of(graph: gs.Graph) -> int:
    """Return how many numbers its constants hold."""
    return sum(t.values.size for t in graph.tensors().values() if isinstance(t, gs.Constant))


def by_magnitude(graph: gs.Graph, found: Dependencies, macs: int) -> set[int]:
    """Return the smallest units, so many that no more MACs than ``macs`` are left without them."""
    sizes = magnitudes(graph, found)
    order: list[tuple[float, str, int]] = []
    for group in found.groups:
        mean = sum(sizes[unit] for unit in group.units) / len(group)
        ranked = sorted(group.units, key=lambda unit: (sizes[unit], unit))
        order += [
            (sizes[unit] / mean, group.name, unit) for unit in ranked[: len(group) - -(-len(group) // LEAST)]
        ]
    order.sort()

    def left(count: int) -> int:
        pruned = copy_graph(graph)
        remove_channels(pruned, found, {unit for _, _, unit in order[:count]})
        return macs_of(pruned)

    low, high = 0, len(order)
    while low < high:  # MACs fall with each unit
        middle = (low + high) // 2
        low, high = (middle + 1, high) if left(middle) > macs else (low, middle)
    return {unit for _, _, unit in order[:low]}


class Experiment:
    """One network, its images, and the rows of the table."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.graph = load(options.model)
        parse_pipeline("canonicalize,fold-batchnorm")(self.graph)
        classifier_exits(self.graph)
        self.graph = keep_exits(self.graph, [])
        found, choice = open_data(self.graph, options.data, "auto", options.seed, str(options.model))
        self.data: Dataset = found
        self.preprocess: Preprocess = choice.preprocess
        self.images = TrainingImages(found.train, found.val, choice.preprocess)
        self.recipe: JointRecipe = replace(PRUNED, epochs=options.epochs)
        self.goal = PruningGoal.parse(options.goal)
        self.val, self.test = self._answers(self.graph)

    def _answers(self, graph: gs.Graph) -> tuple[Answers, Answers]:
        val, test = (answers(graph, s, self.preprocess) for s in (self.data.val, self.data.test))
        return val, test

    def rows(self, name: str) -> list[Row]:
        """Return what all ways give on a target."""
        target, _ = open_target(name, "", None)

        def cost(graph: gs.Graph) -> CostReport:
            return cost_of(graph, target, LATENCY)

        def quick(graph: gs.Graph) -> CostReport:
            return cost_of(graph, target, LATENCY, wishes=Wishes("layers"))

        needs_no_quick = self.options.exact or _schedules_layers(target)
        whole = whole_way(self.graph, self.goal, self.images, cost, None if needs_no_quick else quick)
        rows: list[Row] = []
        for way in self.options.ways:
            stem = self.options.out / f"{self.options.model.stem}-{name}-{way}-{self.options.seed}"
            path = stem.with_name(f"{stem.name}.json")
            if not path.exists():
                start = time.perf_counter()
                told: Row = {}
                if way == MAGNITUDE:
                    graph = self._by_magnitude(rows[0]["all_macs"])
                else:
                    found = reach_goal(whole) if way == BRANCHES else whole.reach(()).found
                    print(f"{name}, {way}: {found.text(whole.most / (1 - self.goal.less))}", flush=True)
                    graph, told = found.graph, {"pruned": found.to_json()}
                trained = self._trained(graph, f"{name}, {way}")
                save(trained, stem.with_name(f"{stem.name}.onnx"))
                row = self._row(name, WAYS[way], trained, cost, start) | told
                write_atomic(path, json.dumps(row, indent=1).encode())
            rows.append(json.loads(path.read_text()))
        return rows

    def _by_magnitude(self, macs: int) -> gs.Graph:
        pruned, channels = copy_graph(self.graph), find_groups(self.graph)
        gone = by_magnitude(self.graph, channels, macs)
        remove_channels(pruned, channels, gone)
        restore_outputs(pruned, self.graph, channels, gone, self.data.train, self.preprocess)
        return pruned

    def _trained(self, graph: gs.Graph, name: str) -> gs.Graph:
        """Return a network trained; one that was trained already, from the same weights, is read."""
        start = hashlib.sha256(to_model(graph).SerializeToString() + repr(self.recipe).encode())
        folder = self.options.out / f"trained-{start.hexdigest()[:12]}-{self.options.seed}"
        done = folder / "network.onnx"
        if not done.exists():
            course = Course(
                self.options.seed,
                lambda line: print(f"{name}: {line}", flush=True),
                Checkpoints(folder / "checkpoints", {}, resume=True),
            )
            log = train_jointly(graph, self.images, self.recipe, course, [], teacher=self.graph)
            write_atomic(folder / "training.json", json.dumps(log.to_json(), indent=1).encode())
            save(graph, done)
        trained = load(done)
        classifier_exits(trained)
        return trained

    def _row(
        self, target: str, way: str, graph: gs.Graph, cost: Callable[[gs.Graph], CostReport], start: float
    ) -> Row:
        seconds = time.perf_counter() - start
        val, test = self._answers(graph)
        right, low, high = accuracy_interval(test.correct[-1])
        drop = paired_drop(self.test.correct[-1], test.correct[-1])
        return {
            "target": target,
            "way": way,
            "latency": cost(graph).total.latency_cycles / cost(self.graph).total.latency_cycles,
            "macs": macs_of(graph) / macs_of(self.graph),
            "all_macs": macs_of(graph),
            "weights": weights_of(graph) / weights_of(self.graph),
            "val": float(val.correct[-1].mean()),
            "test": [right, low, high],
            "drop": [drop.points, drop.lo95, drop.hi95],
            "seconds": seconds,
        }

    def given(self) -> str:
        """Return the line of the network as it was given."""
        right, low, high = accuracy_interval(self.test.correct[-1])
        val = float(self.val.correct[-1].mean())
        return f"| | as given | 1 | 1 | 1 | {100 * val:.1f} | {_interval((right, low, high), 100)} | | |"


def _schedules_layers(target: Target) -> bool:
    return next(iter(target.schedules)) == "layers"


def _interval(found: Sequence[float], scale: float, sign: str = "") -> str:
    value, low, high = (scale * number for number in found)
    return f"{value:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


def line(row: Row) -> str:
    """Return one line of the table."""
    shares = " | ".join(f"{row[key]:.3f}" for key in ("latency", "macs", "weights"))
    test, drop = _interval(row["test"], 100), _interval(row["drop"], 1, "+")
    return (
        f"| {row['target']} | {row['way']} | {shares} | {100 * row['val']:.1f} | {test} | {drop} "
        f"| {row['seconds']:.0f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--targets", nargs="+", default=["diana", "gap9", "edge_tpu_quad"])
    parser.add_argument("--goal", default="cycles=-30%")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--exact", action="store_true")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.ways[0] == MAGNITUDE:
        parser.error("`magnitude` is pruned to the MACs of another way, which has to stand before it")
    options.out.mkdir(parents=True, exist_ok=True)
    experiment = Experiment(options)
    lines = [HEADER, experiment.given()]
    for target in options.targets:
        found = [line(row) for row in experiment.rows(target)]
        print("\n".join(found), flush=True)
        lines += found
    print("\n".join(lines))


if __name__ == "__main__":
    main()
