"""Tables of the fit."""

from __future__ import annotations

from tests.tools.gap9.test_errors import log
from tools.gap9.calibration import Fits
from tools.gap9.errors import ENERGY, LATENCY, Compare
from tools.gap9.page import (
    error_table,
    far_table,
    kind_table,
    markdown,
    page_text,
    parameter_table,
    plain,
    worst_lines,
)

FOUND = (
    Compare("net", "0.8V", LATENCY, 370e3, 388.5e3, 333e3),
    Compare("net", "0.65V", ENERGY, 40e6, 44e6, 40.4e6),
    Compare("other", "0.8V", LATENCY, 370e3, 370e3, 370e3),
)
FITS = Fits({"a.b": 1.5}, {"net": {"a.b": 2.0}})


def test_figures_are_in_ms_and_microjoules() -> None:
    _, first, second, _ = error_table(FOUND)
    assert first == ("net", "0.8V", "latency, ms", "1.000", "1.050", "+5.0%", "0.900", "-10.0%")
    assert second == ("net", "0.65V", "energy, uJ", "40.000", "44.000", "+10.0%", "40.400", "+1.0%")


def test_the_worst_of_each_quantity_is_told() -> None:
    latency, energy = worst_lines(FOUND)
    assert "-10.0% (net at 0.8V), goal 10%" in latency and "+1.0% (net at 0.65V), goal 12%" in energy


def test_kinds_and_layers_far_off() -> None:
    layers = log(0.8)
    assert kind_table(layers)[1][:3] == ("1x1", "2", "0.800") and kind_table(layers)[-1][:3] == (
        "whole log",
        "3",
        "0.800",
    )
    assert [row[0] for row in far_table(layers)[1:]] == ["Conv2d_8x3x1x1", "Conv2d_8x8x1x1"]
    assert far_table(log(0.95)) == far_table(())


def test_tables_have_two_forms() -> None:
    table = parameter_table(FITS)
    assert table == [("number", "all", "without net"), ("a.b", "1.5", "2")]
    assert plain(table) == ["number  all  without net", "a.b     1.5  2"]
    assert markdown(table) == ["| number | all | without net |", "| --- | --- | --- |", "| a.b | 1.5 | 2 |"]


def test_the_page_has_all_of_it() -> None:
    text = page_text(FITS, FOUND, log(0.8))
    for part in (
        "# GAP9",
        "## Networks",
        "-10.0%",
        "## Layers",
        "| 1x1 | 2 | 0.800",
        "## Numbers",
        "| a.b | 1.5 | 2 |",
    ):
        assert part in text
