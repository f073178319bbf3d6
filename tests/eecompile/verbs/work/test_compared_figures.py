"""Units and directions of the figures of a run."""

from __future__ import annotations

import pytest

from eecompile.verbs.work.compared_figures import LESS, MORE, NEITHER, FigureKind, kind_of, that_matter


@pytest.mark.parametrize(
    ("key", "unit", "better"),
    [
        ("expected.energy_pj", "pJ", LESS),
        ("exits.exit_0.speculative.wasted_pj", "pJ", LESS),
        ("static.latency_cycles", "cycles", LESS),
        ("study.found.worst_latency_cycles", "cycles", LESS),
        ("expected.latency_s", "s", LESS),
        ("expected.edp_js", "J·s", LESS),
        ("expected.edp_of_means_js", "J·s", LESS),
        ("static.edp_j_cycles", "J·cycles", LESS),
        ("static.macs", "MACs", LESS),
        ("expected.accuracy", "share", MORE),
        ("exits.exit_0.accuracy_quant", "share", MORE),
        ("exits.exit_0.accuracy", "share", NEITHER),  # of other images in each run
        ("exits.exit_0.ratio", "share", NEITHER),
        ("exits.exit_0.threshold", "", NEITHER),
        ("saving.macs", "share", MORE),
        ("curve.0.saving_edp_test", "share", MORE),
        ("saving_causes.host scale.interval.edp.0", "share", NEITHER),
        ("drop.points", "points", LESS),
        ("drop.ci95.1", "points", NEITHER),
        ("max_drop", "points", NEITHER),
        ("static.latency_interval.0", "cycles", NEITHER),
        ("static.energy_interval.1", "pJ", NEITHER),
        ("expected.accuracy_ci95.0", "share", NEITHER),
        ("files.dynamic_bytes", "bytes", LESS),
        ("operating_points.fast.clock_hz", "Hz", NEITHER),
        ("seed", "", NEITHER),
    ],
)
def test_a_figure_has_its_unit_and_direction(key: str, unit: str, better: int) -> None:
    assert kind_of(key) == FigureKind(unit, better)


def test_seconds_are_shown_where_all_runs_have_them_else_cycles() -> None:
    both = ["expected.latency_s", "expected.latency_cycles", "expected.energy_pj"]
    assert dict(that_matter(both, both)) == {
        "energy per image": "expected.energy_pj", "latency per image": "expected.latency_s"
    }  # fmt: skip
    assert dict(that_matter(both[1:], both))["latency per image"] == "expected.latency_cycles"


def test_what_only_some_runs_have_is_shown_too() -> None:
    assert list(that_matter([], ["drop.points"])) == [("drop", "drop.points")]
