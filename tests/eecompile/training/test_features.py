"""What heads are trained on: features as onnxruntime computes them, of shifted and mirrored images."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest
from numpy.typing import NDArray

from eecompile.data.dataset import Split
from eecompile.runtime.preprocess import AxisOrder, Preprocess
from eecompile.runtime.sessions import session
from eecompile.training import features
from eecompile.training.features import Features, TeacherData, extract
from passes.exits.chain import head_nodes
from passes.exits.insert_exits import InsertExits
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import Exit, copy_graph, state_of
from tests.passes.net_builder import NetBuilder

Array = NDArray[Any]
SIZE = 8  # so small that a convolutional head pools nothing first
CHEAP = 1  # so few MACs that work bounds nothing
RAW = Preprocess("raw", (0.0,), (1.0,))


def network(last: Array, head: str = "conv") -> gs.Graph:
    """Return a network whose mount is its image as it is; ``last`` [classes, pixels] are its last weights."""
    net = NetBuilder((1, 1, SIZE, SIZE))
    kernel = np.ones((1, 1, 1, 1))
    seen = net.op("Relu", net.op("Conv", "x", net.const(kernel), net.const(np.zeros(1))))
    deeper = net.op("Relu", net.op("Conv", seen, net.const(kernel), net.const(np.zeros(1))))
    graph = from_model(net.model(net.op("Gemm", net.op("Flatten", deeper), net.const(last), transB=1)))
    parse_pipeline("canonicalize")(graph)
    InsertExits((seen,), head)(graph)
    return graph


def anyhow() -> Array:
    """Return weights of two classes that see no difference between an image and its mirror image."""
    weights = np.random.default_rng(0).normal(size=(2, SIZE, SIZE))
    return (weights + weights[:, :, ::-1]).reshape(2, -1)


def left_or_right() -> Array:
    """Return weights of two classes: the left half is brighter, or the right half."""
    left = np.where(np.arange(SIZE) < SIZE // 2, 1.0, -1.0)
    return np.stack([np.tile(left, SIZE), np.tile(-left, SIZE)])


def images(count: int = 40) -> Array:
    """Return images [N, 1, H, W] with all bytes, half of them brighter on the left, half on the right."""
    x = np.random.default_rng(1).integers(0, 156, (count, 1, SIZE, SIZE))
    x[: count // 2, ..., : SIZE // 2] += 100
    x[count // 2 :, ..., SIZE // 2 :] += 100
    x[0, 0, 0, :2] = 0, 255
    return x.astype(np.uint8)


def teach(graph: gs.Graph, x: Array, macs: int = CHEAP, seed: int = 0, how: Preprocess = RAW) -> TeacherData:
    y = (np.arange(len(x)) >= len(x) // 2).astype(np.int64)
    return extract(graph, Split(x, y), how, macs, seed, lambda _: None)


def only(data: TeacherData) -> Features:
    (found,) = data.features.values()
    return found


def real(found: Features) -> list[Array]:
    return [copy * np.float64(found.scale) + found.offset for copy in found.copies]


def test_features_are_those_of_the_mount_to_half_a_step() -> None:
    rng = np.random.default_rng(2)
    net = NetBuilder((1, 3, SIZE, SIZE))
    conv = net.conv("x", 3, 6)
    pooled = net.op("GlobalAveragePool", net.op("Relu", net.conv(conv, 6, 8)))
    graph = from_model(net.model(net.op("Gemm", net.op("Flatten", pooled), net.normal(4, 8), transB=1)))
    parse_pipeline("canonicalize")(graph)
    InsertExits((conv,), "conv")(graph)
    x = rng.normal(size=(100, 3, SIZE, SIZE)).astype(np.float32)
    data = teach(graph, x)
    tapped = copy_graph(graph)
    mount = state_of(graph).exits[0].mount
    tapped.outputs = [tapped.tensors()[mount], tapped.tensors()[state_of(graph).exits[-1].output]]
    state_of(tapped).exits = []
    expected, logits = session(to_model(tapped, "N")).run(None, {"x": x})
    assert expected.min() < 0 < expected.max()
    found = only(data)
    assert found.scale == pytest.approx((expected.max() - expected.min()) / 255)
    assert np.abs(real(found)[0] - expected).max() <= 0.501 * found.scale
    assert np.allclose(data.logits[0], logits, atol=1e-5)
    assert len(data.labels) == len(x)


def moved(image: Array) -> dict[tuple[int, int, bool], bytes]:
    """Return all copies of an image [H, W] there may be: by rows and columns moved, and whether mirrored."""
    reach = SIZE // 8
    found = {}
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            y, x = (np.clip(np.arange(SIZE) + d, 0, SIZE - 1) for d in (dy, dx))
            shifted = image[y][:, x]
            found[dy, dx, False] = shifted.tobytes()
            found[dy, dx, True] = shifted[:, ::-1].tobytes()
    return found


@pytest.mark.parametrize("order", ["same", "NHWC->NCHW"])
@pytest.mark.parametrize(("weights", "flips"), [(anyhow(), True), (left_or_right(), False)])
def test_copies_are_shifted_by_an_eighth_at_most_and_mirrored_where_the_network_minds_not(
    weights: Array, flips: bool, order: AxisOrder
) -> None:
    graph, x = network(weights), images()
    stored = x if order == "same" else x.transpose(0, 2, 3, 1)
    data = teach(graph, stored, how=Preprocess("raw", (0.0,), (1.0,), order))
    found = only(data)
    assert data.flips == flips
    assert (found.scale, found.offset) == (1, 0)
    assert np.array_equal(found.copies[0], x), "the first is plain"
    seen = set()
    for copy in found.copies[1:]:
        assert copy.shape == x.shape
        for one, original in zip(copy, x, strict=True):
            ways = {pixels: how for how, pixels in moved(original[0]).items()}
            assert one.tobytes() in ways
            seen.add(ways[one.tobytes()])
    assert {(dy, dx) for dy, dx, _ in seen} == {(dy, dx) for dy in range(-1, 2) for dx in range(-1, 2)}
    assert {mirrored for *_, mirrored in seen} == ({False, True} if flips else {False})


def test_the_answer_of_the_network_is_that_to_the_copy_it_stands_beside() -> None:
    weights = left_or_right()
    data = teach(network(weights), images())
    assert len(data.logits) == len(only(data).copies)
    for copy, logits in zip(only(data).copies, data.logits, strict=True):
        assert np.allclose(logits, copy.reshape(len(copy), -1) @ weights.T)


def test_of_a_head_that_pools_first_what_it_pooled_is_stored() -> None:
    graph, x = network(left_or_right(), head="linear"), images()
    pool = head_nodes(graph, state_of(graph).exits[0])[0]
    assert pool.op == "MaxPool"
    height, width = pool.attrs["kernel_shape"]
    assert pool.attrs["strides"] == [height, width] and height > 1
    pooled = x.reshape(len(x), 1, SIZE // height, height, SIZE // width, width).max(axis=(3, 5))
    found = only(teach(graph, x))
    assert np.abs(real(found)[0] - pooled).max() <= 0.501 * found.scale


@pytest.mark.parametrize(("share", "copies"), [(1e-6, features.MAX_COPIES), (0.3, 3), (0.6, 1), (50, 1)])
def test_copies_are_bounded_by_work(share: float, copies: int) -> None:
    """``share``: what the network on all images is of the work that is allowed."""
    x = images()
    macs = max(1, int(features.WORK_MACS * share / len(x)))
    data = teach(network(left_or_right()), x, macs)
    assert len(only(data).copies) == len(data.logits) == copies


@pytest.mark.parametrize(("room", "copies"), [(0.5, 1), (2.5, 2), (100, features.MAX_COPIES)])
def test_copies_are_bounded_by_memory(room: float, copies: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = images()
    monkeypatch.setattr(features, "_MAX_BYTES", int(room * x.size))  # a feature is a byte
    assert len(only(teach(network(left_or_right()), x)).copies) == copies


def test_images_that_are_watched_are_stored_alike_and_plain() -> None:
    x, graph = images(), network(left_or_right())
    y = np.zeros(len(x), np.int64)
    data = extract(graph, Split(x, y), RAW, CHEAP, 0, lambda _: None, x[:7])
    found = only(data)
    assert found.watched is not None and data.watched is not None
    assert np.array_equal(found.watched, x[:7]) and np.array_equal(found.real(found.watched), x[:7])
    assert np.allclose(data.watched, data.logits[0][:7])
    assert only(teach(graph, x)).watched is None


def test_what_an_exit_reads_of_another_is_not_stored() -> None:
    graph = network(left_or_right())
    read, last = graph.tensors()["exit_0"], graph.outputs[-1]
    mount = graph.tensors()[state_of(graph).exits[0].mount]
    flat, sums = (
        gs.Variable(f"exit_1/{name}", np.float32, [1, size]) for name, size in (("f", 64), ("s", 2))
    )
    logits = gs.Variable("exit_1", np.float32, [1, 2])
    weights = gs.Constant("exit_1/w", np.ones((2, 64), np.float32))
    graph.nodes += [
        gs.Node("Flatten", "exit_1/flatten", {}, [mount], [flat]),
        gs.Node("Gemm", "exit_1/gemm", {"transB": 1}, [flat, weights], [sums]),
        gs.Node("Add", "exit_1/add", {}, [sums, read], [logits]),
    ]
    graph.outputs = [read, logits, last]
    first, final = state_of(graph).exits
    state_of(graph).exits = [first, Exit("exit_1", mount.name, "exit_1"), final]
    assert features.taps_of(graph) == [mount.name]


def test_signals_are_not_augmented() -> None:
    net = NetBuilder((1, 2, 12))
    first = net.op("Relu", net.op("Conv", "x", net.normal(4, 2, 3), pads=[1, 1]))
    second = net.op("Relu", net.op("Conv", first, net.normal(4, 4, 3), pads=[1, 1]))
    graph = from_model(net.model(net.op("Gemm", net.op("Flatten", second), net.normal(3, 48), transB=1)))
    parse_pipeline("canonicalize")(graph)
    InsertExits((first,), "linear")(graph)
    data = teach(graph, np.random.default_rng(3).normal(size=(30, 2, 12)).astype(np.float32))
    assert len(only(data).copies) == len(data.logits) == 1
    assert not data.flips


def test_a_mount_that_never_changes_has_a_step() -> None:
    found = only(teach(network(left_or_right()), np.full((8, 1, SIZE, SIZE), 7, np.uint8)))
    assert np.allclose(real(found)[0], 7)


def test_the_seed_decides_all() -> None:
    def stored(seed: int) -> list[bytes]:
        data = teach(network(anyhow()), images(), seed=seed)
        arrays: list[NDArray[Any]] = [*only(data).copies, *data.logits]
        return [array.tobytes() for array in arrays]

    assert stored(0) == stored(0)
    assert stored(0) != stored(1)
