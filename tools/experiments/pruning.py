"""Prune networks to a share of their latency on the schedule of targets, and by magnitude to the same MACs.

    python -m tools.experiments.pruning MODEL --data D --out FOLDER [--targets diana gap9 edge_tpu_quad]
        [--goal cycles=-30%] [--samples N] [--rounds N] [--seed 0] [--threads 1] [--exact]

Pruned to the goal by what `eecompile.pruning` does: ranked by the loss on training images, planned on the
schedule, fine-tuned with the answers of MODEL. Beside it, pruned by magnitude: units of all groups in one
order, by the squares of their weights over the mean of their group, the smallest first, until there are no
more MACs than in the other network; fine-tuned by the same recipe on as many images. Both are scheduled. With
`--exact` plans are looked for by the whole schedule on all targets; else by one of whole layers, and checked.
Accuracies are of the float networks in onnxruntime; nothing is chosen on val or test. A result that is in
FOLDER is read.
"""

from __future__ import annotations

import argparse
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
from eecompile.pruning.prune import prune
from eecompile.pruning.restore import restore_outputs
from eecompile.run.accelerator import open_target
from eecompile.run.prepare import cost_of
from eecompile.runtime.preprocess import Preprocess
from eecompile.training.checkpoint import NOWHERE
from eecompile.training.contract import Course, TrainingImages
from eecompile.training.joint import train_jointly
from eecompile.training.recipe import PRUNED, JointRecipe
from passes.exits.chain import keep_exits
from passes.exits.recognise import classifier_exits
from passes.files import write_atomic
from passes.macs import node_macs
from passes.model.graph import load
from passes.model.writing import save
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
        self.recipe: JointRecipe = replace(PRUNED, samples=options.samples, least_epochs=1)
        self.goal = PruningGoal.parse(options.goal)
        self.val, self.test = self._answers(self.graph)

    def _answers(self, graph: gs.Graph) -> tuple[Answers, Answers]:
        val, test = (answers(graph, s, self.preprocess) for s in (self.data.val, self.data.test))
        return val, test

    def _course(self, name: str) -> Course:
        return Course(self.options.seed, lambda line: print(f"{name}: {line}", flush=True), NOWHERE)

    def rows(self, name: str) -> list[Row]:
        """Return what both ways give on a target."""
        path = self.options.out / f"{self.options.model.stem}-{name}-{self.options.seed}.json"
        if path.exists():
            known: list[Row] = json.loads(path.read_text())
            return known
        target, _ = open_target(name, "", None)

        def cost(graph: gs.Graph) -> CostReport:
            return cost_of(graph, target, LATENCY)

        def quick(graph: gs.Graph) -> CostReport:
            return cost_of(graph, target, LATENCY, wishes=Wishes("layers"))

        start = time.perf_counter()
        needs_no_quick = self.options.exact or _schedules_layers(target)
        found = prune(
            self.graph, self.goal, self.images, self.recipe, self._course(f"{name}, schedule"), cost,
            None if needs_no_quick else quick, self.options.rounds,
        )  # fmt: skip
        rows = [self._row(name, "loss and schedule", found.graph, cost, start)]
        rows[0]["rounds"] = list(found.rounds)
        save(found.graph, path.with_suffix(".onnx"))
        start = time.perf_counter()
        pruned = copy_graph(self.graph)
        channels = find_groups(self.graph)
        gone = by_magnitude(self.graph, channels, macs_of(found.graph))
        remove_channels(pruned, channels, gone)
        restore_outputs(pruned, self.graph, channels, gone, self.data.train, self.preprocess)
        train_jointly(
            pruned, self.images, self.recipe, self._course(f"{name}, magnitude"), [], teacher=self.graph
        )
        rows.append(
            self._row(name, "magnitude, same MACs", pruned, cost, start) | {"channels": _left(channels, gone)}
        )
        write_atomic(path, json.dumps(rows, indent=1).encode())
        return rows

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


def _left(found: Dependencies, gone: set[int]) -> dict[str, int]:
    """Return name of a group -> channels that stay."""
    return {group.name: len(group) - len(gone.intersection(group.units)) for group in found.groups}


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
    parser.add_argument("--samples", type=int, default=PRUNED.samples)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--exact", action="store_true")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    experiment = Experiment(options)
    lines = [HEADER, experiment.given()]
    for target in options.targets:
        lines += [line(row) for row in experiment.rows(target)]
        print(lines[-2], lines[-1], sep="\n", flush=True)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
