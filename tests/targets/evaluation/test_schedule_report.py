"""A schedule in figures: what could be done, what stays, how much of it there is."""

from __future__ import annotations

import pytest

from targets.described.target import EngineTarget
from targets.diana.target import DianaTarget
from targets.evaluation.schedule_report import ResidentWeights, ScheduleReport, schedule_report
from targets.evaluation.scheduling import Planned, Wishes
from targets.schedule.plan import LayerChoice, Plan, Resident, Segment
from targets.schedule.regions import Region
from targets.schedule.view.drawing import timeline_of
from tests.targets.schedule.made_schedules import arch
from tests.targets.schedule.small_schedule import RESIDENT, small_schedule
from tests.targets.small_arch import small_arch

FREE = EngineTarget(architecture=small_arch())
BOUND = EngineTarget(architecture=small_arch(), locality=False)
# Four input channels, 3 x 3 taps of 8 bits and a bias of 32 for each of six results.
LATE_BITS = 6 * (4 * 9 * 8 + 32)


def report(
    target: EngineTarget | DianaTarget = FREE,
    wishes: Wishes | None = None,
    resident: Resident = RESIDENT,
    plan: Plan = (),
) -> ScheduleReport:
    network, schedule = small_schedule()
    planned = Planned(network, plan, schedule, resident, None, ())
    return schedule_report(planned, target, wishes or Wishes(), timeline_of(schedule, network, arch()))


@pytest.mark.parametrize(
    ("target", "wishes", "mode", "weights"),
    [
        (FREE, Wishes(), "fused", "keep"),
        (FREE, Wishes("split"), "split", "keep"),
        (FREE, Wishes("layers"), "layers", "keep"),
        (FREE, Wishes(keep_weights=False), "fused", "fetch"),
        (BOUND, Wishes(), "layers", "fetch"),
        (DianaTarget(), Wishes(), "layers", "fetch"),
        (DianaTarget(), Wishes("rows"), "rows", "fetch"),
    ],
)
def test_what_could_be_done_is_what_the_user_wished_and_the_target_allows(
    target: EngineTarget | DianaTarget, wishes: Wishes, mode: str, weights: str
) -> None:
    found = report(target, wishes)
    assert (found.mode, found.weights) == (mode, weights)


def test_runs_moves_and_layers_are_counted() -> None:
    found, (network, schedule) = report(), small_schedule()
    assert (found.runs, found.moves) == (len(schedule.runs), len(schedule.moves)) and found.runs == 8
    assert found.latency_cycles == schedule.latency_cycles > 0
    assert found.weighted == 5, "all but the decision"
    assert found.memories.keys() == network.machine.stores.keys()
    assert {item.resource for item in found.utilisation} == network.machine.capacities.keys()
    for stage, split in enumerate(found.energy):
        assert sum(split) == pytest.approx(schedule.energy_until(stage))


def test_groups_are_segments_of_several_layers() -> None:
    one = LayerChoice(("a",))
    plan = (Segment((0, 1), (one, one)), Segment((2,), (one,)), Segment((3, 4, 5), (one, one, one)))
    assert (report(plan=plan).groups, report(plan=plan).fused) == (2, 5)
    assert (report().groups, report().fused) == (0, 0)


def test_parts_of_weights_count_in_each_store_they_lie_in() -> None:
    assert report().resident == (ResidentWeights("late", LATE_BITS, ("b.sram",)),)
    half, all_ = Region(0, 3, 0, 1), Region(0, 6, 0, 1)
    twice: Resident = {"late.weights": (("b.sram", half), ("a.sram", all_))}
    (kept,) = report(resident=twice).resident
    assert kept == ResidentWeights("late", LATE_BITS + LATE_BITS // 2, ("a.sram", "b.sram"))
    assert report(resident={"late.weights": ()}).resident == report(resident={}).resident == ()


def test_weights_that_stay_come_in_the_order_the_layers_run() -> None:
    everything = Region(0, 1, 0, 1)
    names = ("final", "late", "head", "rows")
    both: Resident = {f"{name}.weights": (("a.sram", everything),) for name in names}
    assert [kept.layer for kept in report(resident=both).resident] == ["rows", "head", "late", "final"]
