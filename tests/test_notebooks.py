"""Notebooks among the examples run, show what they say they show, and keep no outputs in the file."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest

from eecompile.run.main import RunResult
from eecompile.verbs.work.quantize import QuantizeResult
from passes.shown_result import ShownResult
from targets.evaluation.report import CostReport
from tests.needs import needs_torch
from tests.notebook import Cell, code_cells, shown

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


@needs_torch
def test_the_digits_from_costs_to_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("matplotlib").use("Agg")
    shutil.copy(EXAMPLES / "digits_resnet.onnx", tmp_path)
    with contextlib.chdir(tmp_path):
        found = [thing for thing in shown(code_cells(EXAMPLES / "digits.ipynb")) if thing is not None]
    results = [thing for thing in found if isinstance(thing, ShownResult)]
    assert [type(thing) for thing in results] == [CostReport, QuantizeResult, RunResult]
    assert all("<table>" in thing._repr_html_() and len(repr(thing)) < 200 for thing in results)
    frames = [thing for thing in found if isinstance(thing, pandas.DataFrame)]
    assert [len(frame) for frame in frames] == [len(results[0]._rows()), len(results[2]._rows())]
    assert "exit_0" in (tmp_path / "runs/notebook-exits.csv").read_text()
    assert "<svg" in (tmp_path / "runs/notebook-exits.svg").read_text()
    printed = capsys.readouterr().out
    assert "saved within 1 point" in printed and "left at each exit" in printed


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_outputs_are_not_kept(path: Path) -> None:
    assert [cell.source for cell in code_cells(path) if not cell.bare] == []


def test_cells_share_names_and_show_their_last_expression() -> None:
    texts = ["a = 2", "b = a + 1\nb", "b;", "print(a)"]
    assert list(shown([Cell(text, bare=True) for text in texts])) == [None, 3, None, None]
