"""The page as a reader sees it: on a telephone and on a desk, by day and by night."""

from __future__ import annotations

import copy
import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from eecompile import report
from eecompile.run_files.samples import write_samples
from tests.browser import seen_in_frames
from tests.eecompile.fabricated_run import samples, summary, training, write_run
from tests.eecompile.report.made_traces import tiled, trace_of

WIDTHS, SCHEMES = (400, 1400), ("light", "dark")
LOOK = """
const numbers = (text) => text.match(/[\\d.]+(e-?\\d+)?/g).map(Number);
const colour = (text) => {  // [r, g, b, alpha], each from 0 to 1
  const found = numbers(text.replace("color(srgb", ""));
  const scale = text.startsWith("color(") ? 1 : 255;
  return [...found.slice(0, 3).map((part) => part / scale), found[3] ?? 1];
};
const over = (top, below) => top.slice(0, 3).map((part, k) => part * top[3] + below[k] * (1 - top[3]));
const light = (rgb) => rgb
  .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  .reduce((sum, part, k) => sum + part * [0.2126, 0.7152, 0.0722][k], 0);
const contrast = (one, other) => {
  const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};
const look = (frame) => {
  const page = frame.contentDocument, view = frame.contentWindow, root = page.documentElement;
  const style = (element) => view.getComputedStyle(element);
  const ground = (element) => {
    const own = colour(style(element).backgroundColor);
    if (own[3] === 1) return own.slice(0, 3);
    return over(own, element === root ? [1, 1, 1] : ground(element.parentElement));
  };
  // What lies under a word in a bar is the bar.
  const below = (element) => {
    if (!element.matches("svg .inside")) return ground(element);
    const bar = style(element.previousElementSibling), fill = colour(bar.fill);
    return over([...fill.slice(0, 3), fill[3] * Number(bar.opacity)], ground(element));
  };
  const shown = (element) => element.getClientRects().length && style(element).visibility === "visible";
  const words = [...page.querySelectorAll("body *")].filter((element) =>
    !element.closest("script, title, :disabled, .unseen, clipPath") && shown(element)
    && [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
  const dim = words.map((element) => {
    const ink = colour(element.ownerSVGElement ? style(element).fill : style(element).color);
    const words = element.textContent.trim().slice(0, 40);
    return [contrast(over(ink, below(element)), below(element)), element.getAttribute("class"), words];
  }).filter(([found]) => found < 4.5);
  const stack = page.querySelector(".stack");
  const marks = "c0 c1 c2 c3 c4 c5 kind-dma kind-host average loss".split(" ").map((name) => {
    const probe = stack.appendChild(page.createElementNS(stack.namespaceURI, "rect"));
    probe.setAttribute("class", name);
    const found = contrast(colour(style(probe).fill).slice(0, 3), ground(page.querySelector("section")));
    probe.remove();
    return [name, found];
  });
  const charts = [...page.querySelectorAll(".chart")].filter(shown);
  const plain = charts.filter((chart) => !chart.matches(".gantt"));
  const cards = [...page.querySelectorAll(".figure, .advice li, .bars > div")];
  const box = (element) => element.getBoundingClientRect();
  const within = (inner, outer) => box(inner).right <= box(outer).right + 0.5
    && box(inner).left >= box(outer).left - 0.5;
  return {
    dark: view.matchMedia("(prefers-color-scheme: dark)").matches,
    width: view.innerWidth, taken: root.scrollWidth, room: root.clientWidth,
    page: style(page.body).backgroundColor,
    words: words.length, dim,
    marks: marks.filter(([, found]) => found < 3),
    cards: cards.length,
    full: cards.filter((card) => card.scrollWidth > card.clientWidth
      || [...card.querySelectorAll("*")].some((part) => !within(part, card))).map((card) => card.textContent),
    outside: [...page.querySelectorAll("body *")].filter((element) => shown(element)
      && !element.ownerSVGElement && !element.closest(".scroll, .unseen") && !within(element, page.body))
      .map((element) => `${element.tagName}.${element.className}`),
    cut: charts.flatMap((chart) => [...chart.querySelectorAll("text")].filter((text) => !within(text, chart)))
      .map((text) => text.textContent),
    scrolled: [...page.querySelectorAll(".scroll")].filter((box) => box.scrollWidth > box.clientWidth).length,
    small: Math.min(...plain.map((chart) => parseFloat(style(chart.querySelector("text")).fontSize)
      * box(chart).width / chart.viewBox.baseVal.width)),
    axes: plain.map((chart) => chart.querySelector(".y-title").textContent),
    times: [...page.querySelectorAll(".gantt")].map((chart) => chart.textContent.includes("time, cycles")),
    saved: page.querySelector("#val-edp").textContent,
  };
};
addEventListener("load", () => {
  const seen = [...document.querySelectorAll("iframe")].map((frame) => {
    const found = look(frame), page = frame.contentDocument, slider = page.querySelector("#slider-0");
    slider.value = slider.max;
    slider.dispatchEvent(new Event("input"));
    page.querySelector("#cost").value = "latency";
    page.querySelector("#cost").dispatchEvent(new Event("change"));
    const then = look(frame);
    return { ...found, moved: then.saved, then: then.axes };
  });
  document.querySelector("pre").textContent = JSON.stringify({ frames: seen });
});
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with all parts of a page, names that are long and figures that are wide."""
    document = copy.deepcopy(summary())
    document["model"] = "a_network_with_a_name_that_is_as_long_as_some_exporters_make_them.onnx"
    document["exits"][1]["mount"] = f"functional_1/{'block/' * 12}add"
    document["drop"] = {"points": -12.34, "ci95": [-15.67, -10.89]}
    document["removed_exits"][0]["reason"] = "`" + "x" * 90 + "`"
    for path in (document["static"], *document["exits"]):
        path["edp_js"] = path["energy_pj"] * 1e-12 * path["latency_s"]
    run = write_run(tmp_path_factory.mktemp("run"), document)
    trace = trace_of(tiled())
    trace["traceEvents"] += [
        {**event, "name": f"layer {number} of many", "cat": kind, "ts": 0, "dur": 9, "args": {"cycles": 900}}
        for number, kind in enumerate(("compute",) * 6 + ("dma", "host", "stream"))
        for event in [{"ph": "X", "pid": 1, "tid": 100 + number}]
    ]
    (run / "schedule.trace.json").write_text(json.dumps(trace))
    write_samples(run, samples())
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(info | {"training": training()}))
    report.write(run)
    return run


