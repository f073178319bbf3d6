"""DIANA's cost model `engine` beside the published ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from targets.contract.placement import Placement, Refusal
from targets.diana.target import DianaTarget
from targets.network.layer import LoopDims
from tests.targets.networks import linear_layer, resnet8, square

ENGINE, ODIMO, MATCH = DianaTarget("engine"), DianaTarget("odimo"), DianaTarget("match")


@pytest.mark.parametrize("dims", resnet8()[1:-1])
def test_compute_is_that_of_the_array(dims: LoopDims) -> None:
    layer = linear_layer(dims)
    found = ENGINE.cost(layer, "digital")
    assert found.compute_cycles == ODIMO.cost(layer, "digital").compute_cycles, "ODiMO: 16 x 16 units at work"
    assert found.latency_cycles < MATCH.cost(layer, "digital").latency_cycles, (
        "MATCH adds transfers and starts"
    )
    assert found.job_cycles == MATCH.cost(layer, "digital").job_cycles, "the host starts as many jobs"


def test_energy_is_power_times_time() -> None:
    cost = ENGINE.cost(linear_layer(square(16, 16, 16, 3)), "digital")
    assert cost.detail is not None and cost.detail.energy_pj == 0, "no energy of an access is published"
    expected_pj = 24.96 * cost.latency_cycles / 260e6 * 1e9
    assert cost.energy_pj == pytest.approx(expected_pj), "ODiMO: the digital core draws 24.96 mW"


def test_the_analog_core_takes_70_ns_per_pass() -> None:
    layer = linear_layer(square(64, 64, 8, 3))
    assert layer.weight is not None
    ternary = replace(layer, weight=replace(layer.weight, bits=2))
    placement = ENGINE.place(ternary)
    assert isinstance(placement, Placement) and placement.core == "analog"
    detail = placement.cost.detail
    assert detail is not None
    assert detail.compute_cycles == pytest.approx(64 * 18.2), (
        "ODiMO: 18.2 cycles per pass of 1152 x 512 cells"
    )


def test_what_does_not_fit_l2_is_refused() -> None:
    refusal = ENGINE.place(linear_layer(square(512, 512, 8, 3)))
    assert isinstance(refusal, Refusal)
    assert any(r.rule.startswith("No mapping of ") for r in refusal.reasons)
    assert isinstance(MATCH.place(linear_layer(square(512, 512, 8, 3))), Placement)


def test_other_work_costs_the_same_under_every_model() -> None:
    from targets.testing.conformance import sample_layer

    for op in ("Add", "MaxPool", "Softmax"):
        layer = sample_layer(op)
        core = "host" if op == "Softmax" else "digital" if op == "Add" else "pooling"
        assert ENGINE.cost(layer, core) == MATCH.cost(layer, core)
