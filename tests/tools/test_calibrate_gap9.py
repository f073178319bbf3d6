"""GAP9's fitted numbers: what is shipped is the fit, and it predicts what it was not fitted to."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from eecompile import api
from targets.network.layer import Layer
from tests.shared_files import shared
from tools.calibrate_gap9 import (
    GOAL,
    HIGH,
    MEASURED,
    errors,
    fit,
    networks_in,
    predict,
    report,
    shipped,
    target_with,
)

MLPERF = "MLPerf Tiny v1.0, GreenWaves GAP9"


@pytest.fixture(scope="module")
def networks() -> Mapping[str, tuple[Layer, ...]]:
    shared("models", "mobilenetv1_025_vww.onnx")
    return networks_in(shared("models").parent)


def test_the_description_holds_the_fit_to_both(networks: Mapping[str, tuple[Layer, ...]]) -> None:
    both = fit({name: networks[name] for name in MEASURED})
    held = shipped()
    assert held.cycles_per_call == pytest.approx(both.cycles_per_call, rel=0.005)
    assert held.power_mw == pytest.approx(both.power_mw, rel=0.005)
    assert held.low_scale == pytest.approx(both.low_scale, rel=0.005)


@pytest.mark.parametrize(("fitted_to", "predicts"), [("ResNet8", "DS-CNN"), ("DS-CNN", "ResNet8")])
def test_each_network_predicts_the_other(
    networks: Mapping[str, tuple[Layer, ...]], fitted_to: str, predicts: str
) -> None:
    parameters = fit({fitted_to: networks[fitted_to]})
    own = errors(networks[fitted_to], fitted_to, parameters)
    assert max(abs(e) for pair in own.values() for e in pair) < 0.005, "a fit to one network meets it"
    for point, (latency, energy) in errors(networks[predicts], predicts, parameters).items():
        assert abs(latency) <= 0.12 <= GOAL and abs(energy) <= 0.12, f"{MLPERF}, at {point}"


def test_the_shipped_numbers_are_as_near_as_the_target_says(
    networks: Mapping[str, tuple[Layer, ...]],
) -> None:
    for name in MEASURED:
        for point, (latency, energy) in errors(networks[name], name, shipped()).items():
            assert abs(latency) <= 0.07 and abs(energy) <= 0.03, f"{MLPERF}: {name} at {point}"


def test_layers_follow_one_another_in_the_schedule_too(networks: Mapping[str, tuple[Layer, ...]]) -> None:
    """Fitted to a sum over layers; a schedule that ran them side by side would not be what was fitted."""
    report_ = api.cost(shared("models", "resnet8_cifar10.onnx"), target="gap9")
    alone = predict(networks["ResNet8"], target_with(shipped(), HIGH))
    assert report_.total.latency_s == pytest.approx(alone.latency_s)
    assert report_.total.energy_pj == pytest.approx(alone.energy_j * 1e12)


def test_the_report_says_whether_the_goal_is_met(
    networks: Mapping[str, tuple[Layer, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(networks)
    text = capsys.readouterr().out
    assert "goal: 15%" in text
    assert all(f"{name:<12} {point}" in text for name in ("MobileNetV1", "autoencoder") for point in (HIGH,))
