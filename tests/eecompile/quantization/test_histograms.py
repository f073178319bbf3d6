"""Ranges and counts of a network's tensors are those of numpy over all images at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eecompile.quantization.histograms import Bins, Tapped, histogram, look
from eecompile.runtime.sessions import Evaluator, session
from passes.errors import InputError
from passes.model.graph import from_model
from passes.model.writing import to_model
from tests.passes.net_builder import NetBuilder

Array = NDArray[Any]
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "values",
    [
        RNG.normal(size=(3, 70_001)),
        RNG.uniform(-3e38, 3e38, 1000),
        RNG.uniform(0, 4e-38, 1000),
        np.arange(256) / 255,
        np.nextafter(np.float32(1), np.float32(2)) * RNG.integers(0, 2, 50),
    ],
    ids=["normal", "all floats", "next to none", "pixels", "two values"],
)
def test_counts_are_those_of_numpy(values: Array) -> None:
    values = values.astype(np.float32)
    bins = (2048, (float(values.min()), float(values.max())))
    expected, _ = np.histogram(values.astype(np.float64), *bins)
    found = histogram(values, bins)
    assert found.sum() == values.size
    assert np.abs(found - expected).sum() <= 2e-6 * values.size, "but for values on an edge"


def nothing(*_: float) -> None:
    """Ask for no counts."""


def tapped(batch: int, image_bytes: int) -> tuple[Tapped, Array]:
    net = NetBuilder((1, 2, 6, 6))
    relu = net.op("Relu", net.conv("x", 2, 4))
    graph = from_model(net.model(net.op("Flatten", net.op("GlobalAveragePool", relu))))
    graph.outputs = [graph.tensors()[relu]]
    runner = session(to_model(graph, "N" if batch > 1 else None))
    x = np.random.default_rng(1).normal(size=(150, 2, 6, 6)).astype(np.float32)
    return Tapped(Evaluator(runner, batch), "x", [relu], {"x"}, image_bytes), x


@pytest.mark.parametrize(("batch", "image_bytes"), [(128, 600), (128, 2**25), (1, 600)])
def test_pieces_make_no_difference(batch: int, image_bytes: int) -> None:
    network, x = tapped(batch, image_bytes)
    name = network.names[0]
    runs: list[int] = []
    whole = network.evaluator.session.run

    def bins(low: float, high: float) -> Bins:
        return 64, (low, high)

    class Counted:
        """Tells how many images each run had."""

        def run(self, names: list[str], given: dict[str, Array]) -> list[Array]:
            runs.append(len(next(iter(given.values()))))
            return list(whole(names, given))

    counting: Any = Counted()
    seen = look(Tapped(Evaluator(counting, batch), "x", [name], {"x"}, image_bytes), {"x", name}, x, bins)
    assert sum(runs) == 2 * len(x) and max(runs) == (64 if (batch, image_bytes) == (128, 600) else 1)
    one_by_one = [whole([name], {"x": x[k : k + 1]})[0] for k in range(len(x))]
    for tensor, values in (("x", np.abs(x)), (name, np.concatenate(one_by_one))):
        found = seen[tensor]
        assert (found.low, found.high) == pytest.approx((values.min(), values.max()), rel=1e-5)
        counts, edges = np.histogram(values.astype(np.float64), 64, (found.low, found.high))
        assert np.abs(found.counts - counts).sum() <= 4 and np.array_equal(found.edges, edges)


def test_nothing_is_counted_where_ranges_are_all_that_is_asked_for() -> None:
    network, x = tapped(128, 600)
    seen = look(network, network.names, x, nothing)
    assert set(seen) == set(network.names), "the input was not asked for"
    assert not seen[network.names[0]].counts.size and seen[network.names[0]].high > 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    network, x = tapped(128, 600)
    x[140, 1, 2, 3] = value
    with pytest.raises(InputError, match="'x' becomes NaN or infinite on training images"):
        look(network, {"x"}, x, nothing)