@pytest.fixture(scope="module")
def seen(run: Path) -> dict[tuple[int, str], dict[str, Any]]:
    views = list(product(WIDTHS, SCHEMES))
    page = (run / "report.html").as_uri()
    frames = "".join(
        f'<iframe style="width:{width}px;height:900px;color-scheme:{scheme}" src="{page}"></iframe>'
        for width, scheme in views
    )
    return dict(zip(views, seen_in_frames(run, frames, LOOK)["frames"], strict=True))


VIEWS = pytest.mark.parametrize("view", list(product(WIDTHS, SCHEMES)))


@VIEWS
def test_the_page_is_as_wide_as_the_screen_and_wide_parts_scroll_in_their_box(
    seen: dict[tuple[int, str], dict[str, Any]], view: tuple[int, str]
) -> None:
    found = seen[view]
    assert (found["width"], found["dark"]) == (view[0], view[1] == "dark")
    assert found["taken"] <= found["room"] <= view[0]
    assert found["outside"] == found["cut"] == []
    assert found["scrolled"] > 5 or view[0] > 400


@VIEWS
def test_no_card_overflows(seen: dict[tuple[int, str], dict[str, Any]], view: tuple[int, str]) -> None:
    assert seen[view]["cards"] > 15
    assert seen[view]["full"] == []


@VIEWS
def test_text_and_marks_stand_out(seen: dict[tuple[int, str], dict[str, Any]], view: tuple[int, str]) -> None:
    found = seen[view]
    assert found["words"] > 300
    assert found["dim"] == [], "4.5 to 1 for text"
    assert found["marks"] == [], "3 to 1 for what is drawn"
    assert found["small"] >= 8.9, "pixels of the smallest letters in charts"


def test_by_night_the_page_is_dark(seen: dict[tuple[int, str], dict[str, Any]]) -> None:
    for width in WIDTHS:
        day, night = seen[width, "light"]["page"], seen[width, "dark"]["page"]
        assert min(map(int, re.findall(r"\d+", day))) > 200 and max(map(int, re.findall(r"\d+", night))) < 60


def test_on_paper_it_is_light(run: Path) -> None:
    style = re.findall(r"<style>(.*?)</style>", (run / "report.html").read_text(), re.DOTALL)[0]
    dark = re.findall(r"@media ([^{]*prefers-color-scheme: dark[^{]*){", style)
    assert dark and all(query.startswith("screen and ") for query in dark)
    assert "color-scheme: light;" in style.partition("@media print")[2]


@VIEWS
def test_every_axis_has_a_name(seen: dict[tuple[int, str], dict[str, Any]], view: tuple[int, str]) -> None:
    found = seen[view]
    assert found["axes"] == [
        "energy-delay product saved, % of static",
        *["share that is right, 0 to 1"] * 3,
        "mean loss of a step",
        "accuracy on val, %",
    ]
    assert found["then"][0] == "latency saved, % of static", "of the cost that is looked at"
    assert found["times"] and all(found["times"])


@VIEWS
def test_a_slider_moves_figures(seen: dict[tuple[int, str], dict[str, Any]], view: tuple[int, str]) -> None:
    found = seen[view]
    told = re.compile(r"[\d.]+ .?J·s[\d.]+ % (more|less)")
    assert told.fullmatch(found["saved"]) and told.fullmatch(found["moved"])
    assert found["moved"] != found["saved"]
