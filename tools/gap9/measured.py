"""What was measured on GAP9, and the networks it was measured on, as layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx_graphsurgeon as gs

from passes.model.graph import from_model, load
from passes.registry import parse_pipeline
from targets.gap9.target import Gap9Target
from targets.network.layer import Layer
from targets.network.workload import build_workload
from tools.make_tiny_networks import autoencoder, ds_cnn

HIGH, LOW = "0.8V", "0.65V"
SOURCE = "MLPerf Tiny v1.0, GreenWaves GAP9"
LOG = "efficientnet_lite0_layers.tsv"


@dataclass(frozen=True)
class Measured:
    """Latency in s and energy in J of one inference."""

    latency_s: float
    energy_j: float


# Source: MLPerf Tiny v1.0, GreenWaves GAP9.
MEASURED: Mapping[str, Mapping[str, Measured]] = {
    "ResNet8": {HIGH: Measured(0.616e-3, 40.4e-6), LOW: Measured(0.949e-3, 27.7e-6)},
    "DS-CNN": {HIGH: Measured(0.475e-3, 26.7e-6), LOW: Measured(0.732e-3, 18.6e-6)},
    "MobileNetV1-0.25": {HIGH: Measured(1.125e-3, 58.4e-6), LOW: Measured(1.733e-3, 40.8e-6)},
    "autoencoder": {HIGH: Measured(0.176e-3, 7.29e-6), LOW: Measured(0.271e-3, 5.25e-6)},
}


def clock_hz(point: str) -> float:
    """Return the clock of an operating point in Hz."""
    return Gap9Target().arch.operating_point(point).clock_hz.value


def measured_cycles(network: str, point: str) -> float:
    """Return the measured latency in cycles of that point."""
    return MEASURED[network][point].latency_s * clock_hz(point)


def layers_of(graph: gs.Graph) -> tuple[Layer, ...]:
    """Return the layers GAP9 runs for ``graph``, one after another."""
    parse_pipeline(Gap9Target().pipeline(quantized=False))(graph)
    return build_workload(graph).layers


def networks_in(shared: Path) -> dict[str, tuple[Layer, ...]]:
    """Return the layers of the four networks of MLPerf Tiny; two are read from ``shared``/models.

    Raises:
        EecompileError: A file is not there or no ONNX.
    """
    models = shared / "models"
    return {
        "ResNet8": layers_of(load(models / "resnet8_cifar10.onnx")),
        "DS-CNN": layers_of(from_model(ds_cnn(), "ds_cnn")),
        "MobileNetV1-0.25": layers_of(load(models / "mobilenetv1_025_vww.onnx")),
        "autoencoder": layers_of(from_model(autoencoder(), "autoencoder")),
    }
