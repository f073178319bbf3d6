"""Costs of a network through the typed face."""

from __future__ import annotations

from pathlib import Path

import pytest

from eecompile import api

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits_resnet.onnx"
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


def test_ratios_are_numbers_or_their_text() -> None:
    for ratios in ((0.5, 0.25, 0.25), "0.5,0.25,0.25"):
        report = api.cost(EXAMPLE, exits="2", ratios=ratios)
        assert report.ratios == (0.5, 0.25, 0.25) and report.expected is not None
