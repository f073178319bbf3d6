"""Several images at once: each has its layers, and they share weights where these lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from eecompile.run.prepare import cost_of
from passes.model.graph import load
from targets.contract.registry import load_target
from targets.network.batch import unrolled
from targets.network.workload import build_workload
from targets.objective import LATENCY
from targets.schedule.check.checker import problems
from targets.schedule.machine import OUTER
from targets.schedule.network import Network
from targets.schedule.plan import finished, simulate
from targets.schedule.room import demands
from tests.eecompile.small_models import write_skip_net
from tests.targets.schedule.hand_networks import (
    IMAGE_BITS,
    WEIGHT_BITS,
    TableCosts,
    bus_machine,
    conv,
    network,
    one_by_one,
)


def test_an_image_has_layers_of_its_own_and_the_weights_of_all(tmp_path: Path) -> None:
    one = build_workload(load(write_skip_net(tmp_path / "net.onnx")))
    assert unrolled(one, 1) is one
    found = unrolled(one, 3)
    assert len(found.layers) == 3 * len(one.layers) and len(found.outputs) == 3 * len(one.outputs)
    assert [path.macs for path in found.exits] == [3 * path.macs for path in one.exits]
    for index, layer in enumerate(one.layers):
        for number in range(3):
            copy = found.layers[3 * index + number]
            assert copy.weights_of == layer.name and copy.dims == layer.dims
            assert copy.producers == tuple(3 * p + number for p in layer.producers)
            for mine, whole in ((copy.inputs, layer.inputs), (copy.outputs, layer.outputs)):
                assert [t.name for t in mine] == [f"{t.name}[{number}]" for t in whole]
    made = {t.name for layer in found.layers for t in layer.outputs}
    assert len(made) == 3 * len({t.name for layer in one.layers for t in layer.outputs})


def two_images(size_bits: int | None = None, outer_bits: int | None = None) -> Network:
    """Return two convolutions in a row for two images."""
    layers = [
        replace(conv(f"{name}[{n}]", f"{source}[{n}]"), weights_of=name)
        for name, source in (("one", "x"), ("two", "one.out"))
        for n in range(2)
    ]
    layers = [
        replace(layer, outputs=(replace(layer.outputs[0], name=f"{layer.weights_of}.out[{n % 2}]"),))
        for n, layer in enumerate(layers)
    ]
    costs = TableCosts({layer.name: 100 for layer in layers})
    outputs = ["two.out[0]", "two.out[1]"]
    return network(layers, costs, bus_machine("ab", size_bits, outer_bits), outputs=outputs)


@pytest.mark.parametrize(("cores", "fetched"), [("aaaa", 2), ("abab", 4), ("aabb", 2)])
def test_weights_are_fetched_once_where_they_are_read(cores: str, fetched: int) -> None:
    made = two_images()
    state = simulate(made, one_by_one(made, cores))
    moves = [m for m in state.moves if m.purpose == "weights"]
    assert len(moves) == fetched
    assert sum(move.source == OUTER for move in moves) == 2, "a core takes them from the other one's store"
    assert problems(made, finished(state)) == []


def test_weights_take_their_room_once() -> None:
    outer = 4 * IMAGE_BITS + 2 * WEIGHT_BITS  # two images, two answers, and the weights of two layers
    made = two_images(outer_bits=outer)
    assert problems(made, finished(simulate(made, one_by_one(made, "aaaa")))) == []
    assert {demand.weight_bits for demand in demands(made)} == {2 * WEIGHT_BITS}


def test_weights_go_when_their_last_reader_is_through() -> None:
    """Beside two images and a result there is room for weights of one layer only."""
    made = two_images(size_bits=3 * IMAGE_BITS + WEIGHT_BITS)
    state = simulate(made, one_by_one(made, "aaaa"))
    assert problems(made, finished(state)) == []
    stays = [stay for stay in state.stays if stay.tensor == "one.weights" and stay.store != OUTER]
    ends = [run.end for run in state.runs if run.name.startswith("one[1]")]
    assert stays and all(stay.end is not None and stay.end >= ends[0] for stay in stays)


@pytest.mark.parametrize("name", ["diana", "gap9", "edge_tpu_quad", "max78000"])
def test_schedules_of_batches_are_valid_on_each_target(name: str, tmp_path: Path) -> None:
    graph, target = load(write_skip_net(tmp_path / "net.onnx")), load_target(name)
    one = cost_of(graph, target, LATENCY)
    many = cost_of(graph, target, LATENCY, images=4)
    assert problems(many.planned.network, many.planned.schedule) == []
    assert one.total.latency_cycles <= many.total.latency_cycles <= 4 * one.total.latency_cycles
    assert many.total.macs == 4 * one.total.macs
    if name == "edge_tpu_quad":
        assert many.total.latency_cycles < 3.5 * one.total.latency_cycles, "images go through four cores"
