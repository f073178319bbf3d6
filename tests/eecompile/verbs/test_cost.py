"""Costs of a network through the typed face."""

from __future__ import annotations

from pathlib import Path

import pytest

from eecompile import api
from passes.errors import InputError

EXAMPLE = Path(__file__).parents[3] / "examples" / "digits_resnet.onnx"
# One core at a time, weights fetched for each inference: figures of this project's first scheduler.
FIRST = {
    "latency": (9869, 10679527.05),
    "energy": (10040, 10528558.73),
    "edp": (9873, 10536863.85),
}


@pytest.mark.parametrize("objective", list(FIRST))
def test_costs_of_the_example_never_get_worse(objective: str) -> None:
    total = api.cost(EXAMPLE, target="edge_tpu_quad", objective=objective).total
    latency_cycles, energy_pj = FIRST[objective]
    assert total.latency_cycles < latency_cycles and total.energy_pj < energy_pj


def test_the_schedule_is_made_for_the_ratios_given() -> None:
    report = api.cost(EXAMPLE, exits=2, ratios=[0.5, 0.25, 0.25])
    assert report.ratios == (0.5, 0.25, 0.25) and report.expected is not None
    named = api.cost(EXAMPLE, exits=["relu_2", "relu_4"], ratios=(0.5, 0.25, 0.25))
    assert len(named.exits) == 3
    with pytest.raises(InputError, match="whatever `ratios` says"):
        api.cost(EXAMPLE, ratios=(1.0,))
