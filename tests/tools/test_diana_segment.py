from __future__ import annotations

from pathlib import Path

import pytest

from targets.diana.analog_array import common_unroll
from targets.diana.fused import FusedRun
from targets.diana.target import DianaTarget
from tools.experiments.diana_segment import VARIANTS, Found, Rows, fastest, in_array, segment


def found(variant: str) -> Found:
    return fastest(FusedRun(DianaTarget(), unroll=2), segment(variant), [Rows(8, 4)])


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_segment_is_the_one_described(variant: str) -> None:
    layers = segment(variant).layers
    convs = [layer for layer in layers if layer.op_type == "Conv"]
    first = convs[0].dims
    assert first is not None and (first.c, first.k, first.oy, first.fy) == (3, 64, 112, 7)
    assert len(convs) == (5 if variant == "plain" else 6)
    assert [layer.op_type for layer in layers if layer.op_type != "Conv"] == ["MaxPool", "Add", "Add"]
    assert all(operand.bits == 8 for layer in layers for operand in layer.outputs)
    assert len(in_array(segment(variant))) == (5 if variant == "analog" else 4)
    assert common_unroll(in_array(segment(variant))) == 2


def test_the_digital_core_is_the_bottleneck() -> None:
    plain, skipped = found("plain"), found("digital")
    # MATCH: 3*7*7 + 2*3*7 + 23 cycles per 16 x 16 tile, 4 x 7 x 112 of them, and a job per 8 rows.
    assert plain.busy_cycles["digital"] == 212 * 3136 + 300 * 14
    # MATCH: 64 + 2*64 + 23 cycles per tile, 4 x 4 x 56 of them, and a job per 4 rows.
    assert skipped.busy_cycles["digital"] - plain.busy_cycles["digital"] == 215 * 896 + 300 * 14
    for one in (plain, skipped):
        assert max(one.busy_cycles.values()) == one.busy_cycles["digital"] < one.schedule.latency_cycles


def test_the_fastest_height_is_taken() -> None:
    run = FusedRun(DianaTarget(), unroll=2)
    small, large = Rows(4, 2), Rows(8, 4)
    each = {rows: fastest(run, segment("plain"), [rows]).schedule.latency_cycles for rows in (small, large)}
    best = fastest(run, segment("plain"), [large, small])
    assert best.schedule.latency_cycles == min(each.values()) and best.rows == min(
        each, key=lambda r: each[r]
    )


def test_heights_that_do_not_fit_are_told() -> None:
    with pytest.raises(ValueError, match="no height of tiles fits"):
        fastest(FusedRun(DianaTarget(), unroll=2), segment("plain"), [Rows(112, 56)])


@pytest.mark.parametrize(
    ("variant", "rows"), [("plain", Rows(4, 1)), ("analog", Rows(2, 1)), ("digital", Rows(4, 1))]
)
def test_predictions_are_those_of_the_results_page(variant: str, rows: Rows) -> None:
    cycles = fastest(FusedRun(DianaTarget(), unroll=2), segment(variant), [rows]).schedule.latency_cycles
    assert f"{cycles:,}" in Path("docs/results/diana_segment.md").read_text(), (
        "run the script and update the page"
    )
