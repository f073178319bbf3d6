"""Latency and energy of schedules are read off their runs and moves, path by path."""

from __future__ import annotations

from dataclasses import replace

import pytest

from targets.cost.model.solution import MemoryAccess, Solution
from targets.description.mapping import Mapping
from targets.schedule.result import Schedule
from tests.targets.schedule.made_schedules import move, run, schedule

COMPUTES = (0, 0, 0, 10, 0, 0, 0)


def overlapping() -> Schedule:
    """Return a first stage that ends at cycle 10, and a second one that begins before, at and after that."""
    runs = [
        run("a", 0, COMPUTES, energy_pj=1.0),
        run("b", 9, COMPUTES, layer=1, energy_pj=4.0),
        run("b", 19, COMPUTES, layer=1, energy_pj=8.0),
        run("a", 10, COMPUTES, layer=1, energy_pj=128.0),
    ]
    moves = [
        move("image", 0, 2, (), energies_pj=(0.5, 0.25, 0.25)),
        move("middle", 5, 20, (), layer=1, energies_pj=(16.0, 8.0, 8.0)),
        move("middle", 10, 2, (), layer=1, energies_pj=(64.0, 0.0, 0.0)),
    ]
    return replace(schedule(runs, moves), speculative=frozenset({0}))


def test_a_schedule_is_over_when_its_last_stage_is() -> None:
    assert overlapping().stage_end_cycles == (10, 29)
    assert overlapping().latency_cycles == 29
    assert Schedule((), (), (), (), ()).latency_cycles == 0


def test_energy_of_a_path_is_that_of_its_stages_and_those_before() -> None:
    made = overlapping()
    assert made.moves[1].energy_pj == 32.0
    assert made.energy_until(0) == 1.0 + 1.0
    assert made.energy_until(1) == made.energy_pj == (1 + 4 + 8 + 128) + (1 + 32 + 64)


def test_what_has_begun_before_an_exit_decides_is_wasted_whole() -> None:
    # A run and a move begin before cycle 10; for those of cycle 10 it is known that they need not.
    assert overlapping().wasted_pj(0) == 4.0 + 32.0
    assert overlapping().wasted_pj(1) == 0.0, "nothing comes behind the last"


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 3.0])
def test_at_another_energy_all_scales_and_nothing_else_changes(scale: float) -> None:
    access = MemoryAccess("W", "dram", "read", 1.0, 2.0)
    detail = Solution(Mapping({}, (), {}), 1.0, 0.0, 0.0, 0.0, (), 2.0, (access,), 1.0, 1.0)
    plain = overlapping()
    first, *others = plain.runs
    made = replace(plain, runs=(first._replace(cost=replace(first.cost, detail=detail)), *others))
    scaled = made.at_energy(scale)
    assert scaled.energy_until(0) == scale * made.energy_until(0)
    assert scaled.wasted_pj(0) == scale * made.wasted_pj(0)
    carried, before = scaled.moves[1], made.moves[1]
    assert (carried.read_pj, carried.wire_pj, carried.write_pj) == (scale * 16, scale * 8, scale * 8)
    assert carried._replace(read_pj=16.0, wire_pj=8.0, write_pj=8.0) == before
    inside = scaled.runs[0].cost.detail
    assert inside is not None and inside.accesses[0].energy_pj == scale * 2.0
    assert [(r.start, r.end, r.cost.latency_cycles) for r in scaled.runs] == [
        (r.start, r.end, r.cost.latency_cycles) for r in made.runs
    ]
    assert (scaled.stage_end_cycles, scaled.speculative) == (made.stage_end_cycles, made.speculative)
