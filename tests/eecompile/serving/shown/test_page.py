"""The page has the numbers of the JSON, and asks for nothing."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from eecompile.serving.result import SimulationResult
from eecompile.serving.shown.page import page, spread
from eecompile.serving.simulation import simulate_load
from tests.eecompile.serving.test_simulation import both, load, quietly


@pytest.fixture(scope="module")
def found() -> SimulationResult:
    """Return two policies on a network, with capacity."""
    asked, policies = load(90.0, requests=2000, seeds=range(2)), ["fifo", "remaining"]
    return simulate_load([both()], asked, policies, True, None, lambda _: None, wants_detail=True)


class _Balance(HTMLParser):
    """Counts elements that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that begins."""
        assert not any(name in ("src", "href") for name, _ in attrs), "nothing outside is asked for"
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Leave out what ends where it begins."""

    def handle_endtag(self, tag: str) -> None:
        """Check that what ends is what began last."""
        assert self.open.pop() == tag


def written(found: SimulationResult) -> str:
    """Return the page."""
    assert found.detail is not None
    return page(found.to_json(), found.detail)


def test_the_page_has_the_figures_and_asks_for_nothing(found: SimulationResult) -> None:
    text = written(found)
    parser = _Balance()
    parser.feed(text)
    assert parser.open == []
    assert "default-src 'none'" in text and "http" not in re.sub(r"http-equiv", "", text)
    for row in found.rows:
        assert f"{row.form}, {row.policy}</td>" in text
        interval = row.figures["p99_s"]
        assert spread((interval.mean, interval.low, interval.high), 1e3) in text
        assert row.capacity is not None
        assert spread((row.capacity.mean, row.capacity.low, row.capacity.high)) in text
    assert found.detail is not None
    share, seconds = found.detail.rows[1].tail[2]
    assert f"exits, fifo: {100 * share:g} % take longer than {1e3 * seconds:.4g} ms" in text
    rate, late = found.detail.rows[2].curve[-1]
    assert f"exits, remaining: {100 * late:.3g} % late at {rate:.4g} requests/s" in text
    assert f"exit 0: {100 * found.detail.rows[1].exits[0][0]:.1f} %" in text
    assert text.count("<title>net, stage") >= 80, "40 stages, above and in the rows of their requests"


def test_what_was_not_asked_for_is_left_out(found: SimulationResult) -> None:
    assert found.detail is not None
    rows = [dataclasses.replace(row, curve=[]) for row in found.detail.rows]
    text = written(dataclasses.replace(found, detail=dataclasses.replace(found.detail, rows=rows)))
    assert "at which load" not in text and "most requests/s" not in text and "ladder" not in text


def test_the_time_at_rungs_is_shown_where_thresholds_gave_way(found: SimulationResult) -> None:
    assert found.detail is not None
    document = found.to_json()
    document["rows"][-1]["rungs"] = [[0.75, None, None], [0.25, None, None]]
    text = page(document, found.detail)
    assert "ladder" in text and "rung 1: 25.0 %" in text


def test_batches_are_shown_with_what_they_cost() -> None:
    asked = load(300.0, requests=2000, seeds=range(2))
    found = quietly(asked, ["fifo"], batch="none,fluid:4", known=4, detail=True)
    text = written(found)
    assert "exits, fifo, fluid:4</td>" in text and "What ran (exits, fifo, fluid:4)" in text
    assert "<th>of 2</th><th>of 4</th>" in text and "net, exits</td><td>1</td>" in text
    assert "in the batches that cost least" in text
    assert found.detail is not None
    assert any(len(stage.requests) > 1 for stage in found.detail.stages), "the window has batches"


def test_cores_are_shown_where_stages_run_beside_each_other(found: SimulationResult) -> None:
    beside = quietly(load(200.0, requests=2000, seeds=[0], overlap=True), ["fifo"], detail=True)
    assert beside.detail is not None
    text = page(beside.to_json(), beside.detail, beside.cores)
    share = 100 * beside.rows[1].cores["npu"].mean
    assert "<th>npu</th>" in text and f"<td>{share:.4g}</td>" in text
    assert "beside each other, where" in text and "what ran at once" in text
    assert "<h2>Cores</h2>" not in written(found)


def test_notes_are_escaped(found: SimulationResult) -> None:
    assert "<b>net" not in written(dataclasses.replace(found, notes=["<b>net"]))


def test_one_seed_has_no_interval() -> None:
    assert spread((1.25, None, None), 10) == "12.5" and spread((2.0, 1.5, 2.5)) == "2 ± 0.5"
