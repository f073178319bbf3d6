"""What a trace says beside its events is read as it was written, or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eecompile.report.schedule_facts import EnergyFacts, ScheduleFacts, schedule_facts
from passes.errors import InputError
from tests.eecompile.report.made_traces import tiled, trace_of


def other(**changes: object) -> dict[str, Any]:
    """Return ``otherData`` of a schedule of two exit paths, as it is in the file."""
    found: dict[str, Any] = json.loads(json.dumps(trace_of(tiled(), 250e6)["otherData"]))
    return {**found, **changes}


def test_figures_are_those_of_the_file() -> None:
    written = other()
    facts = schedule_facts(written)
    assert facts is not None
    assert (facts.name, facts.clock_hz) == ("small", 250e6)
    assert [(stage.name, stage.end_cycle) for stage in facts.stages] == [("early", 1000), ("late", 2000)]
    read = json.loads(facts.model_dump_json())
    assert read["resources"] and read["stores"] and read["energy_pj"]
    assert all(read[key] == written[key] for key in ("stages", "resources", "stores", "energy_pj"))


def test_keys_of_later_versions_are_passed_over() -> None:
    written = other(invented=3)
    written["stages"][0]["invented"] = 4
    assert schedule_facts(written) == schedule_facts(other())


@pytest.mark.parametrize("value", [None, [], "text", {}, {"clock_hz": None, "time_unit": "us"}])
def test_traces_of_earlier_versions_say_nothing(value: object) -> None:
    assert schedule_facts(value) is None


def test_energy_may_be_absent() -> None:
    facts = schedule_facts(other(energy_pj=[]))
    assert isinstance(facts, ScheduleFacts) and facts.energy_pj == ()


def test_energy_of_a_path_is_that_of_its_parts() -> None:
    assert EnergyFacts(cores=1, onchip=20, offchip=300, links=4000).total == 4321


def test_there_is_one_exit_path_at_least() -> None:
    with pytest.raises(InputError, match="one figure per exit path"):
        schedule_facts(other(stages=[], resources=[], stores=[], energy_pj=[]))


RESOURCE = {"name": "a", "group": "core", "capacity": 1, "working": [1, 1], "taken": [1, 1], "bits": [0, 0]}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("resources", 3, "resources: "),
        ("resources", [{**RESOURCE, "working": [1]}], "one figure per exit path"),
        ("resources", [{**RESOURCE, "taken": [1]}], "one figure per exit path"),
        ("resources", [{**RESOURCE, "bits": [0, 0, 0]}], "one figure per exit path"),
        ("resources", [RESOURCE, {"name": "b"}], r"resources\.1\.group: "),
        ("stages", [], "one figure per exit path"),
        ("stores", [{"name": "x", "capacity_bits": None, "peaks_bits": [1]}], "one figure per exit path"),
        ("energy_pj", [{"cores": 1.0}], r"energy_pj\.0\.onchip: "),
        ("energy_pj", [{"cores": 1, "onchip": 1, "offchip": 1, "links": 1}], "one figure per exit path"),
    ],
)
def test_damaged_facts_are_told(key: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=rf"^schedule\.trace\.json is damaged: .*{message}") as caught:
        schedule_facts(other(**{key: value}))
    assert caught.value.hint == "repeat the run"
