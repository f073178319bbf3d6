"""Fit what no source gives for GAP9 to two measured networks, and say how far each predicts the other.

    EECOMPILE_SHARED=DIR python tools/calibrate_gap9.py

Three numbers are fitted: the cycles of a DMA call, the power of the chip at 0.8 V, and the energy at 0.65 V
over that at 0.8 V. Fitted to one network they must predict the other; fitted to both they are what
``targets/gap9/hardware.yaml`` holds. DIR holds ``models/`` with ResNet8 and MobileNetV1 as ONNX; the other
networks are made on the spot.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_graphsurgeon as gs

from passes.errors import EecompileError
from passes.model.graph import from_model, load
from passes.registry import parse_pipeline
from targets.contract.placement import Placement
from targets.description.architecture import Architecture
from targets.description.figure import Figure
from targets.gap9.target import Gap9Target
from targets.network.layer import Layer
from targets.network.workload import build_workload
from tools.make_tiny_networks import autoencoder, ds_cnn

HIGH, LOW = "0.8V", "0.65V"
GOAL = 0.15
MAX_CALL_CYCLES = 3000
PJ_PER_J = 1e12
PJ_PER_MW_S = 1e9


@dataclass(frozen=True)
class Measured:
    """Latency in s and energy in J of one inference."""

    latency_s: float
    energy_j: float


# Source: MLPerf Tiny v1.0, GreenWaves GAP9.
MEASURED: Mapping[str, Mapping[str, Measured]] = {
    "ResNet8": {HIGH: Measured(0.616e-3, 40.4e-6), LOW: Measured(0.949e-3, 27.7e-6)},
    "DS-CNN": {HIGH: Measured(0.475e-3, 26.7e-6), LOW: Measured(0.732e-3, 18.6e-6)},
}


@dataclass(frozen=True)
class Parameters:
    """What is fitted.

    Attributes:
        cycles_per_call: Cycles to program one DMA transfer.
        power_mw: The chip at 0.8 V while it infers, beside the products of NE16.
        low_scale: Energy at 0.65 V over that at 0.8 V.
    """

    cycles_per_call: float
    power_mw: float
    low_scale: float


@dataclass(frozen=True)
class FittedTarget(Gap9Target):
    """GAP9 with a description of its own."""

    fitted: Architecture | None = None

    @property
    def arch(self) -> Architecture:
        """The description with the fitted numbers in it."""
        return self.fitted or super().arch


def shipped() -> Parameters:
    """Return the numbers of ``hardware.yaml``."""
    arch = Gap9Target().arch
    power, dma = arch.core("ne16").active_power_mw, arch.dma
    assert power is not None and dma is not None
    return Parameters(dma.cycles_per_call.value, power.value, arch.operating_point(LOW).scale)


def target_with(parameters: Parameters, point: str = HIGH) -> Gap9Target:
    """Return GAP9 with ``parameters`` in place of those of ``hardware.yaml``."""
    arch = Gap9Target().arch
    assert arch.dma is not None

    def fitted(value: float) -> Figure:
        return Figure(value=value, known="measured", source="fitted here")

    # A figure is above 0; a fit that wants none gets next to nothing.
    call = fitted(max(parameters.cycles_per_call, 1e-6))
    cores = [c.model_copy(update={"active_power_mw": fitted(parameters.power_mw)}) for c in arch.cores]
    high, low = arch.operating_point(HIGH), arch.operating_point(LOW)
    changes = {
        "dma": arch.dma.model_copy(update={"cycles_per_call": call}),
        "cores": tuple(cores),
        "operating_points": (high, low.model_copy(update={"energy_scale": fitted(parameters.low_scale)})),
    }
    return FittedTarget(point=point, fitted=arch.model_copy(update=changes))


def layers_of(graph: gs.Graph) -> tuple[Layer, ...]:
    """Return the layers GAP9 runs for ``graph``, one after another."""
    parse_pipeline(Gap9Target().pipeline(quantized=False))(graph)
    return build_workload(graph).layers


def predict(layers: Sequence[Layer], target: Gap9Target) -> Measured:
    """Return latency and energy of ``layers`` one after another, as GreenWaves' flow runs them."""
    cycles, energy_pj = 0, 0.0
    for layer in layers:
        placement = target.place(layer)
        assert isinstance(placement, Placement), str(placement)
        cycles += placement.cost.latency_cycles
        energy_pj += placement.cost.energy_pj
    point = target.operating_point
    assert point is not None
    return Measured(cycles / point.clock_hz.value, energy_pj * point.scale / PJ_PER_J)


