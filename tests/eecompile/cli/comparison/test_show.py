"""What people read of a comparison: figures in their units, signs and words, at any width."""
# ruff: noqa: RUF001 - minus signs and dashes as they are printed

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from eecompile.cli.comparison.show import comparison, gate_line
from eecompile.exits.statistics import PairedChange
from eecompile.verbs.work.compare import ComparedFigure, Comparison
from eecompile.verbs.work.gates import Difference, Gate, GateResult
from eecompile.verbs.work.paired_runs import PairedRun
from tests.eecompile.cli.table_rows import cells

ACCURACY, NONE = "accuracy with exits", (None, None)
FIGURES = (
    ComparedFigure("expected.accuracy", (0.9123, 0.9155, 0.87), NONE, ("unclear", "worse"), ACCURACY),
    ComparedFigure("drop.points", (0.5, -0.25, 0.5), (None, None), ("better", "same"), "drop"),
    ComparedFigure("expected.energy_pj", (2e6, 2.5e6, 1e6), NONE, ("worse", "better"), "energy per image"),
    ComparedFigure("files.dynamic_bytes", (None, 95362.0, 1024.0), (None, None), ("", ""), "file with exits"),
    ComparedFigure("exits.exit_0.threshold", (0.5, 0.625, None), (None, None), ("", "")),
)  # fmt: skip
PAIRS = (
    PairedRun("B", 1000, PairedChange(0.32, -0.9, 1.5, 20, 17, 0.7428), PairedChange(0, 0, 0, 0, 0, 1.0)),
    PairedRun("C", reason="C was tested on other images than A"),
)
MADE = Comparison(
    ("runs/one", "runs/two", "runs/three"), ("net on diana, for edp",) * 3, FIGURES, PAIRS, ("data differs",)
)


def printed(result: Comparison, width: int = 160, every_key: bool = False, color: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=color, highlight=False, markup=False)
    comparison(console, result, every_key)
    return stream.getvalue()


def test_figures_have_units_changes_have_signs_and_words() -> None:
    assert cells(printed(MADE), "The figures that matter") == [
        ["figure", "A", "B", "B to A", "C", "C to A"],
        [ACCURACY, "91.23 %", "91.55 %", "+0.32 points unclear", "87.00 %", "−4.23 points worse"],
        ["drop", "0.50 points", "−0.25 points", "−0.75 points better", "0.50 points", "0.00 points same"],
        ["energy per image", "2.00 µJ", "2.50 µJ", "+25.0 % worse", "1.00 µJ", "−50.0 % better"],
        ["file with exits", "–", "93.1 KiB", "–", "1.0 KiB", "–"],
    ]  # fmt: skip


def test_every_key_is_shown_where_that_is_asked_for() -> None:
    text = printed(MADE, every_key=True)
    rows = cells(text, "Every figure")
    assert [row[0] for row in rows[1:]] == [figure.key for figure in FIGURES]
    assert rows[-1] == ["exits.exit_0.threshold", "0.5", "0.625", "+25.0 %", "–", "–"]
    assert "5 of 5 figures differ.\n" in text
    assert "5 of 5 figures differ; all with `all_figures`." in printed(MADE)


def test_runs_and_what_makes_them_hard_to_compare_come_first() -> None:
    lines = printed(MADE).splitlines()
    assert lines[0] == "A  runs/one: net on diana, for edp (baseline)"
    assert lines[2] == "C  runs/three: net on diana, for edp"
    assert lines[4:6] == ["Compare with care", "  data differs"]


def test_paired_answers_are_told_with_interval_and_p_value() -> None:
    title = "Accuracies image by image, on the same test images (McNemar's exact test)"
    text = printed(MADE)
    assert cells(text, title) == [
        ["pair", "exits", "images", "change in points", "gained", "lost", "p", "verdict"],
        ["B to A", "with", "1,000", "+0.32 [−0.90, 1.50]", "20", "17", "0.74", "unclear"],
        ["B to A", "without", "1,000", "0.00 [0.00, 0.00]", "0", "0", "1", "same"],
    ]
    assert "unclear: not told apart" in text and "Each p-value" not in text
    clear = PairedRun("B", 100, PairedChange(-3.0, -5.0, -1.0, 1, 4, 0.0123), None)
    text = printed(replace(MADE, paired=(clear, replace(clear, run="C"))))
    assert cells(text, title)[2] == [
        "C to A", "with", "100", "−3.00 [−5.00, −1.00]", "1", "4", "0.012", "worse"
    ]  # fmt: skip
    assert "Each p-value is of one pair alone" in text
    assert title not in printed(replace(MADE, paired=PAIRS[1:]))


@pytest.mark.parametrize("width", [60, 80])
def test_a_run_and_its_change_stay_side_by_side(width: int) -> None:
    heads = [line.split() for line in printed(MADE, width).splitlines() if line.startswith(" figure")]
    assert len(heads) > 1
    assert all(
        ("B" in head) == ("BtoA" in "".join(head)) and ("C" in head) == ("CtoA" in "".join(head))
        for head in heads
    )


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_narrow_terminals_fold_columns_and_cut_no_digit(width: int) -> None:
    text = printed(MADE, width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    for cell in ("91.23 %", "−4.23 points worse", "+25.0 % worse", "93.1 KiB", "−0.75 points better"):
        assert cell in text, cell


def test_verdicts_are_colored_on_a_terminal_alone() -> None:
    text = printed(MADE, color=True)
    for style, words in ((31, "−4.23 points worse"), (32, "−50.0 % better"), (33, "+0.32 points unclear")):
        assert re.search(rf"\x1b\[{style}m *{re.escape(words)}", text), words
    assert "\x1b[" not in printed(MADE)


def test_gates_are_told_with_the_run_they_judge() -> None:
    more: Any = Difference("expected.energy_pj", 2_000_000.0, 2_500_000.0)
    gates = tuple(
        GateResult(Gate.parse(text), more, violated, "C")
        for text, violated in (("expected.energy_pj>+2%", True), ("expected.energy_pj>3e6", False))
    )
    said = "2e+06 → 2.5e+06 (change +5e+05, +25.00 %)"
    assert gate_line(gates[0]) == f"C: expected.energy_pj>+2%: {said}"
    text = printed(replace(MADE, gates=gates))
    assert (
        f"  violated: C: expected.energy_pj>+2%: {said}\n  passed: C: expected.energy_pj>3e6: {said}\n"
        in text
    )


def test_names_cannot_steer_the_terminal() -> None:
    odd = replace(MADE, runs=("\x1b[31mrun", *MADE.runs[1:]))
    assert "\x1b" not in printed(odd) and "\\x1b[31mrun" in printed(odd)
