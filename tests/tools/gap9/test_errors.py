"""Errors and goals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from targets.gap9.target import Gap9Target
from tools.gap9.errors import ENERGY, LATENCY, Compare, misses
from tools.gap9.layer_log import layers_in
from tools.gap9.log_report import Compared, compare
from tools.gap9.log_rows import Row

NEAR = Compare("net", "0.8V", LATENCY, 1000.0, 1010.0, 1090.0)


def log(ratio: float) -> tuple[Compared, ...]:
    """Return two layers of a kind, predicted at ``ratio`` of what they take, and one not measured."""
    first = Row(1, "Conv2d_8x3x1x1", 1, 900 * 24)
    second = Row(2, "Conv2d_8x8x1x1", 1, 900 * 64)
    rows = [first, second, Row(3, "SoftMax", None, 7)]
    found = compare(layers_in(rows, "log"), Gap9Target())
    return tuple(
        replace(one, log=replace(one.log, row=replace(one.log.row, measured=round(cycles / ratio))))
        if one.log.row.measured
        else one
        for one in found
        for cycles in [one.predicted.cost.latency_cycles]
    )


def test_errors_are_relative_to_what_was_measured() -> None:
    assert NEAR.error == pytest.approx(0.01) and NEAR.honest_error == pytest.approx(0.09)


@pytest.mark.parametrize(
    ("quantity", "left_out", "missed"),
    [
        (LATENCY, 1101.0, 1),
        (LATENCY, 899.0, 1),
        (LATENCY, 1099.0, 0),
        (ENERGY, 1119.0, 0),
        (ENERGY, 1121.0, 1),
    ],
)
def test_the_goal_is_for_networks_left_out(quantity: str, left_out: float, missed: int) -> None:
    one = replace(NEAR, quantity=quantity, left_out=left_out, predicted=2000.0)
    found = misses([NEAR, one], log(1.0))
    assert len(found) == missed
    assert all(f"net at 0.8V, {quantity}" in text for text in found)


@pytest.mark.parametrize(("ratio", "missed"), [(0.94, 2), (0.96, 0), (1.04, 0), (1.06, 2)])
def test_kinds_and_the_whole_log_have_goals(ratio: float, missed: int) -> None:
    found = misses([NEAR], log(ratio))
    assert len(found) == missed
    assert not found or (found[0].startswith("1x1: median ratio") and found[1].startswith("whole log"))
