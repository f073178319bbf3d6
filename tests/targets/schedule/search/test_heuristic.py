"""Whatever the scheduler finds is valid, the same every time, and judged as it is."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from targets.objective import EDP, ENERGY, LATENCY, Objective, uniform
from targets.schedule.check.checker import problems
from targets.schedule.freedom import Freedom
from targets.schedule.network import Network
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import finished, simulate
from targets.schedule.result import Schedule
from targets.schedule.search.candidates import Candidates
from targets.schedule.search.heuristic import Search
from tests.targets.schedule.random_networks import random_network

OBJECTIVES = (LATENCY, ENERGY, EDP)
FREEDOMS = st.builds(Freedom, split=st.booleans(), fuse=st.booleans(), hold=st.booleans())


def found(network: Network, objective: Objective, freedom: Freedom) -> Schedule | None:
    search = Search(Candidates(network, freedom), objective, uniform(len(network.stage_names)))
    try:
        plan, state = search.run()
    except NoRoomError:
        return None
    assert finished(state) == finished(simulate(network, plan)), "the plan is what was scheduled"
    return finished(state)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 24), st.sampled_from(OBJECTIVES), FREEDOMS)
def test_found_schedules_are_valid_and_the_same_every_time(
    seed: int, objective: Objective, freedom: Freedom
) -> None:
    network = random_network(Random(seed))
    schedule = found(network, objective, freedom)
    if schedule is None:
        return
    assert problems(network, schedule) == []
    assert found(random_network(Random(seed)), objective, freedom) == schedule
