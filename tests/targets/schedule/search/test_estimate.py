"""What partial schedules are likely to end at, by hand for two stages of two branches each."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from targets.objective import EDP, ENERGY, LATENCY, Objective
from targets.schedule.freedom import Freedom
from targets.schedule.network import Network
from targets.schedule.plan import LayerChoice, Segment, ended, place_segment
from targets.schedule.search.candidates import Candidates
from targets.schedule.search.estimate import Estimate
from targets.schedule.state import State
from targets.schedule.tiles import Cut
from tests.targets.schedule.hand_networks import TableCosts, network, one_by_one, pointwise

RATIOS = (0.25, 0.75)


def with_exit(side: int = 5) -> Network:
    """Return a stem with a side branch and a head, and branches of 320 and 400 cycles behind this exit.

    The second core takes twice as long for half of the energy.
    """
    cycles = {"stem": 10, "side": side, "head": 100, "body": 20, "late": 300, "other": 400}
    costs = TableCosts(cycles, ("a", "b"), {"b": 2}, {"a": 1.0, "b": 0.25})
    sources = ["x", "stem.out", "stem.out", "stem.out", "body.out", "stem.out"]
    layers = [pointwise(name, source) for name, source in zip(cycles, sources, strict=True)]
    stages = [["stem", "side", "head"], ["body", "late", "other"]]
    return network(layers, costs, stages=stages, outputs=["head.out", "late.out"])


def placed(count: int, cores: str = "aaaaaa", side: int = 5) -> tuple[Network, State]:
    """Return the network and a state with its first ``count`` layers in place."""
    made = with_exit(side)
    state = State(made)
    for segment in one_by_one(made, cores)[:count]:
        place_segment(state, segment)
    return made, state


def estimate(made: Network, objective: Objective, ratios: Sequence[float] = RATIOS) -> Estimate:
    return Estimate(Candidates(made, Freedom()), objective, ratios)


# Each layer on its fastest core; the image arrives at cycle 8.
@pytest.mark.parametrize(
    ("count", "cycles"),
    [
        # The longest way through the first stage, stem and head, and that through the second.
        (0, 10 + 100 + 400),
        # The stem has ended at 18, and the longest way goes on from there.
        (1, 18 + 100 + 400),
        # The side branch is placed, on the same core, which the rank knows nothing of.
        (2, 18 + 100 + 400),
        # The head is over at 123, behind the side branch, and its result leaves until 131. Then all of the
        # second stage begins, although what it reads has been there since 18.
        (3, 131 + 400),
    ],
)
def test_latency_is_the_longest_way_from_what_is_there(count: int, cycles: int) -> None:
    made, state = placed(count)
    assert estimate(made, LATENCY).partial(state, count) == cycles, "as if all left at the last exit"


def test_exits_that_have_been_passed_count_as_they_are() -> None:
    for count in (4, 5):
        made, state = placed(count)
        assert state.stage_ends == (131,)
        assert estimate(made, LATENCY).partial(state, count) == 0.25 * 131 + 0.75 * (131 + 400)
    made, state = placed(6)
    # All is placed: the branches follow one another on the core.
    late = 131 + 20 + 300 + 400
    assert estimate(made, LATENCY).partial(state, 6) == 0.25 * 131 + 0.75 * late
    assert estimate(made, LATENCY).value(ended(state)) == 0.25 * 131 + 0.75 * late


@pytest.mark.parametrize(
    ("count", "cores", "side", "cycles"),
    [
        # The stem on the slow core.
        (1, "baaaaa", 5, 8 + 20 + 100 + 400),
        # The side branch on the slow core, where the stem arrives at 26, is over at 36: long before the head.
        (2, "abaaaa", 5, 18 + 100 + 400),
        # A long side branch ends the stage.
        (2, "abaaaa", 200, 26 + 400 + 400),
        # The first layer behind the exit on the slow core, where the stem arrives at 139: with the 300 cycles
        # behind it, it is over before the other branch. With all of its branch there it is not.
        (4, "aaabaa", 5, 131 + 400),
        (5, "aaabba", 5, 139 + 40 + 600 + 8),
    ],
)
def test_what_ends_late_counts(count: int, cores: str, side: int, cycles: int) -> None:
    made, state = placed(count, cores, side)
    assert estimate(made, LATENCY, (0.0, 1.0)).partial(state, count) == cycles


def test_of_a_tensor_in_pieces_the_last_counts() -> None:
    made = with_exit()
    state = State(made)
    # Half of the stem is over at 4 + 5, the other on the slow core at 8 + 10.
    place_segment(state, Segment((0,), (LayerChoice(("a", "b"), Cut("OY", 2)),)))
    assert [run.end for run in state.runs] == [9, 18]
    assert estimate(made, LATENCY).partial(state, 1) == 18 + 100 + 400


def test_what_is_placed_does_not_lie_ahead() -> None:
    names = ["stem", "body", "late", "other"]
    sources = ["x", "stem.out", "body.out", "stem.out"]
    layers = [pointwise(name, source) for name, source in zip(names, sources, strict=True)]
    made = network(layers, TableCosts({"stem": 10, "body": 200, "late": 5, "other": 1}))
    state = State(made)
    halves = LayerChoice(("a", "b"), Cut("OY", 2))
    for segment in (*one_by_one(made, "aaaa")[:1], Segment((1,), (halves,))):
        place_segment(state, segment)
    # The lower half arrives on the other core at 22. The stem is still to be read, but not by this layer.
    assert state.end == 18 + 4 + 100
    assert estimate(made, LATENCY, (1.0,)).partial(state, 2) == 122 + 5


# A move of an image costs 80 pJ off chip and 8 in the store of a core; a layer the least of all cores.
@pytest.mark.parametrize(
    ("count", "energy_pj"),
    [(0, 0.5 * (10 + 5 + 100 + 20 + 300 + 400)), (1, 88 + 10 + 0.5 * (5 + 100 + 20 + 300 + 400))],
)
def test_energy_is_what_is_spent_and_the_least_of_what_is_left(count: int, energy_pj: float) -> None:
    made, state = placed(count)
    assert estimate(made, ENERGY).partial(state, count) == pytest.approx(energy_pj)
    cycles = estimate(made, LATENCY).partial(state, count)
    assert estimate(made, EDP).partial(state, count) == pytest.approx(cycles * energy_pj)


def test_a_whole_schedule_is_worth_what_its_exits_cost() -> None:
    made, state = placed(6)
    ended(state)
    early, late = state.stage_energies
    # Image in, results out, and all layers on the fast core.
    assert (early, late) == (88 + 115 + 88, 88 + 115 + 88 + 720 + 88)
    assert estimate(made, ENERGY).value(state) == 0.25 * early + 0.75 * late
    assert estimate(made, EDP).value(state) == pytest.approx(0.25 * early * 131 + 0.75 * late * 851)
