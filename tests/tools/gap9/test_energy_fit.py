"""The fit of energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from targets.gap9.chain import places
from targets.gap9.target import Gap9Target
from targets.network.layer import Layer
from targets.testing.conformance import sample_layer
from tests.targets.networks import linear_layer, square
from tools.gap9 import energy_fit
from tools.gap9.calibration import predict
from tools.gap9.cycles_fit import Case
from tools.gap9.energy_fit import COMPUTING, PRODUCT, SCALE, WAITING, busy, fit_energy
from tools.gap9.measured import HIGH, LOW, Measured

GAP9 = Gap9Target()
TRUE = {WAITING: 30.0, COMPUTING: 90.0, PRODUCT: 0.3, SCALE: 0.6}


def case_of(*layers: Layer) -> Case:
    return Case(layers, places(GAP9, layers), 1.0)


ADD = replace(sample_layer("Add", channels=64, size=32), name="add")
CASES = {
    "products": case_of(linear_layer(square(64, 64, 16, 3))),
    "waiting": case_of(linear_layer(square(16, 16, 16, 3, groups=16))),
    "cluster": case_of(ADD),
    "all": case_of(ADD, linear_layer(square(64, 64, 16, 1))),
}


def energies() -> Mapping[str, Mapping[str, Measured]]:
    chip = Gap9Target().with_values(TRUE, "true")
    return {
        name: {point: Measured(1.0, predict(chip, case, point).energy_pj * 1e-12) for point in (HIGH, LOW)}
        for name, case in CASES.items()
    }


def test_the_powers_that_made_energies_are_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy_fit, "MEASURED", energies())
    found = fit_energy(GAP9, CASES)
    assert found == {key: pytest.approx(value, rel=0.01) for key, value in TRUE.items()}


def test_where_no_network_tells_the_energy_of_a_product_is_the_published_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(energy_fit, "MEASURED", energies())
    found = fit_energy(GAP9, {"cluster": CASES["cluster"]})
    assert found[PRODUCT] == pytest.approx(energy_fit.PUBLISHED_PJ)


def test_what_a_case_is_to_the_energy_model() -> None:
    found = busy(GAP9, CASES["all"])
    add = GAP9.cost(ADD, "cluster")
    conv = GAP9.cost(CASES["all"].layers[1], "ne16")
    assert found.computing_s == pytest.approx(add.host_cycles / 370e6)
    assert found.waiting_s + found.computing_s == pytest.approx(
        (add.latency_cycles + conv.latency_cycles) / 370e6
    )
    assert found.products == 64 * 64 * 256
