"""Costs of a network through the typed face."""

from __future__ import annotations

from pathlib import Path

import pytest

from eecompile import api

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits_resnet.onnx"


@pytest.mark.parametrize(
    ("objective", "latency_cycles", "energy_pj"),
    [("latency", 9869, 10679527.05), ("energy", 10040, 10528558.73), ("edp", 9873, 10536863.85)],
)
def test_costs_of_the_example_stay_what_they_are(
    objective: str, latency_cycles: int, energy_pj: float
) -> None:
    """No outside reference: figures of this project, so that a change of the model or search shows."""
    total = api.cost(EXAMPLE, target="edge_tpu_quad", objective=objective).total
    assert total.latency_cycles == latency_cycles
    assert total.energy_pj == pytest.approx(energy_pj, rel=1e-9)
