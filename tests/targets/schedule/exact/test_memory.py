"""Room in stores: a bit too little makes layers take turns, or leaves no schedule at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

pytest.importorskip("ortools", reason="the exact scheduler needs the extra 'solver'")

from targets.schedule.exact.memory import bind_running, bind_stays
from targets.schedule.exact.model import Model
from targets.schedule.exact.problem import problem_of
from targets.schedule.machine import OUTER, Machine, Route
from targets.schedule.network import Network
from targets.schedule.plan import Resident
from targets.schedule.regions import Region
from tests.targets.schedule.exact.models import least_cycles, modelled
from tests.targets.schedule.exact.two_cores import (
    FixedCosts,
    chain,
    elementwise,
    independent,
    network,
    plan,
    two_cores,
    window,
)

# An image, of which one lies in a store for each input and each result.
IMAGE = 512
LYING: Resident = {"l.weights": (("both", Region(0, 1, 0, 1)),)}
Binding = Callable[[Model], None]


def cycles(found: Network, bind: Binding, resident: Resident | None = None) -> int | None:
    model = modelled(problem_of(found, plan(found), resident), horizon=200)
    bind(model)
    return least_cycles(model)


def shared(size_bits: int | None) -> Machine:
    return two_cores(512.0, size_bits, shared=True)


@pytest.mark.parametrize("bind", [bind_stays, bind_running])
@pytest.mark.parametrize(
    ("size_bits", "least"),
    [
        (None, 1 + 100 + 1),
        (4 * IMAGE, 1 + 100 + 1),
        (4 * IMAGE - 1, 1 + 100 + 60 + 1),
        (2 * IMAGE - 1, None),
    ],
)
def test_layers_that_do_not_fit_together_take_turns(
    bind: Binding, size_bits: int | None, least: int | None
) -> None:
    assert cycles(independent(shared(size_bits)), bind) == least


@pytest.mark.parametrize("bind", [bind_stays, bind_running])
def test_the_outer_store_has_room_for_all(bind: Binding) -> None:
    found = independent(shared(None))
    small = replace(found.machine.stores[OUTER], size_bits=1)
    machine = replace(found.machine, stores={**found.machine.stores, OUTER: small})
    assert cycles(replace(found, machine=machine), bind) == 102


# The image goes when the layer that reads it is over, and its room is that of the last result.
@pytest.mark.parametrize("bind", [bind_stays, bind_running])
@pytest.mark.parametrize(("size_bits", "least"), [(2 * IMAGE, 112), (2 * IMAGE - 1, None)])
def test_what_was_read_last_makes_room(bind: Binding, size_bits: int, least: int | None) -> None:
    assert cycles(chain(shared(size_bits), FixedCosts({"l": 10, "m": 100})), bind) == least


@pytest.mark.parametrize("bind", [bind_stays, bind_running])
@pytest.mark.parametrize("missing", [0, 1])
def test_buffers_take_room_while_a_tile_runs(bind: Binding, missing: int) -> None:
    costs = FixedCosts({"l": 10, "m": 100}, buffers={"m": (("both", 100),)})
    least = cycles(chain(shared(2 * IMAGE + 100 - missing), costs), bind)
    assert least == (None if missing else 112)


@pytest.mark.parametrize("missing", [0, 1])
def test_weights_take_room_from_their_move_on_or_for_good(missing: int) -> None:
    found = network(shared(2 * IMAGE + 24 - missing), (window("l", "x", "p"),), FixedCosts({"l": 80}), "p")
    for bind in (bind_stays, bind_running):
        assert cycles(found, bind) == (None if missing else 2 + 80 + 1), "weights and image come one by one"
    assert cycles(found, bind_stays, LYING) == (None if missing else 1 + 80 + 1)
    # What several tiles share is left out where only what runs at once is bound.
    assert cycles(found, bind_running, LYING) == 1 + 80 + 1


def test_what_is_kept_for_a_later_reader_takes_room_meanwhile() -> None:
    layers = (elementwise("l", "x", "p"), elementwise("m", "p", "q", (0,)), elementwise("n", "p", "r", (0,)))
    costs = FixedCosts({"l": 10, "m": 10, "n": 10}, {"l": ("a",), "m": ("a",), "n": ("a",)})
    least = {}
    for images in (3, 2):
        found = network(shared(images * IMAGE), layers, costs, "q", "r")
        least[images] = cycles(found, bind_stays), cycles(found, bind_running)
    # With room for two, the next result has to wait until the one before it has left.
    assert least == {3: (1 + 30 + 1, 32), 2: (1 + 20 + 1 + 10 + 1, 32)}


def test_a_copy_stays_until_it_has_been_moved_on() -> None:
    layers = (elementwise("l", "x", "p"), elementwise("m", "x", "q"), elementwise("n", "y", "r"))
    costs = FixedCosts({"l": 8, "m": 8, "n": 8}, {"l": ("a",), "m": ("b",), "n": ("a",)})
    machine = two_cores(1.0, None)
    # From outside data comes to the first core only; over the link an image takes 64 cycles.
    link = (Route((("link", 1.0),), 8.0),)
    routes = {k: link if OUTER not in k else r for k, r in machine.routes.items() if k != (OUTER, "right")}
    machine = replace(machine, routes=routes)

    def tight(images: int) -> Network:
        left = replace(machine.stores["left"], size_bits=images * IMAGE)
        return network(
            replace(machine, stores={**machine.stores, "left": left}), layers, costs, "p", "q", "r"
        )

    assert cycles(tight(4), bind_stays) == 1 + 64 + 8 + 1
    # The image is on its way until 65, beside the first result or what the third layer reads and writes.
    assert cycles(tight(3), bind_stays) == 74
    assert cycles(tight(2), bind_stays) == 1 + 64 + 1 + 8 + 1


def test_a_result_stays_until_it_has_left() -> None:
    machine = shared(3 * IMAGE)
    out = (Route((("port", 0.5),), 8.0),)
    machine = replace(machine, routes={**machine.routes, ("both", OUTER): out})
    found = independent(machine)
    halves = replace(found, costs=FixedCosts({"l": 8, "m": 8}, {"l": ("a",), "m": ("a",)}))
    # One result takes 64 cycles to leave, and nothing comes in meanwhile; the second layer fits beside it.
    assert cycles(halves, bind_stays) == 1 + 8 + 8 + 64
    narrow = replace(
        machine, stores={**machine.stores, "both": replace(machine.stores["both"], size_bits=2 * IMAGE)}
    )
    assert cycles(replace(halves, machine=narrow), bind_stays) == 1 + 8 + 64 + 1 + 8 + 64
