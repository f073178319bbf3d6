"""What was measured, and on what."""

from __future__ import annotations

import pytest

from tests.shared_files import shared
from tools.gap9.measured import HIGH, LOW, MEASURED, clock_hz, measured_cycles, networks_in

MLPERF = "MLPerf Tiny v1.0, GreenWaves GAP9"


def test_both_points_are_the_same_number_of_cycles() -> None:
    assert (clock_hz(HIGH), clock_hz(LOW)) == (370e6, 240e6)
    for name in MEASURED:
        assert measured_cycles(name, LOW) == pytest.approx(measured_cycles(name, HIGH), rel=0.002), MLPERF


def test_power_rises_with_the_rate_of_products() -> None:
    """FACTS: one power for the chip would be wrong."""
    power_mw = {name: 1e3 * at[HIGH].energy_j / at[HIGH].latency_s for name, at in MEASURED.items()}
    assert sorted(power_mw, key=lambda name: power_mw[name]) == [
        "autoencoder", "MobileNetV1-0.25", "DS-CNN", "ResNet8",
    ]  # fmt: skip
    assert power_mw["ResNet8"] > 1.5 * power_mw["autoencoder"]


def test_the_networks_are_those_of_mlperf_tiny() -> None:
    networks = networks_in(shared("models", "mobilenetv1_025_vww.onnx").parent.parent)
    assert networks.keys() == MEASURED.keys()
    macs = {name: sum(layer.macs for layer in layers) for name, layers in networks.items()}
    assert macs["ResNet8"] == pytest.approx(12.5e6, rel=0.01) and macs["autoencoder"] == 264192
    assert macs["MobileNetV1-0.25"] == pytest.approx(7.5e6, rel=0.01) and macs["DS-CNN"] == pytest.approx(
        2.66e6, rel=0.01
    )
