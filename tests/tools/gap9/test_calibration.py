"""All fits, on what was measured: what is stored is what is fitted, and it is as near as is said."""

from __future__ import annotations

import pytest
import yaml

from eecompile import api
from targets.gap9.parameter_sets import parameter_sets, values
from targets.gap9.target import Gap9Target
from tests.shared_files import shared
from tools.gap9.calibration import (
    THE_LOG,
    Evidence,
    Fits,
    evidence_in,
    fit_all,
    left_out,
    predict,
    stored_target,
)
from tools.gap9.errors import comparisons, misses
from tools.gap9.files import FOLDER, PAGE, parameter_sets_text, validation_text
from tools.gap9.log_report import compare
from tools.gap9.measured import HIGH, LOG, MEASURED
from tools.gap9.page import page_text

GAP9 = Gap9Target()


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    shared("models", "mobilenetv1_025_vww.onnx")
    return evidence_in(shared("reference", "gap9", LOG).parents[2])


def stored_fits() -> Fits:
    """Return the fit as it is stored; which numbers are fitted is said by the sets."""
    sets = yaml.safe_load((FOLDER / "parameter_sets.yaml").read_text())["sets"]
    without = {name: sets[left_out(name)] for name in (THE_LOG, *MEASURED)}
    held = values(GAP9.arch)
    return Fits({key: held[key] for key in without[THE_LOG]}, without)


@pytest.mark.slow
def test_what_is_stored_is_the_fit(evidence: Evidence) -> None:
    fits = fit_all(evidence)
    held = values(GAP9.arch)
    assert {key: held[key] for key in fits.all} == pytest.approx(dict(fits.all), rel=0.005)
    assert {left_out(name) for name in fits.without} == set(parameter_sets())
    for name, numbers in fits.without.items():
        stored = values(stored_target(name).arch)
        # Numbers at their least bound are next to nothing, whatever they are.
        assert {k: stored[k] for k in numbers} == pytest.approx(dict(numbers), rel=0.005, abs=0.05), name


def test_files_hold_what_the_stored_numbers_give(evidence: Evidence) -> None:
    without = {name: stored_target(name) for name in MEASURED}
    found = comparisons(evidence, GAP9, without)
    assert (FOLDER / "validation.yaml").read_text() == validation_text(found)
    log = compare(evidence.log)
    assert PAGE.read_text() == page_text(stored_fits(), found, log)
    assert (FOLDER / "parameter_sets.yaml").read_text() == parameter_sets_text(stored_fits())
    assert misses(found, log) == [], "all goals are met"


def test_the_target_says_no_more_than_holds(evidence: Evidence) -> None:
    found = comparisons(evidence, GAP9, {name: stored_target(name) for name in MEASURED})
    assert "within 9 % in latency and in energy" in " ".join(GAP9.model.known_error.split())
    assert max(abs(one.honest_error) for one in found) <= 0.09
    assert all(one.error > 0 for one in found if one.quantity == "latency"), "all too high, as it says"


def test_layers_follow_one_another_in_the_schedule_too(evidence: Evidence) -> None:
    """Fitted to a sum over layers; a schedule that ran them side by side would not be what was fitted."""
    report = api.cost(shared("models", "resnet8_cifar10.onnx"), target="gap9")
    alone = predict(GAP9, evidence.networks["ResNet8"], HIGH)
    assert report.total.latency_cycles == alone.latency_cycles
    assert report.total.energy_pj == pytest.approx(alone.energy_pj)
