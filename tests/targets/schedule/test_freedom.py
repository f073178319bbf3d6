"""What a scheduler may do it does where that pays, and nothing else."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.objective import LATENCY, uniform
from targets.schedule.freedom import Freedom
from targets.schedule.network import Network
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import Plan, finished
from targets.schedule.result import Schedule
from targets.schedule.search.candidates import Candidates
from targets.schedule.search.heuristic import Search
from targets.schedule.tiles import WHOLE
from tests.targets.schedule.hand_networks import TableCosts, network, pointwise
from tests.targets.schedule.random_networks import random_network


def found(made: Network, freedom: Freedom) -> tuple[Plan, Schedule] | None:
    search = Search(Candidates(made, freedom), LATENCY, uniform(len(made.stage_names)))
    try:
        plan, state = search.run()
    except NoRoomError:
        return None
    return plan, finished(state)


@pytest.mark.parametrize(
    "freedom",
    [Freedom(split=False), Freedom(hold=False), Freedom(fuse=False), Freedom(split=False, fuse=False)],
)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1 << 24))
def test_nothing_is_done_that_is_not_allowed(freedom: Freedom, seed: int) -> None:
    result = found(random_network(Random(seed)), freedom)
    if result is None:
        return
    plan, schedule = result
    if not freedom.fuse:
        assert all(len(segment.layers) == 1 for segment in plan)
    if not freedom.split:
        alone = [segment.choices[0] for segment in plan if len(segment.layers) == 1]
        assert all(choice.cut == WHOLE for choice in alone)
    if not freedom.hold:
        assert all(not run.held for run in schedule.runs)
        assert not schedule.moves, "every layer reads and writes off chip"


# Two layers of 64 cycles in a row on two cores, 8 cycles on the bus in and out.
@pytest.mark.parametrize(
    ("freedom", "cycles"),
    [
        # Layer by layer: both on one core, and only input and result cross the bus.
        (Freedom(split=False, fuse=False), 8 + 64 + 64 + 8),
        # By halves: the second one arrives 4 cycles behind the first, and leaves behind it too.
        (Freedom(fuse=False), 4 + 4 + 32 + 32 + 4),
        # Nothing is moved: what a core reads and writes off chip is in its cycles.
        (Freedom(hold=False), 64 + 64),
    ],
)
def test_each_freedom_by_hand(freedom: Freedom, cycles: int) -> None:
    made = network(
        [pointwise("one", "x"), pointwise("two", "one.out")],
        TableCosts({"one": 64, "two": 64}),
        outputs=["two.out"],
    )
    result = found(made, freedom)
    assert result is not None
    assert result[1].latency_cycles == cycles


def test_all_is_allowed_unless_told_otherwise() -> None:
    made = network(
        [pointwise("one", "x"), pointwise("two", "one.out")],
        TableCosts({"one": 64, "two": 64}),
        outputs=["two.out"],
    )
    result = found(made, Freedom())
    assert result is not None
    (segment,) = result[0]
    assert segment.layers == (0, 1), "fused"
    assert all(choice.cut.parts > 1 for choice in segment.choices)
    assert {run.core for run in result[1].runs} == {"a", "b"}
    assert all(run.held for run in result[1].runs)
