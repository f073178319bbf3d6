"""A result shows itself: one line, a table, a frame, a picture, a file."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from passes.errors import InputError
from passes.shown_result import MOST_ROWS, Row, ShownResult, cell, finite, heading


@dataclass(frozen=True, repr=False)
class Apples(ShownResult):
    """So many apples of each kind, and what they weigh."""

    kinds: tuple[str, ...]
    words: str = "some\n  <apples>"
    across: str = "kind"

    def _words(self) -> str:
        return self.words

    def _rows(self) -> Sequence[Row]:
        return [
            {"kind": kind, "count": number, "weight": 0.123456 * number if number else None}
            for number, kind in enumerate(self.kinds)
        ]

    def _axes(self) -> tuple[str, str]:
        return self.across, "weight"

    def to_json(self) -> dict[str, Any]:
        return {"kinds": self.kinds, "heaviest": math.inf}


SOME = Apples(("<b>", "gala", "fuji"))


def test_it_is_one_short_line() -> None:
    assert repr(SOME) == "<Apples: some <apples>>"
    long = repr(Apples((), "many words " * 1000))
    assert len(long) < 200 and "\n" not in long and long.endswith("…>")


def test_a_notebook_shows_a_table_with_nothing_of_names_in_its_markup() -> None:
    page = SOME._repr_html_()
    assert page.startswith("<p>some\n  &lt;apples&gt;</p><table><thead><tr><th>kind</th><th>count</th>")
    assert (
        "<td>&lt;b&gt;</td><td>0</td><td></td>" in page and "<td>fuji</td><td>2</td><td>0.2469</td>" in page
    )
    many = Apples(tuple("abc") * MOST_ROWS)._repr_html_()
    assert many.count("<tr>") == MOST_ROWS + 1 and many.endswith(f"<p>and {2 * MOST_ROWS} more</p>")
    assert Apples(())._repr_html_().endswith("<tbody></tbody></table>")


def test_a_frame_has_the_rows() -> None:
    pandas = pytest.importorskip("pandas")
    frame = SOME.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == ["kind", "count", "weight"]
    assert frame["kind"].tolist() == [
        "<b>",
        "gala",
        "fuji",
    ]
    assert frame["weight"].isna().tolist() == [True, False, False]


def test_names_are_bars_and_figures_are_points() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    bars: Any = SOME.plot()
    assert [bar.get_height() for bar in bars.patches] == pytest.approx([0.123456, 0.246912])
    assert [text.get_text() for text in bars.get_xticklabels()] == ["gala", "fuji"]
    assert bars.get_ylabel() == "weight"
    points: Any = Apples(SOME.kinds, across="count").plot(pyplot.subplots()[1])
    assert points.collections[0].get_offsets().tolist() == [[1.0, 0.123456], [2.0, 0.246912]]
    assert points.get_xlabel() == "count"
    pyplot.close("all")


@pytest.mark.parametrize(
    ("call", "package", "extra"),
    [("to_frame", "pandas", "frames"), ("plot", "matplotlib", "plot"), ("plot", "matplotlib.pyplot", "plot")],
)
def test_what_is_absent_is_told_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, call: str, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"`{call}` needs {package.partition('.')[0]}") as caught:
        getattr(SOME, call)()
    assert caught.value.hint == f"pip install 'eecompile[{extra}]'"


def test_the_ending_says_what_is_saved(tmp_path: Path) -> None:
    assert SOME.save(tmp_path / "a.json") == tmp_path / "a.json"
    assert json.loads((tmp_path / "a.json").read_text()) == {"kinds": list(SOME.kinds), "heaviest": None}
    SOME.save(str(tmp_path / "a.csv"))
    with (tmp_path / "a.csv").open() as stream:
        assert list(csv.DictReader(stream))[2] == {"kind": "fuji", "count": "2", "weight": "0.246912"}
    SOME.save(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert page.startswith("<!doctype html>") and SOME._repr_html_() in page
    with pytest.raises(InputError, match=r"a\.txt has no ending that says"):
        SOME.save(tmp_path / "a.txt")


@pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_pictures_are_saved_and_closed(tmp_path: Path, ending: str, magic: bytes) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    before = pyplot.get_fignums()
    assert SOME.save(tmp_path / f"a.{ending}").read_bytes().startswith(magic)
    assert pyplot.get_fignums() == before


def test_cells_and_documents() -> None:
    assert [cell(value) for value in (None, 1, 1.23456, "a")] == ["", "1", "1.235", "a"]
    assert finite({1: [math.nan, 2.0, (math.inf,)]}) == {"1": [None, 2.0, [None]]}


def test_a_table_for_papers_has_units_in_its_head(tmp_path: Path) -> None:
    text = SOME.save(tmp_path / "a.tex").read_text()
    assert "% some <apples>\n" in text and "\\begin{tabular}{lrr}" in text
    assert "kind & count & weight \\\\\n\\midrule\n\\textless{}b\\textgreater{} & 0 &  \\\\" in text
    assert "fuji & 2 & 0.2469 \\\\\n\\bottomrule" in text
    names = ["energy_pj", "edp_j_cycles", "latency_cycles", "edp_js", "latency_s", "macs"]
    heads = ["energy (pJ)", "edp (J·cycles)", "latency (cycles)", "edp (J·s)", "latency (s)", "macs"]
    assert [heading(name) for name in names] == heads
