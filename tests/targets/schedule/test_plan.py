"""What follows from any plan is a valid schedule, or the plan is told not to fit."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.schedule.check.capacity import work_of
from targets.schedule.check.checker import problems
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import NoOptionError, depth_first, finished, simulate
from targets.schedule.tiles import Cut, tiles_of
from tests.targets.schedule.random_networks import random_network
from tests.targets.schedule.random_plans import random_plan, random_problem
from tests.targets.schedule.small_schedule import small_schedule


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 1 << 24), st.sampled_from([4, 9, 20]), st.frozensets(st.integers(0, 1)))
def test_random_plans_make_valid_schedules(seed: int, most: int, speculative: frozenset[int]) -> None:
    network, plan, resident = random_problem(seed, most)
    try:
        state = simulate(network, plan, resident, speculative)
    except (NoRoomError, NoOptionError):
        return
    schedule = finished(state, resident)
    assert problems(network, schedule) == []
    assert schedule.energy_pj == pytest.approx(state.energy_pj)
    assert schedule.latency_cycles == state.end == max(work.end for work in work_of(schedule))


@given(st.integers(0, 1 << 24))
def test_tiles_come_behind_those_they_read_from(seed: int) -> None:
    random = Random(seed)
    network = random_network(random)
    for segment in random_plan(random, network):
        cuts = zip(segment.layers, segment.choices, strict=True)
        tiles = {index: tiles_of(network.layer(index), choice.cut) for index, choice in cuts}
        order = depth_first(network, tiles)
        assert sorted(order) == sorted((i, t.number) for i, own in tiles.items() for t in own)
        place = {node: at for at, node in enumerate(order)}
        makers = {t.name: i for i in tiles for t in network.layer(i).outputs}
        for index, own in tiles.items():
            for tile in own:
                for read in network.reads(index, tile):
                    maker = makers.get(read.tensor)
                    for other in tiles.get(maker, ()) if maker is not None else ():
                        if other.count == 1 or other.output.meet(read.region):
                            assert place[maker or 0, other.number] < place[index, tile.number]


def test_rows_flow_through_fused_layers() -> None:
    network, _ = small_schedule()
    tiles = {index: tiles_of(network.layer(index), Cut("OY", 4)) for index in (0, 1)}
    # Row n of the second reads rows 2n - 1 to 2n + 1 of the first, whose tiles have two rows each.
    assert depth_first(network, tiles) == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3)]
