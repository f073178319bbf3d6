from __future__ import annotations

from typing import Any

import pytest

from eecompile.report.findings.idle_cores import idle_cores
from eecompile.report.schedule_facts import ResourceFacts, ScheduleFacts, StageFacts
from eecompile.run_files.summary import Summary
from tests.eecompile.fabricated_run import summary
from tests.eecompile.report.findings.asked_for import check_trials, typed


def made(**changes: Any) -> Summary:
    return Summary.model_validate({**summary(), "schedule": "layers", "quantize": "ptq", **changes})


def facts(**working: tuple[float, float]) -> ScheduleFacts:
    """Return facts of two exit paths; the host is no core of the chip."""
    resources = tuple(
        ResourceFacts(
            name=name,
            group="host" if name == "host" else "core",
            capacity=1,
            working=shares,
            taken=(1.0, 1.0),
            bits=(0, 0),
        )
        for name, shares in working.items()
    )
    stages = (StageFacts(name="exit_0", end_cycle=50), StageFacts(name="final", end_cycle=100))
    return ScheduleFacts(name="x", clock_hz=None, stages=stages, resources=resources, stores=(), energy_pj=())


def test_the_busiest_core_waits_while_it_computes_nothing_on_each_path() -> None:
    (found,) = idle_cores(made(), facts(digital=(0.5, 0.65), simd=(0.2, 0.1), host=(0.9, 0.9)))
    assert (found.figure, found.unit, typed(found.trial)) == ("35 %", "waiting", "--schedule rows")
    assert found.finding == (
        "digital, the busiest core, waits part of the time, 50 % up to exit_0 and 35 % up to final"
    )


def test_cores_that_hardly_work_are_told_together_with_the_least_they_wait() -> None:
    cores = facts(digital=(0.5, 0.65), simd=(0.001, 0.002), pooling=(0.006, 0.001), busy=(0.0, 0.3))
    _, found = idle_cores(made(), cores)
    assert found.finding == "simd and pooling wait at least 99 % of the time on every path"
    assert (found.figure, typed(found.trial)) == ("99 %", "--schedule rows")
    _, never = idle_cores(made(schedule="rows"), facts(digital=(0.5, 0.65), simd=(0, 0)))
    assert never.finding == "simd waits all of the time on every path"
    assert typed(never.trial) == "eecompile targets diana"


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({}, "--placement mixed"),
        ({"placement": "auto"}, "--placement mixed"),
        ({"placement": "digital"}, "--schedule rows"),
        ({"quantize": None}, "--schedule rows"),
        ({"target": "of my own"}, "eecompile cost resnet8_cifar10 --target FILE"),
    ],
)
def test_an_analog_array_gets_layers_by_placement_unless_that_was_told(
    changes: dict[str, Any], option: str
) -> None:
    found = idle_cores(made(**changes), facts(digital=(0.5, 0.65), analog=(0, 0)))
    assert typed(found[-1].trial) == option
    check_trials(found)


def test_where_nothing_is_known_nothing_is_said() -> None:
    assert idle_cores(made(), None) == ()
    assert idle_cores(made(), facts(host=(1, 1))) == ()
