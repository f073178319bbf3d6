"""What is written where."""

from __future__ import annotations

import pytest
import yaml

from passes.errors import InputError
from tools.gap9.calibration import Fits
from tools.gap9.errors import ENERGY, LATENCY, Compare
from tools.gap9.files import parameter_sets_text, validation_text, with_numbers

DESCRIPTION = """cores:
  - name: one
    active_power_mw: {value: 1.5, known: measured, source: "a, b"}
    rates:
      speed: {value: 2, known: placeholder, source: "c"}  # why
  - name: two
    active_power_mw: {value: 3, known: measured, source: "d"}
"""


def test_numbers_go_where_they_belong_and_nothing_else_changes() -> None:
    found = with_numbers(DESCRIPTION, {"two.active_power_mw": 4.25, "one.speed": 1e-05})
    assert found == DESCRIPTION.replace("value: 3,", "value: 4.25,").replace("value: 2,", "value: 1e-05,")
    read = yaml.safe_load(found)
    assert read["cores"][0]["active_power_mw"]["value"] == 1.5
    with pytest.raises(InputError, match=r"no figure 'one\.weight'"):
        with_numbers(DESCRIPTION, {"one.weight": 1.0})


def test_sets_are_named_by_what_is_left_out() -> None:
    text = parameter_sets_text(Fits({"a.b": 1.0}, {"net": {"a.b": 2.5}, "the log": {"a.b": 0.001}}))
    assert yaml.safe_load(text) == {"sets": {"without net": {"a.b": 2.5}, "without the log": {"a.b": 0.001}}}


def test_validation_has_an_entry_per_network_and_point() -> None:
    found = [
        Compare("net", point, quantity, 100.4, 110.0, 120.0)
        for point in ("x", "y")
        for quantity in (LATENCY, ENERGY)
    ]
    read = yaml.safe_load(validation_text(found))
    assert read["command"] == "python -m tools.calibrate_gap9" and "left_out" in read["note"]
    assert [(one["network"], one["point"], one["fitted"]) for one in read["networks"]] == [
        ("net (MLPerf Tiny)", "x", True),
        ("net (MLPerf Tiny)", "y", True),
    ]
    for one in read["networks"]:
        assert (
            one["latency_cycles"] == one["energy_pj"] == {"measured": 100, "predicted": 110, "left_out": 120}
        )
        assert one["cost_model"] == "plinio" and "MLPerf Tiny v1.0" in one["source"]
