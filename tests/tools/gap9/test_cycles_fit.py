"""The fit of cycles: numbers that made the measurements are found again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from targets.gap9.chain import places
from targets.gap9.target import Gap9Target
from targets.network.layer import Layer
from tests.targets.networks import linear_layer, square
from tools.gap9.cycles_fit import (
    DENSE,
    DEPTHWISE,
    EXTERNAL,
    ON_CLUSTER,
    OWN_KINDS,
    POINTWISE,
    SHARED,
    Case,
    cycles,
    fit_cycles,
    least_squares,
    log_cases,
)
from tools.gap9.layer_log import layers_in
from tools.gap9.log_rows import Row

TRUE = {
    POINTWISE: 6.0,
    DEPTHWISE: 22.0,
    DENSE: 1.7,
    "cluster.cycles_per_depthwise_channel": 150.0,
    "cluster.cycles_per_depthwise_product": 0.2,
    "cluster.cycles_per_depthwise_input": 0.9,
    "cluster.cycles_per_added_element": 2.0,
    "cluster.cycles_per_requantized_element": 1.5,
    "cluster.cycles_per_renamed_element": 0.9,
    "cluster.cycles_per_moved_element": 3.0,
    "cluster.cycles_per_pooled_element": 0.8,
    "cluster.cycles_per_exponential": 9.0,
    "l3.bandwidth_bytes_per_cycle": 0.8,
    "cluster.cycles_per_external_run": 50.0,
}
GAP9 = Gap9Target()
# 112 x 112 x 96 has no room beside the tensor before it.
NAMES = (
    ("Conv2d_16x3x3x3", 112 * 112 * 16 * 27),
    ("Conv2d_96x16x1x1", 112 * 112 * 96 * 16),
    ("Conv2d_96x1x3x3", 56 * 56 * 96 * 9),
    ("Conv2d_24x96x1x1", 56 * 56 * 24 * 96),
    ("Conv2d_24x1x3x3", 56 * 56 * 24 * 9),
    ("Op_DEPTHWISE_CONV_2D_0_1_qin0", 56 * 56 * 24),
    ("Conv2d_24x5x5x1", 28 * 28 * 24 * 25),
    ("Conv2d_24x5x5x1", 28 * 28 * 24 * 25),
    ("Conv2d_24x7x7x1", 28 * 28 * 24 * 49),
    ("Conv2d_24x5x5x1", 7 * 7 * 24 * 25),
    ("Op_CONV_2D_0_2_qin0", 7 * 7 * 24),
    ("Conv2d_1024x24x1x1", 7 * 7 * 1024 * 24),
    ("MatAdd_7x7x1024", 7 * 7 * 1024),
    ("Op_AVERAGE_POOL_2D_0_3_trans", 7 * 7 * 1024),
    ("AveragePool_1024x1x1", 7 * 7 * 1024),
    ("Linear_1500x1024", 1500 * 1024),
    ("SoftMax", 1500),
)


def log_by(numbers: dict[str, float]) -> list[Case]:
    """Return a log whose cycles are those by ``numbers``."""
    rows = [Row(line, name, 1, operations) for line, (name, operations) in enumerate(NAMES, 1)]
    cases = log_cases(layers_in(rows, "log"))
    return [replace(case, cycles=cycles(Gap9Target().with_values(numbers, "true"), case)) for case in cases]


def case_of(*layers: Layer) -> Case:
    case = Case(layers, places(GAP9, layers), 1.0)
    return replace(case, cycles=cycles(Gap9Target().with_values(TRUE, "true"), case))


NETWORK = case_of(
    linear_layer(square(8, 3, 48, 3, 2)),
    linear_layer(square(32, 32, 24, 3, groups=32)),
    linear_layer(square(64, 32, 24, 1)),
)


def test_the_numbers_that_made_a_log_are_found_again() -> None:
    assert set(TRUE) == {*OWN_KINDS, *ON_CLUSTER, *EXTERNAL, *SHARED}
    found = fit_cycles([NETWORK], log_by(TRUE))
    assert set(found) == set(TRUE)
    for key, value in TRUE.items():
        assert found[key] == pytest.approx(value, rel=0.02), key


def test_networks_alone_say_what_they_know() -> None:
    """The log was made by other numbers; what networks know too is not read off it."""
    other = log_by({**TRUE, POINTWISE: 1.0, DEPTHWISE: 5.0, DENSE: 1.2})
    alone = fit_cycles([NETWORK], other, networks_alone=True)
    assert cycles(Gap9Target().with_values(alone, "found"), NETWORK) == pytest.approx(
        NETWORK.cycles, rel=0.002
    )
    both = fit_cycles([NETWORK], other)
    assert cycles(Gap9Target().with_values(both, "found"), NETWORK) < 0.99 * NETWORK.cycles


def test_a_layer_that_nothing_explains_counts_little() -> None:
    log = [case for case in log_by(TRUE) if case.layers[0].name in ("Conv2d_24x96x1x1", "Conv2d_1024x24x1x1")]
    odd = replace(log[0], cycles=3 * log[0].cycles)
    found = least_squares((POINTWISE,), [*log * 5, odd], TRUE)
    assert found[POINTWISE] == pytest.approx(TRUE[POINTWISE], rel=0.1)
    plain = least_squares((POINTWISE,), [odd], TRUE)
    assert plain[POINTWISE] > 3 * TRUE[POINTWISE], "alone it would be met"
