"""Data sets are often sorted by class: what is read off some of the images must have seen all classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile.data.dataset import Split
from eecompile.deployment.proof import TIMED_IMAGES, measure
from eecompile.quantization.rounding import GPTQ_IMAGES, RoundingWalk
from eecompile.runtime.early_exit import Decision
from eecompile.runtime.preprocess import Preprocess
from eecompile.runtime.sessions import Float32
from eecompile.training.features import TeacherData, extract
from eecompile.verbs.work.same_answers import IMAGES, Verifier
from passes.exits.chain import keep_exits, set_thresholds
from passes.exits.insert_exits import InsertExits
from passes.model.graph import from_model
from passes.registry import parse_pipeline
from tests.passes.grids import add_grids
from tests.passes.net_builder import NetBuilder

DARK, BRIGHT = 1500, 1500
"""Images of class 0, which come first, and of class 1."""


def network() -> gs.Graph:
    """Return a network that answers 1 where the left half of the image is bright."""
    net = NetBuilder((1, 1, 4, 4))
    same = net.const(np.ones((1, 1, 1, 1)))
    x = net.op("Relu", net.op("Conv", "x", same))
    x = net.op("Relu", net.op("Conv", x, same))
    weights = np.zeros((2, 4, 4))
    weights[1, :, :2], weights[1, :, 2:] = 1, -1
    logits = net.op(
        "Gemm", net.op("Flatten", x), net.const(weights.reshape(2, 16)), net.const([0.5, 0.0]), transB=1
    )
    graph = from_model(net.model(logits))
    InsertExits(at=("relu_0",), head="linear")(graph)
    return graph


def sorted_images() -> Split:
    """Return black images of class 0, then images of class 1 whose left half is bright."""
    x = np.zeros((DARK + BRIGHT, 1, 4, 4), np.float32)
    x[DARK:, :, :, :2] = np.linspace(1, 9, BRIGHT)[:, None, None, None]
    return Split(x, np.repeat([0, 1], [DARK, BRIGHT]))


@pytest.fixture(scope="module")
def extracted() -> TeacherData:
    return extract(network(), sorted_images(), Preprocess("raw", (0.0,), (1.0,)), 1000, 0, lambda _: None)


def test_ranges_of_features_hold_all_classes(extracted: TeacherData) -> None:
    (features,) = extracted.features.values()
    assert features.offset == 0
    assert features.scale * 255 == pytest.approx(9, rel=0.02)
    stored = features.copies[0].reshape(DARK + BRIGHT, -1).max(axis=1) * features.scale
    np.testing.assert_allclose(stored, sorted_images().x.max(axis=(1, 2, 3)), atol=0.2)


def test_mirroring_is_judged_on_all_classes(extracted: TeacherData) -> None:
    assert not extracted.flips, "mirrored, no image of class 1 is recognised"


def test_passes_are_verified_on_all_classes() -> None:
    graph = network()
    images = sorted_images().x
    verifier = Verifier(images, 0)
    assert len(verifier._images if verifier._images is not None else ()) == IMAGES
    step = parse_pipeline("fuse-layers").steps[0]
    verifier.before(step, graph)
    graph.nodes[0].inputs[1].values = np.full((1, 1, 1, 1), 2, np.float32)  # nothing to black images
    verifier.after(step, graph, changed=True, seconds=0.0)
    assert verifier.checks[0].verdict == "differs"


def test_time_is_taken_on_all_classes() -> None:
    graph = network()
    set_thresholds(graph, [0.5])
    images = sorted_images().x
    seen: list[float] = []

    class Watching:
        def __call__(self, image: Float32) -> Decision:
            seen.append(float(image.max()))
            return Decision(np.zeros((1, 2), np.float32), int(image.max() == 0), 0.5)

    static: Any = keep_exits(graph, [])
    watching: Any = Watching()
    timing = measure(static, static, watching, 2, lambda i: images[i : i + 1], len(images))
    assert timing.images == TIMED_IMAGES
    assert np.mean([value == 0 for value in seen]) == pytest.approx(0.5, abs=0.01)
    assert None not in timing.per_exit_ms, "images left at both exits"


@pytest.mark.parametrize("period", [2, 4])
def test_weights_are_rounded_for_all_classes_of_data_that_take_turns(period: int) -> None:
    """Every second or fourth image is bright: a stride over the images would see one kind alone."""
    images = np.zeros((GPTQ_IMAGES * period, 1, 4, 4), np.float32)
    images[period - 1 :: period] = 3
    graph = network()
    add_grids(graph, images[:period])
    walk = RoundingWalk(graph, images)
    columns = walk._columns(graph.nodes[0], images, 1)
    assert 0 < (columns > 0).mean() < 1