def fit(networks: Mapping[str, Sequence[Layer]]) -> Parameters:
    """Fit to the measured figures of ``networks``: least squared relative error of latency, then energy."""
    start = shipped()

    def misfit(call: int) -> float:
        found = 0.0
        for name, layers in networks.items():
            latency_s = predict(layers, target_with(Parameters(call, start.power_mw, 1.0))).latency_s
            found += math.log(latency_s / MEASURED[name][HIGH].latency_s) ** 2
        return found

    call = float(_least(misfit, 0, MAX_CALL_CYCLES))
    powers, scales = [], []
    for name, layers in networks.items():
        unit = predict(layers, target_with(Parameters(call, 1.0, 1.0)))
        products_j = unit.energy_j - 1e-3 * unit.latency_s
        powers.append((MEASURED[name][HIGH].energy_j - products_j) / unit.latency_s * 1e3)
        scales.append(MEASURED[name][LOW].energy_j / MEASURED[name][HIGH].energy_j)
    return Parameters(call, statistics.mean(powers), statistics.mean(scales))


def _least(function: Callable[[int], float], low: int, high: int) -> int:
    """Return where ``function`` is least from ``low`` to ``high``; it falls up to there and then rises."""
    while low < high:
        middle = (low + high) // 2
        if function(middle) <= function(middle + 1):
            high = middle
        else:
            low = middle + 1
    return low


def errors(layers: Sequence[Layer], name: str, parameters: Parameters) -> dict[str, tuple[float, float]]:
    """Return the relative errors of latency and energy of network ``name`` by operating point."""
    found = {}
    for point, measured in MEASURED[name].items():
        guess = predict(layers, target_with(parameters, point))
        found[point] = (guess.latency_s / measured.latency_s - 1, guess.energy_j / measured.energy_j - 1)
    return found


def report(networks: Mapping[str, Sequence[Layer]]) -> bool:
    """Print all fits and their errors; returns whether every network predicts the other within the goal."""
    fitted = {name: fit({name: networks[name]}) for name in MEASURED}
    fits = {**fitted, "both": fit({name: networks[name] for name in MEASURED}), "hardware.yaml": shipped()}
    print("fitted to       cycles/call  power mW  0.65 V scale")
    for title, p in fits.items():
        print(f"{title:<15} {p.cycles_per_call:11.0f} {p.power_mw:9.2f} {p.low_scale:13.4f}")
    print(
        "\nfitted to       predicts  point    latency ms: measured predicted  error   energy uJ: same  error"
    )
    worst = 0.0
    for title, parameters in fits.items():
        for name in MEASURED:
            for point, (latency, energy) in errors(networks[name], name, parameters).items():
                m = MEASURED[name][point]
                foreign = title in MEASURED and title != name
                worst = max(worst, abs(latency), abs(energy)) if foreign else worst
                print(
                    f"{title:<15} {name:<9} {point:<6} {m.latency_s * 1e3:18.3f} "
                    f"{m.latency_s * (1 + latency) * 1e3:12.3f} {latency:+8.1%} {m.energy_j * 1e6:8.1f} "
                    f"{m.energy_j * (1 + energy) * 1e6:8.1f} {energy:+8.1%}{'  <- other' if foreign else ''}"
                )
    print(f"\nworst error of predicting the other network: {worst:.1%} (goal: {GOAL:.0%})")
    print("\npredicted with hardware.yaml, never fitted to")
    for name in (n for n in networks if n not in MEASURED):
        for point in (HIGH, LOW):
            guess = predict(networks[name], target_with(shipped(), point))
            print(f"{name:<12} {point:<6} {guess.latency_s * 1e3:8.3f} ms {guess.energy_j * 1e6:8.1f} uJ")
    return worst <= GOAL


def networks_in(shared: Path) -> dict[str, tuple[Layer, ...]]:
    """Return the layers of the four networks of MLPerf Tiny."""
    models = shared / "models"
    return {
        "ResNet8": layers_of(load(models / "resnet8_cifar10.onnx")),
        "DS-CNN": layers_of(from_model(ds_cnn(), "ds_cnn")),
        "MobileNetV1": layers_of(load(models / "mobilenetv1_025_vww.onnx")),
        "autoencoder": layers_of(from_model(autoencoder(), "autoencoder")),
    }


def main() -> None:
    """Fit and report; exits with 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    folder = os.environ.get("EECOMPILE_SHARED", "../shared")
    parser.add_argument("--shared", type=Path, default=Path(folder), help="folder with models/")
    try:
        networks = networks_in(parser.parse_args().shared)
    except EecompileError as error:
        parser.error(f"{error} (set EECOMPILE_SHARED or give --shared)")
    raise SystemExit(0 if report(networks) else 1)


if __name__ == "__main__":
    main()
