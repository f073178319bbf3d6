"""Tables and plots as a page has them."""

from __future__ import annotations

from eecompile.report.paper.page_parts import PageCell, page_parts

PAGE = """<!doctype html><html><head><meta charset="utf-8"><style>.c0 { fill: red; }</style></head><body>
<section><h2>Exits &amp; costs</h2>
<table><thead><tr><th>exit</th><th>energy<br>of all</th></tr></thead>
<tbody><tr><td title="long">exit_0</td><td>1.5 µJ <small>4 %</small><small>[1, 2]</small></td></tr>
<tr><td colspan="2">why not</td></tr><tr><td>short</td></tr></tbody></table>
<table class="explored"><tr><td>live</td></tr></table><table><tbody></tbody></table>
<h3>Where</h3><div class="scroll"><svg class="chart" viewBox="0 0 10 10" aria-label="shares">
<rect class="c0" width="3"/><text>a<title>tip</title></text></svg></div>
<ul class="legend"><li><svg viewBox="0 0 1 1"><rect class="c0"/></svg>first <b>one</b></li></ul>
<svg id="explore-chart" class="chart"><g></g></svg><svg class="stack"><rect/></svg></section>
<section><h2>Next</h2><svg class="chart empty"><clipPath><g/></clipPath></svg>
<svg class="stack tall" viewBox="0 0 1 1"><rect/></svg><p>words</p>
<ul class="legend"><li>not its own</li></ul>
<table class="facts"><tbody><tr><td>a</td><td>b</td></tr></tbody></table></section></body></html>"""


def test_tables_with_their_headings_and_smaller_lines() -> None:
    first, second = page_parts(PAGE).tables
    assert first.title == "Exits & costs"
    assert first.columns == ("exit", "energy of all")
    assert first.rows[0] == (PageCell("exit_0"), PageCell("1.5 µJ", ("4 %", "[1, 2]")))
    assert first.rows[1:] == ((PageCell("why not"), PageCell("")), (PageCell("short"), PageCell("")))
    assert (second.title, second.columns, second.rows) == ("Next", (), ((PageCell("a"), PageCell("b")),))


def test_plots_with_their_legends() -> None:
    parts = page_parts(PAGE)
    shares, bar = parts.plots
    assert parts.style == ".c0 { fill: red; }"
    assert shares.title == "Exits & costs – Where, shares"  # noqa: RUF001 - between headings
    assert shares.picture.get("viewBox") == "0 0 10 10"
    assert [part.tag for part in shares.picture.iter()] == ["svg", "rect", "text", "title"]
    assert shares.legend == (("c0", "first one"),)
    assert (bar.title, bar.legend) == ("Next", ())
