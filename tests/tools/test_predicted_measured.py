"""The page of predicted beside measured agrees with the validation files it is written from."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from eecompile.wording.error_bars import NOT_VALIDATED
from targets.contract.registry import BUILTIN, load_target
from targets.contract.validation import parse_validation
from tests.targets.validated import unvalidate, validate
from tools.experiments import predicted_measured
from tools.experiments.predicted_measured import PAGE, dots, page
from tools.experiments.predicted_measured_plot import Dots, picture

FILE = """
command: python -m made_up
networks:
  - {network: A<b, point: 0.8V, cost_model: plinio, source: a table, fitted: true,
     latency_cycles: {measured: 1000, predicted: 1010, left_out: 1100},
     energy_pj: {measured: 2000000, predicted: 2000000, left_out: 1900000}}
  - {network: C, point: 0.8V, cost_model: plinio, source: a paper, fitted: false,
     latency_cycles: {measured: 500, predicted: 400}}
"""


def test_the_page_agrees_with_the_files() -> None:
    """Where a validation file was changed: `python -m tools.experiments.predicted_measured`."""
    targets = {name: load_target(name) for name in sorted(BUILTIN)}
    assert PAGE.read_text(encoding="utf-8") == page(targets, "predicted_measured.svg")
    assert PAGE.with_suffix(".svg").read_text(encoding="utf-8") == picture(dots(targets))


def test_every_target_has_its_section(monkeypatch: pytest.MonkeyPatch) -> None:
    gap9 = validate(monkeypatch, "gap9", parse_validation(FILE, "made up"))
    text = page({"gap9": gap9, "edge_tpu_quad": unvalidate(monkeypatch, "edge_tpu_quad")}, "x.svg")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert rows[1:] == [
        ["A<b", "0.8V", "plinio", "cycles", "1,000", "1,010", "1,100", "+10.0 %", "yes"],
        ["A<b", "0.8V", "plinio", "µJ", "2.00", "2.00", "1.90", "-5.0 %", "yes"],
        ["C", "0.8V", "plinio", "cycles", "500", "400", "", "-20.0 %", "no"],
    ]
    assert "Measurements: a table; a paper. Predictions are printed by `python -m made_up`." in text
    assert "Interval of latency: ×0.80 to ×1.25" in text and "nominal coverage 67 %" in text  # noqa: RUF001
    _, _, last = text.partition("## edge_tpu_quad")
    assert NOT_VALIDATED in last and "nobody has measured it here" in last


def test_the_picture_has_a_row_for_each_network(monkeypatch: pytest.MonkeyPatch) -> None:
    found = dots({"gap9": validate(monkeypatch, "gap9", parse_validation(FILE, "made up"))})
    assert [(row.label, row.energy) for row in found] == [
        ("gap9: A<b at 0.8V, plinio", pytest.approx(0.95)),
        ("gap9: C at 0.8V, plinio", None),
    ]
    first, second = found
    assert (first.latency, second.latency) == pytest.approx((1.1, 0.8))
    assert first.interval == pytest.approx((0.8, 1.25))
    root = ElementTree.fromstring(picture(found))
    titles = [element.text for element in root.iter() if element.tag.endswith("title")]
    assert [title and title.rpartition(" ")[2] for title in titles] == ["1.100", "0.950", "0.800"]


def test_without_any_network_the_picture_says_so() -> None:
    assert "No target is validated." in picture([])
    assert "No target" not in picture([Dots("a", 1.0, None, None)])


def test_the_command_writes_both(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    where = f"{tmp_path}/page.md"
    monkeypatch.setattr("sys.argv", ["predicted_measured", "--page", where])
    predicted_measured.main()
    with open(where, encoding="utf-8") as file:  # noqa: PTH123 - a plain path is enough
        assert "![Predicted over measured, for each network and point](page.svg)" in file.read()
