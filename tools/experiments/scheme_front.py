"""Print, write and draw which mappings of layers to schemes are best on a target, from usual to all changed.

    python -m tools.experiments.scheme_front MODEL --data D --targets diana gap9 [--objective edp]
        [--points 9] [--schedule rows] [--whole] [--epochs N] [--seed 0] [--out DIR]

Mappings are searched and measured as `eecompile run --placement mixed` does: calibration on 512 training
images, losses and accuracies on val, costs by the scheduler. Test accuracy, with its 95 % interval, is
printed once per point of the front and chooses nothing. With `--epochs` each mapping is trained for its
integers for so many epochs of the training images before it is measured, single changes are not. `--whole`
divides no layer between two cores. ODiMO's mappings by hand are marked: all layers
changed, first and last layer usual, least cost. DIR gets front.csv, front.json and front.svg per target.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_graphsurgeon as gs
import torch

from eecompile.data.dataset import evenly
from eecompile.data.for_network import open_data
from eecompile.exits.answers import answers
from eecompile.exits.statistics import accuracy_interval
from eecompile.quantization.calibration import IMAGES
from eecompile.quantization.mapping.scheme_front import LabelledImages, SchemeFront, SchemeSearch
from eecompile.quantization.mapping.scheme_picture import front_picture
from eecompile.quantization.mapping.scheme_tables import front_json, front_rows
from eecompile.run.accelerator import open_target
from eecompile.run.prepare import prepare
from eecompile.run_files.directory import write_csv, write_json
from eecompile.training.checkpoint import Checkpoints
from eecompile.training.contract import Course, TrainingImages
from eecompile.training.integers.quantized import train_quantized
from eecompile.training.recipe import QUANTIZED
from passes.exits.chain import keep_exits
from targets.objective import Objective, objective_named

HEADER = (
    "| mapping | cycles | energy, uJ | val, % | test, % [95 %] | loss, nats | changed layers |\n"
    "|---|---|---|---|---|---|---|"
)


def searched(
    model: Path,
    data: str,
    target: str,
    objective: Objective,
    points: int | None,
    schedule: str = "",
    epochs: int = 0,
    seed: int = 0,
    divides: bool = True,
) -> tuple[SchemeFront, dict[int, tuple[float, float, float]]]:
    """Return the front of a network, and test accuracy with its interval by position of points."""
    accelerator, _ = open_target(target, "", None)
    graph = keep_exits(prepare(model, accelerator, objective, None, "auto", 1).plain, [])
    dataset, tried = open_data(graph, data, "auto", 0, str(model), False)
    images = tried.preprocess.apply
    recipe = replace(QUANTIZED, epochs=max(1, epochs))
    seen = TrainingImages(dataset.train, dataset.val, tried.preprocess)

    def train(calibrated: gs.Graph, real: gs.Graph) -> object:
        course = Course(seed, lambda _: None, Checkpoints(None, {}))
        return train_quantized(calibrated, real, seen, recipe, course)

    search = SchemeSearch(
        graph,
        accelerator,
        objective,
        images(evenly(dataset.train.x, IMAGES)),
        LabelledImages(images(dataset.val.x), dataset.val.y),
        progress=lambda line: print(line, file=sys.stderr, flush=True),
        schedule=schedule,
        trainer=train if epochs else None,
        divides=divides,
    )
    front = search.run(points)
    test = {
        number: accuracy_interval(
            answers(search.quantized(point.schemes), dataset.test, tried.preprocess).correct[-1]
        )
        for number, point in enumerate(front.points)
        if point in front.front or point.name
    }
    return front, test


def table(front: SchemeFront, test: dict[int, tuple[float, float, float]]) -> str:
    """Return the measured mappings as a table in Markdown; those of the front in bold."""
    lines = [HEADER]
    for number, row in enumerate(rows_of(front, test)):
        value, low, high = (100 * share for share in test.get(number, (float("nan"),) * 3))
        seen = f"{value:.1f} [{low:.1f}, {high:.1f}]" if number in test else ""
        name = row["mapping"] or "searched"
        lines.append(
            f"| {f'**{name}**' if row['front'] else name} | {row['latency_cycles']:,} "
            f"| {row['energy_pj'] / 1e6:.2f} | {100 * row['accuracy_val']:.1f} | {seen} "
            f"| {row['loss_nats']:.3f} | {row['changed']} |"
        )
    return "\n".join(lines)


def rows_of(front: SchemeFront, test: dict[int, tuple[float, float, float]]) -> list[dict[str, Any]]:
    """Return the rows of ``front.csv``."""
    return front_rows(front, front.usual.schemes, {number: found[0] for number, found in test.items()})


def main() -> None:
    """Search on each target."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--targets", nargs="+", default=["diana", "gap9"])
    parser.add_argument("--objective", default="edp")
    parser.add_argument("--points", type=int)
    parser.add_argument("--schedule", default="")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--epochs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    objective = objective_named(given.objective)
    if given.threads:
        torch.set_num_threads(given.threads)
    for target in given.targets:
        begun = time.monotonic()
        front, test = searched(
            given.model, given.data, target, objective, given.points, given.schedule, given.epochs,
            given.seed, not given.whole,
        )  # fmt: skip
        real = 100 * front.float_accuracy[-1]
        title = f"{given.model.name} on {target}, {objective}"
        print(f"\n{title}; in float {real:.1f} % of {front.images} val images")
        print(table(front, test))
        print(f"{time.monotonic() - begun:.0f} s", flush=True)
        if given.out is not None:
            folder = given.out / target
            folder.mkdir(parents=True, exist_ok=True)
            write_csv(folder / "front.csv", rows_of(front, test))
            write_json(folder / "front.json", front_json(front, objective))
            (folder / "front.svg").write_text(
                front_picture(front, objective, f"{given.model.stem} on {target}"), encoding="utf-8"
            )


if __name__ == "__main__":
    main()
