"""A run directory with three exits whose answers can be worked out by hand, as `run` writes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eecompile.deployment.model_files import Forms, write_models
from eecompile.runtime.preprocess import Preprocess
from passes.confidence import MAX_SOFTMAX, ConfidenceRule
from passes.exits.chain import keep_exits, set_thresholds
from passes.model.graph import from_model
from passes.state import Exit, state_of
from tests.passes.net_builder import NetBuilder

Float32 = NDArray[np.float32]
NAMES = ("exit_0", "exit_1", "final")
SHAPE = (2, 3, 3)
RULE = Preprocess("unit", (0.0,), (1.0,), shape=SHAPE, white=1.0)
THRESHOLDS = (0.8, 0.8)
SEEN = (500, 300, 200)
CLASS_NAMES = ("cat", "Hündin")


def write_small_run(
    folder: Path,
    thresholds: Sequence[float | np.float32] = THRESHOLDS,
    rule: ConfidenceRule = MAX_SOFTMAX,
    built_in: bool = False,
    seen: Sequence[int] = SEEN,
) -> tuple[Path, Float32]:
    """Write a run directory, and return it with images of which some leave at each exit; the last holds NaN.

    Exit k sees the mean of channel 0 minus that of channel 1, 4^k times as large, as the first of two logits.

    Args:
        folder: Where to.
        thresholds: Of the two early exits.
        rule: Confidence rule of all exits.
        built_in: The network mixes the images of a batch, so that it only holds one.
        seen: How many images left at each exit at compile time.
    """
    net = NetBuilder((1, *SHAPE))
    tensor, outputs = "x", []
    for number in range(3):
        scale = np.array([1.0 if number == 0 else 4.0], np.float32)
        tensor = net.op("Mul", tensor, net.const(scale))
        if built_in:
            mean = net.op("ReduceMean", tensor, net.const([0], np.int64), keepdims=1)
            tensor = net.op("Add", net.op("Sub", tensor, mean), tensor)
        flat = net.op("Flatten", net.op("GlobalAveragePool", tensor))
        weight = np.array([[1, -1], [0, 0]], np.float32)
        outputs.append(net.op("Gemm", flat, net.const(weight), transB=1))
    graph = from_model(net.model(*outputs))
    names = [t.name for t in graph.outputs]
    state_of(graph).exits = [
        Exit(name, "", output, confidence=rule) for name, output in zip(NAMES, names, strict=True)
    ]
    set_thresholds(graph, [float(t) for t in thresholds])
    folder.mkdir(parents=True)
    forms = Forms(graph, graph, graph, static=keep_exits(graph, []), given=keep_exits(graph, []))
    write_models(folder, forms, [np.float32(t) for t in thresholds], RULE, seen, CLASS_NAMES)
    write_records(folder, NAMES, [float(t) for t in thresholds], seen, RULE)
    return folder, images_of(40)


def write_records(
    folder: Path, names: Sequence[str], thresholds: Sequence[float], seen: Sequence[int], rule: Preprocess
) -> None:
    """Write of ``summary.json`` and ``run.json`` what a session reads."""
    exits = [
        {"name": name, "threshold": threshold, "ratio": count / sum(seen)}
        for name, threshold, count in zip(names, [*map(float, thresholds), None], seen, strict=True)
    ]
    summary = {"exits": exits, "dataset": {"name": "made", "train": 1, "val": 1, "test": sum(seen)}}
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "run.json").write_text(json.dumps({"preprocess": rule.to_json()}))


def images_of(count: int) -> Float32:
    """Return images of which some leave at each exit, and a last one of NaN alone."""
    rng = np.random.default_rng(5)
    images = rng.uniform(0, 0.2, (count, *SHAPE)).astype(np.float32)
    images[:, 0] += np.geomspace(0.02, 3, count, dtype=np.float32)[rng.permutation(count), None, None]
    images[-1] = np.nan
    return images
