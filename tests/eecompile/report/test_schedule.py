"""What the page shows of a schedule."""

from __future__ import annotations

import json
import re

import pytest

from eecompile import report
from tests.eecompile.fabricated_run import write_run
from tests.eecompile.report.made_traces import tiled, trace_of
from tests.eecompile.report.test_report import Page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = write_run(tmp_path_factory.mktemp("run"))
    (folder / "schedule.trace.json").write_text(json.dumps(trace_of(tiled())))
    return Page(report.render(folder))


@pytest.mark.parametrize(
    "figure",
    [
        "up to early", "links and ports, busiest first", "peak 4 B of 8 B", "How busy cores are",
        "80.0 %", "in use 100.0 %", "32 bit/cycle, 990 B", "50.0 %", "Energy of work and of moving data",
        "100 µJ", "off chip",
    ],
)  # fmt: skip
def test_shows(page: Page, figure: str) -> None:
    assert figure in page.text


def test_the_path_is_chosen_without_a_script_and_the_last_is_shown(page: Page) -> None:
    chosen = [attributes for tag, attributes in page.tags if tag == "input"]
    assert [(a["id"], "checked" in a) for a in chosen] == [("path-1", False), ("path-2", True)]
    assert not {tag for tag, _ in page.tags} & {"script", "img", "link"}
    rule = re.search(r"\.tabs > input:nth-of-type\(1\).*? \{ display: block; \}", page.text)
    assert rule is not None and rule[0].count(":checked") == 2
