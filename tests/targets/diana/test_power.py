"""What the chip takes while several cores are at work: published powers, shared among what is at work."""

from __future__ import annotations

import pytest

from targets.cost.layer_cost import LayerCost, energy_pj
from targets.diana.fused import RowCost
from targets.diana.power import power_mw, settled, shared_energies
from targets.diana.target import DianaTarget
from targets.schedule.machine import OUTER
from targets.schedule.network import ALL_HELD
from targets.schedule.regions import Region
from targets.schedule.result import Move, Run, Schedule

ARCH = DianaTarget().arch
DIGITAL, ANALOG, BOTH = 24.96, 28.74, 42.39
PART = Region(0, 1, 0, 1)


def run(layer: int, core: str, start: int, end: int, job: int = 0, whole_pj: float | None = None) -> Run:
    cost: LayerCost = RowCost(end - start - job, 0, 0, job, 0.0, 1.0, 1, "published")
    if whole_pj is not None:
        cost = LayerCost(end - start, 0, 0, 0, whole_pj, 1.0, 1, "published")
    return Run(f"r{layer}{start}", layer, core, start, end, 0, (), cost, ALL_HELD, (), None, PART, (0, 1))


def move(layer: int, start: int, end: int) -> Move:
    return Move("x", PART, OUTER, "l1", start, end, 0, (), 8, layer, "input", 0.0, 0.0, 0.0)


def pj(power: float, cycles: float) -> float:
    return energy_pj(power, cycles, 260e6)


@pytest.mark.parametrize(
    ("cores", "power"),
    [
        (["digital"], DIGITAL),
        (["analog"], ANALOG),
        (["analog", "digital"], BOTH),
        (["digital", "analog", "simd", "host", "pooling"], BOTH),
        (["analog", "simd"], ANALOG),
        (["digital", "pooling", "host"], DIGITAL),
        (["host"], DIGITAL),
    ],
)
def test_powers_at_once_are_those_published_and_not_their_sum(cores: list[str], power: float) -> None:
    assert power_mw(ARCH, cores) == power


def test_both_arrays_at_work_take_less_than_one_after_the_other_but_more_than_one() -> None:
    beside = shared_energies(ARCH, [run(0, "digital", 0, 100), run(1, "analog", 0, 100)], [])
    assert sum(beside) == pytest.approx(pj(BOTH, 100))
    assert beside[0] / beside[1] == pytest.approx(DIGITAL / ANALOG), "in proportion to what each takes alone"
    after = shared_energies(ARCH, [run(0, "digital", 0, 100), run(1, "analog", 100, 200)], [])
    assert after == pytest.approx([pj(DIGITAL, 100), pj(ANALOG, 100)])


def test_each_moment_has_its_power() -> None:
    runs = [run(0, "digital", 10, 60), run(1, "analog", 40, 100, job=20), run(2, "simd", 80, 90)]
    energies = shared_energies(ARCH, runs, [move(0, 0, 10), move(2, 100, 130)])
    # A move, digital, digital with the host, analog, analog with simd, analog, a move.
    total = pj(DIGITAL, 10 + 30 + 20) + pj(ANALOG, 20 + 10 + 10) + pj(DIGITAL, 30)
    assert sum(energies) == pytest.approx(total)
    assert energies[0] == pytest.approx(pj(DIGITAL, 10 + 30 + 10)), "half while the host is at work"
    assert energies[2] == pytest.approx(pj(ANALOG, 10 * DIGITAL / (DIGITAL + ANALOG)) + pj(DIGITAL, 30))


def test_layers_that_run_whole_keep_their_energy() -> None:
    runs = [run(0, "analog", 0, 50), run(1, "analog", 50, 80, whole_pj=7.0), run(2, "digital", 80, 90)]
    assert shared_energies(ARCH, runs, []) == pytest.approx([pj(ANALOG, 50), 7.0, pj(DIGITAL, 10)])
    assert shared_energies(ARCH, [], []) == []


def test_a_schedule_is_settled_stage_by_stage() -> None:
    first, second = run(0, "digital", 0, 50), run(1, "analog", 50, 90)._replace(stage=1)
    schedule = Schedule((first, second), (), (), ("early", "final"), (50, 90))
    found = settled(ARCH, schedule)
    assert [one.cost.energy_pj for one in found.runs] == pytest.approx([pj(DIGITAL, 50), pj(ANALOG, 40)])
    assert found.energy_until(0) == pytest.approx(pj(DIGITAL, 50))
    assert [one.cost.latency_cycles for one in found.runs] == [50, 40]
