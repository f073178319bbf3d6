from __future__ import annotations

import math
from pathlib import Path

import pytest

from targets.diana.analog_array import common_unroll
from targets.diana.fused import FusedRun, array_loops
from targets.diana.target import DianaTarget
from tools.experiments.diana_assumptions import (
    ASSUMPTIONS,
    BEFORE,
    MEASURED_CYCLES,
    TAKEN,
    combinations,
    cycles_of,
)
from tools.experiments.diana_fused_segment import VARIANTS, Found, Rows, fastest, segment
from tools.experiments.diana_segment import key_of, near
from tools.experiments.diana_validation import FILE, validation_text

PAGE = Path("docs/results/diana_segment.md")


# As first predicted: by MATCH as it is published.
RUN = FusedRun(DianaTarget(), unroll=2, counts_stride=False)


def found(variant: str) -> Found:
    return fastest(RUN, segment(variant), [Rows(8, 4)])


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_segment_is_the_one_described(variant: str) -> None:
    layers = segment(variant).layers
    convs = [layer for layer in layers if layer.op_type == "Conv"]
    first = convs[0].dims
    assert first is not None and (first.c, first.k, first.oy, first.fy) == (3, 64, 112, 7)
    assert len(convs) == (5 if variant == "plain" else 6)
    assert [layer.op_type for layer in layers if layer.op_type != "Conv"] == ["MaxPool", "Add", "Add"]
    assert all(operand.bits == 8 for layer in layers for operand in layer.outputs)
    assert len(array_loops(segment(variant))) == (5 if variant == "analog" else 4)
    assert common_unroll(array_loops(segment(variant))) == 2


def test_the_digital_core_is_the_bottleneck() -> None:
    plain, skipped = found("plain"), found("digital")
    # MATCH: 3*7*7 + 2*3*7 + 23 cycles per 16 x 16 tile, 4 x 7 x 112 of them, and a job per 8 rows.
    assert plain.busy_cycles["digital"] == 212 * 3136 + 300 * 14
    # MATCH: 64 + 2*64 + 23 cycles per tile, 4 x 4 x 56 of them, and a job per 4 rows.
    assert skipped.busy_cycles["digital"] - plain.busy_cycles["digital"] == 215 * 896 + 300 * 14
    for one in (plain, skipped):
        assert max(one.busy_cycles.values()) == one.busy_cycles["digital"] < one.schedule.latency_cycles


def test_the_fastest_height_is_taken() -> None:
    run = RUN
    small, large = Rows(4, 2), Rows(8, 4)
    each = {rows: fastest(run, segment("plain"), [rows]).schedule.latency_cycles for rows in (small, large)}
    best = fastest(run, segment("plain"), [large, small])
    assert best.schedule.latency_cycles == min(each.values()) and best.rows == min(
        each, key=lambda r: each[r]
    )


def test_heights_that_do_not_fit_are_told() -> None:
    with pytest.raises(ValueError, match="no height of tiles fits"):
        fastest(RUN, segment("plain"), [Rows(112, 56)])


@pytest.mark.parametrize(
    ("variant", "rows"), [("plain", Rows(4, 1)), ("analog", Rows(2, 1)), ("digital", Rows(4, 1))]
)
def test_predictions_are_those_of_the_results_page(variant: str, rows: Rows) -> None:
    cycles = fastest(RUN, segment(variant), [rows]).schedule.latency_cycles
    assert f"{cycles:,}" in PAGE.read_text(), "run the script and update the page"


def test_each_combination_of_what_is_defensible_is_there_once_and_that_taken_first() -> None:
    found = list(combinations())
    defensible = {name: [v.name for v in values if v.defensible] for name, values in ASSUMPTIONS.items()}
    assert len(found) == len({key_of(choice) for choice in found})
    assert len(found) == math.prod(len(values) for values in defensible.values())
    assert found[0] == TAKEN and all(choice[name] in defensible[name] for choice in found for name in choice)
    assert all(len(value.why.split()) > 4 for values in ASSUMPTIONS.values() for value in values)


@pytest.mark.parametrize(
    ("changed", "faster"),
    [
        ({"core of the 1x1": "digital"}, False),
        ({"digital core": "MATCH"}, True),
        ({"digital core": "ODiMO"}, True),
        ({"host": "x0"}, True),
        ({"host": "x4"}, False),
        ({"rows per tile": "best"}, True),
        ({"analog columns": "1"}, False),
        ({"first loads": "in place"}, True),
        ({"cores": "one by one"}, False),
    ],
    ids=str,
)
def test_every_assumption_changes_the_prediction(changed: dict[str, str], faster: bool) -> None:
    cycles = cycles_of(TAKEN | changed)
    assert (cycles < cycles_of(TAKEN)) is faster and cycles != cycles_of(TAKEN)
    assert f"{cycles:,}" in PAGE.read_text() or f"{cycles - cycles_of(TAKEN):+,}" in PAGE.read_text()


def test_the_validation_is_what_the_combinations_give() -> None:
    """The extremes of all combinations, which the page lists, are those of the file."""
    taken = cycles_of(TAKEN)
    least = cycles_of(TAKEN | {"digital core": "ODiMO", "host": "x0", "first loads": "in place"})
    most = cycles_of(TAKEN | {"core of the 1x1": "digital", "host": "x4", "analog columns": "1"})
    text = validation_text(taken, least, most, len(list(combinations())))
    assert FILE.read_text(encoding="utf-8") == text, "run the script with --write"
    page = PAGE.read_text()
    assert all(f"{cycles:,}" in page for cycles in (taken, least, most, MEASURED_CYCLES))
    low, high = (cycles / taken for cycles in (least, most))
    assert f"all of them are {low:.3f} to {high:.3f} times that" in page
    assert near(taken) and low < MEASURED_CYCLES / taken < high
    assert f"{low:.2f} to {high:.2f} times" in DianaTarget().row_model().caution


def test_what_was_predicted_before_is_still_what_it_was() -> None:
    assert cycles_of(BEFORE) == 697_804
    assert cycles_of(BEFORE | {"core of the 1x1": "digital"}) == 888_876
