"""All fits: with everything, and with each network left out; and what the chip takes by each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from targets.gap9.parameter_sets import parameter_sets
from targets.gap9.target import Gap9Target
from targets.network.layer import Layer
from tools.gap9.cycles_fit import Case, chain_of, fit_cycles, log_cases, network_cases
from tools.gap9.energy_fit import fit_energy
from tools.gap9.layer_log import LogLayer, layers_in
from tools.gap9.log_rows import read_rows
from tools.gap9.measured import LOG, networks_in

THE_LOG = "the log"
DIGITS = 5
"""Significant digits of what is stored."""


@dataclass(frozen=True)
class Evidence:
    """What is fitted to: networks by name, and the log of layers."""

    networks: Mapping[str, Case]
    log: tuple[LogLayer, ...]


@dataclass(frozen=True)
class Fits:
    """Fitted numbers, by part and key: with everything, and without each network or the log."""

    all: Mapping[str, float]
    without: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Prediction:
    """Latency in cycles and energy in pJ of one inference."""

    latency_cycles: int
    energy_pj: float


def evidence_in(shared: Path) -> Evidence:
    """Read networks and log from a folder with ``models`` and ``reference``. Raises EecompileError."""
    path = shared / "reference" / "gap9" / LOG
    return evidence_of(networks_in(shared), layers_in(read_rows(path), path.name))


def evidence_of(networks: Mapping[str, Sequence[Layer]], log: tuple[LogLayer, ...]) -> Evidence:
    """Return networks as cases beside the log."""
    return Evidence(dict(zip(networks, network_cases(networks), strict=True)), log)


def fit_all(evidence: Evidence) -> Fits:
    """Fit with everything, again without each network, and without the log where networks know better."""
    log = log_cases(evidence.log)
    without = {THE_LOG: _fit(evidence.networks, log, networks_alone=True)}
    for name in evidence.networks:
        others = {other: case for other, case in evidence.networks.items() if other != name}
        without[name] = _fit(others, log)
    return Fits(_fit(evidence.networks, log), without)


def _fit(networks: Mapping[str, Case], log: Sequence[Case], networks_alone: bool = False) -> dict[str, float]:
    """Return the numbers for cycles and those for energy, to the digits that are stored."""
    cycles = fit_cycles(list(networks.values()), log, networks_alone)
    energy = fit_energy(Gap9Target().with_values(cycles, "fitted here"), networks)
    return {key: float(f"{value:.{DIGITS}g}") for key, value in {**cycles, **energy}.items()}


def left_out(name: str) -> str:
    """Return the name of the stored numbers fitted without network ``name``."""
    return f"without {name}"


def stored_target(name: str) -> Gap9Target:
    """Return GAP9 with the stored numbers fitted without network ``name``."""
    return Gap9Target().with_values(parameter_sets()[left_out(name)], f"fitted {left_out(name)}")


def predict(target: Gap9Target, case: Case, point: str) -> Prediction:
    """Return what the layers of a case take one after another, as GreenWaves' flow runs them."""
    chain = chain_of(target, case)
    scale = target.arch.operating_point(point).scale
    return Prediction(
        sum(one.cost.latency_cycles for one in chain), scale * sum(one.cost.energy_pj for one in chain)
    )
