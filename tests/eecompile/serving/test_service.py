"""Stage times out of a run's costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eecompile.run_files.summary import ExitResult, StaticResult, Summary
from eecompile.serving.cores.use import CoreUse
from eecompile.serving.service import ServiceTime, service_time, static_service_time
from passes.errors import InputError
from targets.residence import Residence, StageBoundary, StoreUse

COSTS: dict[str, Any] = {"macs": 1, "edp_js": None, "edp_j_cycles": 0.0}


def summary(clocked: bool) -> Summary:
    """Return the costs of a run with two exits, of 100 and 350 cycles; static takes 300."""

    def seconds(cycles: int) -> float | None:
        return cycles * 1e-6 if clocked else None

    exits = tuple(
        ExitResult(
            name=name, mount="m", latency_cycles=cycles, latency_s=seconds(cycles), energy_pj=pj, **COSTS
        )
        for name, cycles, pj in (("early", 100, 2e6), ("final", 350, 9e6))
    )
    static = StaticResult(latency_cycles=300, latency_s=seconds(300), energy_pj=8e6, **COSTS)
    return Summary.model_construct(target="somewhere", exits=exits, static=static)


def test_a_stage_is_what_its_exit_takes_more_than_the_one_before() -> None:
    found = service_time(summary(True))
    assert found.stage_s[:, 0] == pytest.approx([1e-4, 2.5e-4])
    assert found.stage_j[:, 0] == pytest.approx([2e-6, 7e-6])
    assert found.alone_s == pytest.approx([1e-4, 3.5e-4])
    assert (found.stages, found.largest_batch) == (2, 1)
    assert static_service_time(summary(True)).stage_s == pytest.approx(np.array([[3e-4]]))


def test_a_target_without_a_clock_needs_one_and_a_given_one_counts() -> None:
    with pytest.raises(InputError, match="'somewhere' has no clock"):
        service_time(summary(False))
    assert service_time(summary(False), 2e6).alone_s == pytest.approx([5e-5, 1.75e-4])
    assert service_time(summary(True), 2e6).alone_s == pytest.approx([5e-5, 1.75e-4])


@pytest.mark.parametrize("bad", [-1.0, np.inf, np.nan])
def test_times_that_are_none_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite and not negative"):
        ServiceTime(np.array([[bad]]), np.array([[1.0]]))
    with pytest.raises(ValueError, match="both"):
        ServiceTime(np.array([[1.0]]), np.array([1.0]))


def test_uses_of_other_times_are_refused() -> None:
    seconds = np.array([[1.0]])
    ServiceTime(seconds, seconds, uses=[[CoreUse(1.0, {}, {})]])
    with pytest.raises(ValueError, match="of the times of the stages"):
        ServiceTime(seconds, seconds, uses=[[CoreUse(1.1, {}, {})]])


def test_loads_and_memories_are_those_of_the_summary_at_its_clock() -> None:
    uses = (StoreUse("sram", False, 800, 160, 400),)
    boundary = StageBoundary("early", {"sram": 80}, 20, 3e6, 40, 5e6)
    found = service_time(
        summary(True).model_copy(update={"residence": Residence(160, 50, 7e6, uses, (boundary,))})
    )
    assert (found.load_s, found.load_j) == pytest.approx((5e-5, 7e-6))
    assert found.footprint is not None and found.footprint.stores == uses
    left = found.footprint.boundaries[0]
    assert (left.out_s, left.out_j, left.back_s, left.back_j) == pytest.approx((2e-5, 3e-6, 4e-5, 5e-6))
    before = static_service_time(summary(True))
    assert before.footprint is None and before.load_s == 0.0
