"""Where the energy of each exit path goes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from targets.cost.model.solution import MemoryAccess, Solution
from targets.description.mapping import Mapping
from targets.schedule.machine import OUTER
from targets.schedule.result import Schedule
from targets.schedule.view.energy_split import energy_split
from tests.targets.schedule.made_schedules import move, run, schedule, schedules


def test_energy_is_split_by_what_spends_it() -> None:
    moves = [
        move("image", 0, 1, (), 0, way=(OUTER, "a.sram"), energies_pj=(100.0, 10.0, 1.0)),
        move("middle", 1, 1, (), 1, way=("a.sram", OUTER), energies_pj=(2.0, 20.0, 200.0)),
    ]
    made = schedule([run("a", 0, (0, 0, 0, 1, 0, 0, 0), energy_pj=5.0)], moves)
    assert energy_split(made) == ((5.0, 1.0, 100.0, 10.0), (5.0, 3.0, 300.0, 30.0))


def test_what_a_run_streams_counts_as_off_chip() -> None:
    plain = run("a", 0, (0, 0, 0, 1, 0, 0, 0), energy_pj=5.0)
    accesses = (
        MemoryAccess("W", "dram", "read", 1.0, 2.0),
        MemoryAccess("I", "sram", "read", 1.0, 1.0),
        MemoryAccess("O", "dram", "write", 1.0, 0.5),
    )
    detail = Solution(Mapping({}, (), {}), 1.0, 0.0, 0.0, 0.0, (), 1.5, accesses, 1.0, 1.0)
    made = schedule([plain._replace(cost=replace(plain.cost, detail=detail))])
    assert energy_split(made, lambda core: {"dram"} if core == "a" else set())[0] == (2.5, 0.0, 2.5, 0.0)
    assert energy_split(made)[0] == (5.0, 0.0, 0.0, 0.0)


def test_what_a_later_stage_begins_before_an_exit_decides_counts_for_its_path() -> None:
    runs = [run("a", 0, (0, 0, 0, 8, 0, 0, 0), energy_pj=1.0)]
    runs += [run("b", start, (0, 0, 0, 6, 0, 0, 0), 1, energy_pj=2.0) for start in (7, 8)]
    moves = [
        move("middle", start, 1, (), 1, way=("a.sram", OUTER), energies_pj=(4.0, 16.0, 64.0))
        for start in (7, 8)
    ]
    # The exit decides at cycle 8: what begins then is known not to be needed.
    assert energy_split(schedule(runs, moves)) == ((3.0, 4.0, 64.0, 16.0), (5.0, 8.0, 128.0, 32.0))


@given(schedules())
def test_the_parts_of_the_energy_add_up(made: Schedule) -> None:
    for stage, split in enumerate(energy_split(made)):
        assert sum(split) == pytest.approx(made.energy_until(stage) + made.wasted_pj(stage))
    assert sum(energy_split(made)[-1]) == pytest.approx(made.energy_pj)
