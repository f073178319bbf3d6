"""Train a network with exits by several recipes; tell what each saves against the network as it was given.

    python -m tools.experiments.joint_training MODEL --data D --out FOLDER [--exits N|MOUNTS]
        [--head auto|linear|conv|linear+conv] [--train joint|scratch|frozen] [--seeds 0 1] [--threads 1]
        [--max-drops 1 2] name:option=value,option=value …

Each recipe is a name and what differs from the default of its trainer (`base:` is the default itself).
Static is MODEL as it is, in float; from scratch it is the same backbone trained alone with the same recipe.
Thresholds and exits are chosen on val for fewest MACs, the plain estimate of the drop (and its mean over
neighbouring thresholds) within each allowed drop, and seen on test; once as exits answer by themselves, once
with answers recycled (each exit takes over some of the one before it, as `run` does it). An interrupted run
goes on where it was; a network that is there is not trained again. Beside each lie the logits of all exits.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import torch

from eecompile.data.dataset import Dataset
from eecompile.data.preprocess import preprocesses
from eecompile.data.sources import load_data
from eecompile.exits.answers import Answers, answers
from eecompile.exits.recycling import carried_on
from eecompile.exits.thresholds import Choice, Limit, choose_within
from eecompile.runtime.preprocess import Preprocess
from eecompile.training.checkpoint import Checkpoints
from eecompile.training.contract import Course, TrainingImages
from eecompile.training.fresh_weights import draw_network
from eecompile.training.frozen_heads import train_heads
from eecompile.training.joint import train_jointly
from eecompile.training.recipe import FRESH, FROZEN, JOINT, SCRATCH, TRAINERS, JointRecipe, Recipe
from passes.exits.chain import ancestors, keep_exits
from passes.exits.insert_exits import InsertExits, add_rival_heads
from passes.files import write_atomic
from passes.heads.designs import AUTO, parse_head
from passes.macs import node_macs
from passes.model.graph import load
from passes.model.writing import save
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of

Row = dict[str, Any]


def recipe_of(text: str, trainer: str) -> tuple[str, Recipe | JointRecipe]:
    """Read ``name:option=value,…``; values have the type of the default."""
    name, _, rest = text.partition(":")
    base: Recipe | JointRecipe = Recipe() if trainer == FROZEN else JointRecipe()
    base = FRESH if trainer == SCRATCH else base
    known = {item.name: getattr(base, item.name) for item in fields(base)}
    changed: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        if key not in known:
            raise SystemExit(f"{key} is no option of {trainer}: {', '.join(known)}")
        kind = type(known[key])
        changed[key] = value == "True" if kind is bool else int(value) if known[key] is None else kind(value)
    return name, replace(base, **changed)


def network(model: Path, exits: str, head: str) -> gs.Graph:
    """Return the network with untrained exits."""
    graph = load(model)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    first, *others = head.split("+")
    InsertExits(tuple(exits.split(",")), first)(graph)
    if others:
        add_rival_heads(graph, [parse_head(kind) for kind in (first, *others)])
    return graph


def paths_macs(graph: gs.Graph) -> list[int]:
    """Return the MACs until each exit, the heads before it counted."""
    outputs = {t.name: t for t in graph.outputs}
    order = [outputs[e.output] for e in state_of(graph).exits]
    names = [ancestors(order[: k + 1]) for k in range(len(order))]
    return [sum(node_macs(node) for node in graph.nodes if node.name in needed) for needed in names]


def best(graph: gs.Graph, val: Answers, test: Answers, allowed: float) -> Row:
    """Return the exits and thresholds of fewest MACs on val, and what they give on test."""
    exits = state_of(graph).exits[:-1]
    static = paths_macs(keep_exits(graph, []))[-1]
    found: list[tuple[float, tuple[int, ...], list[int], Choice]] = []
    for size in range(len(exits) + 1):
        for kept in itertools.combinations(range(len(exits)), size):
            if len({exits[k].mount for k in kept}) < size:
                continue
            macs = paths_macs(keep_exits(graph, [exits[k].name for k in kept]))
            choice = choose_within(val.select(kept).observed(), macs, Limit(allowed, optimistic=True), ())
            if choice is not None:
                found.append((choice.cost, kept, macs, choice))
    if not found:
        return {"allowed": allowed, "exits": [], "none": True}
    _, kept, macs, choice = min(found, key=lambda item: item[:2])
    row: Row = {"allowed": allowed, "exits": [f"{exits[k].head_name}@{exits[k].mount}" for k in kept]}
    for name, seen in (("val", val.select(kept)), ("test", test.select(kept))):
        where, right = seen.leaving(choice.thresholds)
        spent = np.array(macs)[where] / static
        row[name] = {
            "saved": float(1 - spent.mean()),
            "squares": float((spent**2).mean()),
            "drop": 100 * float(seen.static_correct.mean() - right.mean()),
            "ratios": (np.bincount(where, minlength=len(macs)) / len(where)).tolist(),
        }
    return row


def trained(
    graph: gs.Graph, images: TrainingImages, recipe: Recipe | JointRecipe, course: Course, trainer: str
) -> Row:
    """Train in place; return what is told of it."""
    ours = [e.name for e in state_of(graph).exits[:-1]]
    if isinstance(recipe, Recipe):
        return train_heads(graph, images, recipe, course, ours).to_json()
    return train_jointly(graph, images, recipe, course, ours, scratch=trainer == SCRATCH).to_json()


def one(options: argparse.Namespace, data: Dataset, preprocess: Preprocess, text: str, seed: int) -> Row:
    """Train by one recipe, and measure; a result that is there is read."""
    name, recipe = recipe_of(text, options.train)
    path = options.out / f"{options.train}-{name}-{seed}.json"
    if path.exists():
        return chosen(path, data, options.max_drops)
    graph = network(options.model, options.exits, options.head)
    if options.train == SCRATCH:
        draw_network(graph, seed)  # files may come without weights
    images = TrainingImages(data.train, data.val, preprocess)

    def course(part: str) -> Course:
        checkpoints = Checkpoints(options.out / f"{path.stem}.{part}", {}, resume=True)
        return Course(seed, lambda line: print(f"{path.stem} {part}: {line}", flush=True), checkpoints)

    static = keep_exits(graph, [])
    start = time.perf_counter()
    courses = [course("exits")]
    if options.train == SCRATCH:
        courses.append(course("static"))
        trained(static, images, recipe, courses[-1], options.train)
    told = trained(graph, images, recipe, courses[0], options.train)
    seconds = time.perf_counter() - start
    base = {k: answers(static, data.split(k), preprocess).logits[-1].argmax(axis=1) for k in ("val", "test")}
    val, test = (answers(graph, data.split(k), preprocess) for k in ("val", "test"))
    row: Row = {
        "name": name,
        "seed": seed,
        "trainer": options.train,
        "seconds": seconds,
        "threads": torch.get_num_threads(),
        "machine": f"{platform.processor() or platform.machine()}, torch {torch.__version__}",
        "static": {k: float((told == data.split(k).y).mean()) for k, told in base.items()},
        "accuracy": {k: seen.correct.mean(axis=1).tolist() for k, seen in (("val", val), ("test", test))},
        "exits": [f"{e.head_name}@{e.mount}" for e in state_of(graph).exits[:-1]],
        "training": told,
    }
    save(copy_graph(graph), path.with_suffix(".onnx"), "N")
    if options.train == SCRATCH:
        save(copy_graph(static), path.with_suffix(".static.onnx"), "N")
    arrays: dict[str, Any] = {
        f"{k}_{n}": z for k, seen in (("val", val), ("test", test)) for n, z in enumerate(seen.logits)
    }
    arrays |= {f"static_{k}": told for k, told in base.items()}
    np.savez(path.with_suffix(".npz"), **arrays)
    write_atomic(path, json.dumps(row, indent=1).encode())
    for done in courses:
        done.checkpoints.clear()
    return chosen(path, data, options.max_drops)


def chosen(path: Path, data: Dataset, allowed: Sequence[float]) -> Row:
    """Return what is known of a training, with the exits and thresholds that are best for each drop."""
    row: Row = json.loads(path.read_text())
    graph, logits = load(path.with_suffix(".onnx")), np.load(path.with_suffix(".npz"))
    exits = state_of(graph).exits
    val, test = (
        Answers(
            tuple(logits[f"{k}_{number}"] for number in range(len(exits))),
            data.split(k).y,
            tuple(item.confidence for item in exits[:-1]),
            static=logits[f"static_{k}"],
        )
        for k in ("val", "test")
    )
    carried = carried_on(val.logits, val.labels, [k for k, item in enumerate(exits) if item.reads])
    recycled = replace(val, carried=carried), replace(test, carried=carried)
    for name, seen in (("best", (val, test)), ("recycled", recycled)):
        row[name] = [best(graph, *seen, drop) for drop in allowed]
    return row


def table(rows: Sequence[Row], allowed: Sequence[float]) -> str:
    """Return the results as a table in Markdown."""
    heads = [
        f"{how}≤ {a:g} on val: MACs saved, drop, E[MAC²] (test)"
        for how in ("", "recycled, ")
        for a in allowed
    ]
    lines = ["| recipe | seed | static, final (test) | " + " | ".join(heads) + " | seconds |"]
    lines.append("|---" * (4 + len(heads)) + "|")
    for row in rows:
        cells = []
        for found in (*row["best"], *row["recycled"]):
            seen, count = found.get("test"), len(found["exits"])
            cell = "none"
            if seen is not None:
                saved, drop, squares = 100 * seen["saved"], seen["drop"], seen["squares"]
                cell = f"{saved:.1f} %, {drop:+.1f}, {squares:.3f} ({count} exits)"
            cells.append(cell)
        final = f"{100 * row['static']['test']:.1f}, {100 * row['accuracy']['test'][-1]:.1f}"
        name = f"{row['trainer']} {row['name']}"
        lines.append(f"| {name} | {row['seed']} | {final} | {' | '.join(cells)} | {row['seconds']:.0f} |")
    return "\n".join(lines)


def arguments(description: str, exits: str, head: str, trainers: Sequence[str]) -> argparse.ArgumentParser:
    """Return what :func:`one` and :func:`opened` have to be told, with defaults of an experiment's own."""
    parser = argparse.ArgumentParser(description=description.split("\n", maxsplit=1)[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--preprocess", default="raw")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--exits", default=exits)
    parser.add_argument("--head", default=head)
    parser.add_argument("--train", choices=trainers, default=JOINT)
    parser.add_argument("--threads", type=int)
    return parser


def opened(options: argparse.Namespace) -> tuple[Dataset, Preprocess]:
    """Set up folder and threads; return the images, and how they become the input of the network."""
    if options.threads:
        torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    data = load_data(options.data)
    shape = tuple(int(d) for d in load(options.model).inputs[0].shape)
    return data, preprocesses(options.preprocess, data.val.x, shape)[0]


def main() -> None:
    """Run the experiment and print the table."""
    parser = arguments(__doc__ or "", "2", AUTO, TRAINERS)
    parser.add_argument("recipes", nargs="+", metavar="name:option=value,…")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--max-drops", type=float, nargs="+", default=[1.0, 2.0])
    options = parser.parse_args()
    data, preprocess = opened(options)
    rows = [one(options, data, preprocess, text, seed) for text in options.recipes for seed in options.seeds]
    print(f"{len(data.train):,} train, {len(data.val):,} val, {len(data.test):,} test images of {data.name}")
    print(f"{rows[0]['machine']}, {rows[0]['threads']} threads")
    print(table(rows, options.max_drops))


if __name__ == "__main__":
    main()
