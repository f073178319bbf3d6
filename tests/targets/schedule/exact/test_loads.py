"""What cores, links and ports have to do: known sets, every subset, and two cores that wait for weights."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.schedule.exact.crossings import Crossing, crossings
from targets.schedule.exact.loads import Load, crowd, loads, spread
from targets.schedule.exact.problem import Problem, part_of, problem_of
from targets.schedule.machine import OUTER, Machine, Route
from targets.schedule.plan import LayerChoice
from targets.schedule.tiles import Cut
from tests.targets.schedule.exact.two_cores import (
    FixedCosts,
    elementwise,
    independent,
    network,
    plan,
    two_cores,
    window,
)

ROWS = Cut("OY", 2)
JOBS = st.builds(Load, st.integers(0, 20), st.integers(1, 12).map(float), st.integers(0, 20))


def test_jackson_bound_of_known_sets() -> None:
    assert crowd([], 1) == 0
    assert crowd([Load(2, 3.0, 4)], 1) == 9
    assert crowd([Load(0, 4.0, 0), Load(1, 2.0, 7)], 1) == 10
    assert crowd([Load(0, 4.0, 0)] * 4, 2) == 8
    assert crowd([Load(0, 0.7, 0)] * 10, 1) == 7, "which in doubles is a little more"


@given(st.lists(JOBS, min_size=1, max_size=6), st.sampled_from([1.0, 2.0, 2.5, 8.0]))
def test_jackson_bound_is_that_of_the_worst_subset(jobs: list[Load], capacity: float) -> None:
    subsets = (s for size in range(1, len(jobs) + 1) for s in itertools.combinations(jobs, size))
    worst = max(
        min(job.head for job in s) + sum(job.work for job in s) / capacity + min(job.tail for job in s)
        for s in subsets
    )
    assert crowd(jobs, capacity) == math.ceil(worst - 1e-6)


def by_resource(
    problem: Problem, stage: int, heads: dict[tuple[int, str], int], tails: list[int]
) -> dict[str, list[Load]]:
    """Return the loads of each resource; those of groups of cores come before them."""
    found = list(loads(problem, stage, heads, tails))
    names = list(problem.machine.capacities)
    assert [capacity for capacity, _ in found[-len(names) :]] == list(problem.machine.capacities.values())
    return {name: sorted(own) for name, (_, own) in zip(names, found[-len(names) :], strict=True)}


def test_groups_of_cores_do_what_only_they_can() -> None:
    found = independent(two_cores(1.0, None))
    costs = FixedCosts({"l": 100, "m": 60}, {"l": ("a",)})
    problem = problem_of(replace(found, costs=costs), plan(found))
    heads, tails = {(0, "a"): 1, (1, "a"): 2, (1, "b"): 3}, [4, 5]
    first, second = Load(1, 100, 4), Load(2, 60, 5)
    groups = list(loads(problem, 0, heads, tails))[:2]
    assert sorted(groups) == [(1, [first]), (2, [first, second])]
    # The second layer may run elsewhere. Inputs are followed by their layer, results come behind it.
    assert by_resource(problem, 0, heads, tails) == {
        "a": [first],
        "b": [],
        "port": [Load(0, 1.0, 60 + 5), Load(0, 1.0, 100 + 4), Load(2 + 60, 1.0, 0), Load(1 + 100, 1.0, 0)],
        "link": [],
    }


def test_what_may_have_been_moved_in_an_earlier_stage_is_no_load_of_a_later_one() -> None:
    layers = (elementwise("l", "x", "p"), elementwise("m", "x", "q"), elementwise("n", "p", "r", (0,)))
    costs = FixedCosts({"l": 8, "m": 8, "n": 8}, {"l": ("a",), "m": ("a",), "n": ("b",)})
    machine = two_cores(1.0, None)
    # To the other core leads the link alone.
    machine = replace(machine, routes={k: r for k, r in machine.routes.items() if k != (OUTER, "right")})
    found = network(machine, layers, costs, "q", "r", early=(0,))
    problem = problem_of(found, plan(found))
    heads = {(task.number, core): 0 for task in problem.tasks for core in task.options}
    assert by_resource(problem, 0, heads, [0, 0, 0])["port"] == [Load(0, 1.0, 8)], "the image"
    later = by_resource(problem, 1, heads, [0, 0, 0])
    assert later["port"] == [Load(8, 1.0, 0), Load(8, 1.0, 0)], "both results; the image is there"
    assert (later["a"], later["b"]) == ([Load(0, 8, 0)], [Load(0, 8, 0)])
    assert later["link"] == [Load(0, 512.0, 8)], "what the first stage made is moved when the second needs it"
    # An image that the first stage reads too may have come then, to whichever core.
    apart = replace(found, costs=replace(costs, only={**costs.only, "m": ("b",)}))
    heads |= {(1, "b"): 0}
    assert by_resource(problem_of(apart, plan(apart)), 1, heads, [0, 0, 0])["link"] == [Load(0, 512.0, 8)]
    streamed = part_of(
        found, {i: LayerChoice((), held=frozenset("O") if i == 2 else frozenset("IO")) for i in range(3)}
    )
    assert by_resource(streamed, 0, heads, [0, 0, 0])["port"] == [Load(0, 1.0, 8)]
    # The first stage may have moved it out to make room.
    assert by_resource(streamed, 1, heads, [0, 0, 0])["port"] == [Load(8, 1.0, 0), Load(8, 1.0, 0)]


def slow_port(amount: float = 1.0, *, shared: bool = False) -> Machine:
    """Return two cores to which 24 bits of weights take 24 cycles, over the port or over the link."""
    machine = two_cores(1.0, None, shared=shared)
    slow = (Route((("port", amount),), 1.0),)
    return replace(machine, routes={k: slow if OUTER in k else r for k, r in machine.routes.items()})


def weights_move(machine: Machine, cycles: int, cut: Cut = ROWS) -> tuple[Problem, Crossing]:
    found = network(machine, (window("l", "x", "p"),), FixedCosts({"l": cycles}), "p")
    problem = problem_of(found, plan(found, cut))
    piece = next(piece for piece in problem.pieces if piece.weights)
    return problem, next(iter(crossings(problem, piece)))


@pytest.mark.parametrize(
    ("machine", "cycles", "length"),
    [
        # Two tiles of 100 cycles: 112 on the one core and 88 on the other, which starts 24 later.
        (slow_port(), 200, 112),
        # One core does both before the second copy can be there.
        (slow_port(), 24, 24),
        (slow_port(), 16, 16),
        # Two copies at once.
        (slow_port(0.5), 200, 100),
        (slow_port(0.51), 200, 112),
        # One copy for both.
        (slow_port(shared=True), 200, 100),
    ],
)
def test_a_second_core_waits_for_its_weights(machine: Machine, cycles: int, length: int) -> None:
    problem, move = weights_move(machine, cycles)
    assert spread(problem, move, [0, 0]) == length
    assert spread(problem, move, [7, 5]) == length + 5, "what is behind the tiles in any case"


def test_a_copy_of_the_first_copy_may_come_sooner_than_one_from_outside() -> None:
    machine = slow_port()
    link = (Route((("link", 1.0),), 5.0),)
    routes = {k: r if OUTER in k else link for k, r in machine.routes.items()}
    problem, move = weights_move(replace(machine, routes=routes), 200)
    assert spread(problem, move, [0, 0]) == 103, "5 cycles later: 205 in two halves"


def test_only_what_all_tiles_of_one_layer_read_alike_holds_up_the_second_core() -> None:
    problem, move = weights_move(slow_port(), 200)
    lying = replace(move.piece, resident=(("left", move.piece.region),))
    assert spread(problem, move._replace(piece=lying), [0, 0]) == 0
    first, second = move.piece.needs
    others = (
        second._replace(part=second.part._replace(c1=2)),
        second._replace(task=second.task._replace(layer=1)),
    )
    for other in others:
        piece = replace(move.piece, needs=(first, other))
        assert spread(problem, move._replace(piece=piece), [0, 0]) == 0
    made = replace(move.piece, maker=first.task)
    assert spread(problem, move._replace(piece=made), [0, 0]) == 0, "several stores can be sent it at once"
