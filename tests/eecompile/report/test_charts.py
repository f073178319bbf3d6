"""Charts of the report: pixels, shares and colours worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eecompile.report import charts
from eecompile.report.charts import CurveChart, Part, Scale, curve_chart, stacked, ticks
from eecompile.report.reading import LayerRow
from eecompile.run_files.summary import Summary
from tests.eecompile.fabricated_run import summary


def made(**changes: Any) -> Summary:
    return Summary.model_validate({**summary(), **changes})


def curve(**changes: Any) -> CurveChart:
    found = curve_chart(made(**changes))
    assert found is not None
    return found


def layer(name: str = "conv", core: str = "digital", **figures: Any) -> LayerRow:
    return LayerRow(name, core=core, **figures)


@pytest.mark.parametrize(
    ("value", "pixel"), [(10, 100), (20, 0), (15, 50), (12.5, 75), (10.0349, 99.7), (25, -50)]
)
def test_a_scale_is_linear_rounds_to_a_tenth_and_may_run_backwards(value: float, pixel: float) -> None:
    assert Scale(10, 20, 100, 0)(value) == pixel


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-0.2, 3.9, [-1, 0, 1, 2, 3, 4]),
        (5, 5, [5, 6]),
        (0, 0, [0, 0.2]),
        (0, 12, [0, 2.5, 5, 7.5, 10, 12.5]),
    ],
)
def test_ticks_are_round_and_span(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(1, 12))
def test_ticks_span_any_range_in_few_equal_round_steps(low: float, span: float, count: int) -> None:
    high = low + span
    found = ticks(low, high, count)
    step = found[1] - found[0]
    assert found[0] <= low + 1e-6 * step and found[-1] >= high - 1e-6 * step
    assert found[0] > low - 1.000001 * step and found[-1] < high + 1.000001 * step, "none too many"
    assert all(math.isclose(found[0] + i * step, tick, abs_tol=1e-6 * step) for i, tick in enumerate(found))
    digits = step / 10 ** math.floor(math.log10(step) + 1e-6)
    assert min(abs(digits - m) for m in (1, 2, 2.5, 5)) < 1e-3, "a round step"
    assert step >= 0.998 * span / count, "no more steps than asked for"


def test_kept_thresholds_are_marked_only_where_they_are_on_the_curve() -> None:
    exits = [{**item, "threshold": 0.123} for item in summary()["exits"]]
    assert all(line.chosen is not None for line in curve(exits=exits).series), "that of the allowed drop"
    assert all(line.chosen is None for line in curve(exits=exits, kept_thresholds=True).series)


def test_without_a_curve_there_is_no_chart() -> None:
    assert curve_chart(made(curve=[])) is None


def test_points_of_the_curve_lie_at_drop_and_saving_of_val_and_test() -> None:
    chart = curve()
    # x: drops of -0.2 to 3.9 give ticks from -1 to 4 between pixels 56 and 464;
    # y: savings of 0 to 58 % give ticks from 0 to 60 between pixels 252 and 30.
    assert [mark.label for mark in chart.x_ticks] == ["-1", "0", "1", "2", "3", "4"]
    assert [mark.label for mark in chart.y_ticks] == ["0", "20", "40", "60"]
    assert chart.zero_x == 137.6
    validation, test = chart.series
    points = summary()["curve"]
    for series, drop, saving in (
        (validation, "val_drop", "saving_edp_val"),
        (test, "test_drop", "saving_edp_test"),
    ):
        for mark, point in zip(series.marks, points, strict=True):
            assert mark.x == pytest.approx(56 + (point[drop] + 1) / 5 * 408, abs=0.0501)
            assert mark.y == pytest.approx(252 - 100 * point[saving] / 60 * 222, abs=0.0501)
    assert test.marks[3].label == ("test images: 0.59 points drop, 36.8 % less EDP (chosen for 1 points)")
    assert validation.css != test.css


def test_the_axis_of_savings_starts_at_zero_or_below() -> None:
    high = [{**point, "saving_edp_val": 0.5, "saving_edp_test": 0.6} for point in summary()["curve"]]
    assert curve(curve=high).y_ticks[0].label == "0"
    high[0]["saving_edp_test"] = -0.3
    assert float(curve(curve=high).y_ticks[0].label) <= -30


@pytest.mark.parametrize(("drops", "shown"), [((0.5, 3.0), False), ((0.0, 3.0), False), ((-1.5, 3.0), True)])
def test_a_drop_of_zero_is_marked_inside_the_chart_alone(drops: tuple[float, float], shown: bool) -> None:
    point = summary()["curve"][0]
    points = [{**point, "val_drop": drop, "test_drop": drop} for drop in drops]
    assert (curve(curve=points).zero_x is not None) is shown


@pytest.mark.parametrize(
    ("thresholds", "max_drop", "chosen"),
    [
        ([[0.9, 0.8, None], [0.7, 0.6, None], [0.5, 0.4, None]], 0.5, 1),  # the thresholds of the run
        ([[0.9, 0.8], [0.7, 0.6], [0.5, 0.4]], 0.5, 1),  # without that of the final exit
        ([[0.9, 0.8, None], [0.9, 0.8, None], [0.5, 0.4, None]], 0.5, 2),  # or else the allowed drop
        ([[0.9, 0.8, None], [0.9, 0.8, None], [0.5, 0.4, None]], 0.3, None),
    ],
)
def test_the_point_of_the_run_is_told_by_thresholds_else_by_the_allowed_drop(
    thresholds: list[list[float | None]], max_drop: float, chosen: int | None
) -> None:
    exits = [
        {**entry, "threshold": value}
        for entry, value in zip(summary()["exits"], (0.7, 0.6, None), strict=True)
    ]
    points = [
        {**point, "thresholds": values} for point, values in zip(summary()["curve"], thresholds, strict=False)
    ]
    chart = curve(exits=exits, curve=points, max_drop=max_drop)
    for series in chart.series:
        assert series.chosen == (None if chosen is None else series.marks[chosen])


def test_pieces_of_a_bar_follow_one_another_and_empty_ones_are_left_out() -> None:
    values = {"a": (1.0, "c0", "one"), "b": (0.0, "c1", "none"), "c": (3.0, "c2", "three")}
    assert stacked(values) == (Part("a", "c0", 0, 25, "one"), Part("c", "c2", 25, 75, "three"))
    assert stacked(values, 8.0) == (Part("a", "c0", 0, 12.5, "one"), Part("c", "c2", 12.5, 37.5, "three"))
    assert stacked({"b": values["b"]}) == stacked({}) == (), "a bar of nothing"


def test_ratios_are_a_bar_unless_one_is_unknown() -> None:
    found = charts.ratio_parts(made())
    assert [(p.label, p.css, p.start, p.share, p.text) for p in found] == [
        ("exit_0", "c0", 0, 40, "40.0 %"), ("exit_1", "c1", 40, 27, "27.0 %"),
        ("final", "c2", 67, 33, "33.0 %"),
    ]  # fmt: skip
    exits = summary()["exits"]
    exits[1]["ratio"] = None
    assert charts.ratio_parts(made(exits=exits)) == ()


def test_exits_beyond_the_palette_share_its_last_colour() -> None:
    exits = [{**summary()["exits"][0], "name": f"exit_{k}", "ratio": 0.125} for k in range(8)]
    assert [p.css for p in charts.ratio_parts(made(exits=exits))] == [
        "c0", "c1", "c2", "c3", "c4", "c5", "c5", "c5",
    ]  # fmt: skip


def test_cores_are_coloured_by_first_use_and_the_host_takes_no_colour() -> None:
    cores = ["b", "host", "a", "b", "CPU", "c", "d", "e", "f", "g"]
    assert charts.core_colours([layer(core=core) for core in cores]) == {
        "b": "c0", "host": "kind-host", "a": "c1", "CPU": "kind-host", "c": "c2", "d": "c3", "e": "c4",
        "f": "c5", "g": "c5",
    }  # fmt: skip


def test_energy_of_a_core_is_that_of_its_layers() -> None:
    layers = [layer(core=core, energy_pj=pj) for core, pj in (("a", 1e6), ("b", 2e6), ("a", 5e6))]
    found = charts.energy_by_core(layers, {"a": "c0", "b": "c1", "idle": "c2"})
    assert found == (Part("a", "c0", 0, 75, "6.00 µJ"), Part("b", "c1", 75, 25, "2.00 µJ"))


CYCLES: dict[str, Any] = {
    "load_cycles": 1.0, "compute_cycles": 50.0, "stall_cycles": 10.0, "store_cycles": 2.0, "dma_cycles": 7.0,
    "host_cycles": 20.0, "job_cycles": 10.0,
}  # fmt: skip


def test_cycles_of_a_layer_are_compute_stall_transfers_and_host() -> None:
    parts = charts.cycle_parts(layer(**CYCLES), 200.0, "c3")
    assert [(p.label, p.css, p.start, p.share, p.text) for p in parts] == [
        ("compute", "c3", 0, 25, "50 cycles"), ("stall", "kind-wait", 25, 5, "10 cycles"),
        ("transfers", "kind-dma", 30, 5, "10 cycles"), ("host", "kind-host", 35, 15, "30 cycles"),
    ]  # fmt: skip


@pytest.mark.parametrize("key", CYCLES)
def test_the_longest_layer_fills_its_bar_whatever_it_spends_cycles_on(key: str) -> None:
    layers = [layer("short", compute_cycles=60.0), LayerRow("long", **{key: 70.0})]  # type: ignore[arg-type]
    total = charts.cycle_scale(layers)
    assert total == 70
    assert sum(part.share for part in charts.cycle_parts(layers[1], total, "c0")) == pytest.approx(100)
    assert charts.cycle_scale([]) == 0


def test_layers_with_most_energy_come_first_and_equals_by_name() -> None:
    layers = [layer(name, energy_pj=pj) for name, pj in (("c", 2), ("b", 5), ("d", 9), ("a", 2))]
    assert [found.name for found in charts.by_energy(layers)] == ["d", "b", "a", "c"]


def test_layers_are_counted_as_they_begin_or_as_they_stand_in_the_file() -> None:
    begun = [layer(name, start_cycle=cycle) for name, cycle in (("head", 30), ("first", 0), ("later", 90))]
    assert charts.order(begun) == {"first": 1, "head": 2, "later": 3}
    assert charts.order([layer("b"), layer("a")]) == {"b": 1, "a": 2}
