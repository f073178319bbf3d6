"""The next stage starts ahead of a decision where that pays; who leaves has paid for what has begun."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from targets.objective import EDP, ENERGY, LATENCY, OBJECTIVES, Objective, uniform
from targets.schedule.check.checker import problems
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import NoOptionError, finished, simulate
from targets.schedule.search.speculation import path_energies, speculate
from tests.targets.schedule.hand_networks import three_exits
from tests.targets.schedule.made_schedules import move, run, schedule
from tests.targets.schedule.random_plans import random_problem

THIRDS = uniform(3)


def test_leaving_at_an_exit_costs_what_later_stages_have_begun_too() -> None:
    runs = [run("a", 0, (0, 0, 0, 10, 0, 0, 0), energy_pj=1.0)]
    runs += [run("b", start, (0, 0, 0, 5, 0, 0, 0), 1, energy_pj=4.0) for start in (4, 10)]
    begun = move("middle", 9, 1, (), 1, energies_pj=(8.0, 16.0, 32.0))
    assert path_energies(schedule(runs, [begun])) == (1 + 4 + 56, 1 + 4 + 4 + 56)


@pytest.mark.parametrize(
    ("cycles", "objective", "ratios", "exits"),
    [
        # The second stage starts at 26, while the first head works until 118. Then a second exit that
        # speculates gains nothing: its head is done before the first, on which the third stage waits.
        ((10, 100, 10, 50, 10, 30), LATENCY, THIRDS, {0}),
        # A second head of 200 cycles holds the third stage up beyond that.
        ((10, 100, 10, 200, 10, 30), LATENCY, THIRDS, {0, 1}),
        # Heads that take no time hold nothing up.
        ((10, 0, 10, 0, 10, 30), LATENCY, THIRDS, set()),
        # Nobody stays to gain from it.
        ((10, 100, 10, 200, 10, 30), LATENCY, (1.0, 0.0, 0.0), set()),
        ((10, 100, 10, 200, 10, 30), LATENCY, (0.0, 1.0, 0.0), {0}),
        # Energy is only ever lost.
        ((10, 100, 10, 200, 10, 30), ENERGY, THIRDS, set()),
        # Nearly all leave at the first exit: what they lose in energy is more than what the others gain. To
        # speculate at the second costs them nothing.
        ((10, 100, 10, 200, 10, 30), EDP, (0.998, 0.001, 0.001), {1}),
        ((10, 100, 10, 200, 10, 30), EDP, THIRDS, {0, 1}),
    ],
)
def test_exits_speculate_where_it_pays(
    cycles: Sequence[int], objective: Objective, ratios: Sequence[float], exits: set[int]
) -> None:
    network, plan = three_exits(cycles)
    found = speculate(network, plan, {}, objective, ratios)
    assert found.speculative == exits
    assert found == finished(simulate(network, plan, speculative=frozenset(exits)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 24), st.sampled_from(OBJECTIVES))
def test_what_is_found_is_valid_and_no_exit_left_out_would_pay_beside_it(
    seed: int, objective: Objective
) -> None:
    network, plan, resident = random_problem(seed)
    exits = len(network.stage_names)
    assume(exits > 1)
    ratios = uniform(exits)

    def value(speculative: frozenset[int]) -> float:
        try:
            made = finished(simulate(network, plan, resident, speculative), resident)
        except NoRoomError:
            return float("inf")
        return objective.expected(ratios, made.stage_end_cycles, path_energies(made))

    try:
        found = speculate(network, plan, resident, objective, ratios)
    except (NoRoomError, NoOptionError):
        return
    assert problems(network, found) == []
    assert found.resident == frozenset(resident)
    kept = found.speculative
    assert exits - 1 not in kept, "behind the last exit nothing comes"
    # Shallow to deep: each that is kept pays beside those before it, each that is not does not.
    for stage in range(exits - 1):
        before = frozenset(k for k in kept if k < stage)
        assert (value(before | {stage}) < value(before)) is (stage in kept)
