"""Other numbers in GAP9's description."""

from __future__ import annotations

import pytest

from passes.errors import InputError
from targets.gap9.parameter_sets import LEAST, parameter_sets, values
from targets.gap9.target import Gap9Target
from targets.testing.conformance import sample_layer

ARCH = Gap9Target().arch


@pytest.mark.parametrize(
    "key",
    [
        "ne16.cycles_more_per_pointwise_pass",
        "cluster.active_power_mw",
        "l3.bandwidth_bytes_per_cycle",
        "0.65V.energy_scale",
    ],
)
def test_one_number_changes_and_no_other(key: str) -> None:
    changed = Gap9Target(point="0.65V").with_values({key: 0.5}, "a test")
    before, after = values(ARCH), values(changed.arch)
    assert after == before | {key: 0.5} and before[key] != 0.5
    assert changed.point == "0.65V"
    assert "a test" in {figure.source for figure in changed.arch.figures().values()}


def test_what_a_fit_does_not_want_is_next_to_nothing() -> None:
    key = "ne16.energy_pj_per_mac"
    assert values(Gap9Target().with_values({key: 0.0}, "a test").arch)[key] == LEAST


def test_an_unknown_number_is_refused() -> None:
    with pytest.raises(InputError, match=r"no number 'ne16\.speed'"):
        Gap9Target().with_values({"ne16.speed": 1.0}, "a test")


def test_the_stored_sets_are_models_of_the_chip_that_differ() -> None:
    found = Gap9Target(point="0.65V").alternatives()
    assert {"without ResNet8", "without DS-CNN", "without the log"} <= {item.name for item in found}
    assert [item.name for item in found] == list(parameter_sets()) and len(found) == 5
    layer = sample_layer("Conv")
    costs = [item.target.cost(layer, "ne16") for item in found]
    assert len({cost.energy_pj for cost in costs}) == 5
    assert all(item.target.point == "0.65V" and item.target.arch != ARCH for item in found)
    for item in found:
        held = values(item.target.arch)
        assert {key: held[key] for key in parameter_sets()[item.name]} == dict(parameter_sets()[item.name])
