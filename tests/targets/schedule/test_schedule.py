from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.schedule.list_scheduler import schedule
from targets.schedule.slot_checker import problems
from targets.schedule.timeline import Job, Phase, Slot, Timeline


def job(
    name: str, core: str, cycles: int, after: tuple[str, ...] = (), stage: int = 0, host: bool = False
) -> Job:
    phases = (Phase("dma", cycles // 2, "dma"), Phase(core, cycles - cycles // 2, "compute"))
    waits = ("host",) if host else ()
    return Job(name, phases, ("dma", core, *waits) if host else (core,), waits, after, stage)


@st.composite
def job_lists(draw: st.DrawFn) -> list[Job]:
    jobs: list[Job] = []
    stage = 0
    for index in range(draw(st.integers(1, 14))):
        stage += draw(st.integers(0, 4)) == 4
        before = draw(st.sets(st.sampled_from([j.name for j in jobs]), max_size=3)) if jobs else set()
        core = draw(st.sampled_from("abc"))
        cycles = draw(st.integers(1, 50))
        phase = Phase(core, cycles, "compute")
        jobs.append(Job(f"j{index:02}", (phase,), (core,), (), tuple(sorted(before)), stage))
    return jobs


@given(job_lists())
def test_schedules_are_valid_and_bounded(jobs: list[Job]) -> None:
    timeline = schedule(jobs)
    assert problems(jobs, timeline) == []
    work = {core: sum(j.cycles for j in jobs if core in j.holds) for core in "abc"}
    assert max(work.values()) <= timeline.end_cycle <= sum(j.cycles for j in jobs)
    assert list(timeline.stage_end_cycles) == sorted(timeline.stage_end_cycles)
    assert all(timeline.busy_cycles(core) == cycles for core, cycles in work.items())


@given(job_lists(), st.randoms(use_true_random=False))
def test_the_order_of_the_list_does_not_matter(jobs: list[Job], random: object) -> None:
    shuffled = list(jobs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert schedule(jobs) == schedule(shuffled)


def test_independent_jobs_run_side_by_side() -> None:
    timeline = schedule([job("a", "x", 10), job("b", "y", 10)])
    assert timeline.end_cycle == 10
    waiting = schedule([job("a", "x", 10, host=True), job("b", "y", 10, host=True)])
    assert waiting.end_cycle == 20, "the busy-waiting host serves one job at a time"


def test_the_longer_chain_goes_first() -> None:
    jobs = [job("a", "x", 10), job("b", "x", 10), job("c", "y", 30, after=("b",))]
    assert schedule(jobs).end_cycle == 40


def test_stages_are_barriers() -> None:
    jobs = [job("a", "x", 10), job("b", "y", 5, stage=1)]
    timeline = schedule(jobs, ["first", "second", "empty"])
    assert timeline.stage_end_cycles == (10, 15, 15)


def test_jobs_that_wait_for_each_other_are_told() -> None:
    with pytest.raises(ValueError, match="depends on itself"):
        schedule([job("a", "x", 1, after=("b",)), job("b", "x", 1, after=("a",))])
    with pytest.raises(ValueError, match="'a' waits"):
        schedule([job("a", "x", 1, after=("nowhere",))])


@pytest.mark.parametrize(
    ("slots", "message"),
    [
        ([], "'a': phases are"),
        ([("x", "a", 0, 9), ("y", "b", 10, 15)], "'a': phases are"),
        ([("x", "a", 0, 10), ("y", "b", 5, 10)], "'b' starts at 5, before 'a' ends"),
        ([("x", "a", 0, 10), ("y", "b", 10, 15), ("x", "c", 3, 6)], "'c' is scheduled but is no job"),
    ],
)
def test_the_checker_finds_faults(slots: list[tuple[str, str, int, int]], message: str) -> None:
    jobs = [
        Job("a", (Phase("x", 10, "compute"),), ("x",)),
        Job("b", (Phase("y", 5, "compute"),), ("y",), predecessors=("a",)),
    ]
    timeline = Timeline(tuple(Slot(r, n, s, e, "compute") for r, n, s, e in slots), (15,))
    assert any(message in problem for problem in problems(jobs, timeline))


def test_the_checker_finds_shared_resources_gaps_and_stages() -> None:
    jobs = [job("a", "x", 10, host=True), job("b", "y", 10, host=True)]
    valid = schedule(jobs)
    assert problems(jobs, valid) == []
    together = tuple(
        replace(s, start_cycle=s.start_cycle % 10, end_cycle=(s.end_cycle - 1) % 10 + 1) for s in valid.slots
    )
    assert any("host is held by" in p for p in problems(jobs, replace(valid, slots=together)))
    split = (Slot("dma", "a", 0, 5, "dma"), Slot("x", "a", 7, 12, "compute"))
    assert any("gap" in p for p in problems(jobs[:1], Timeline(split, (12,))))
    early = [jobs[0], replace(jobs[1], stage=1, holds=("y",), waits=())]
    overlapping = schedule([early[0], replace(early[1], stage=0)])
    assert any("earlier stage" in p for p in problems(early, overlapping))
