"""The page of fronts: what stands on it, and what a real browser makes of it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile.search.shown.front import ShownFront, ShownPoint
from eecompile.search.shown.page import page, warnings
from eecompile.search.shown.study import shown_study
from tests.browser import seen_in_frames
from tests.eecompile.search.shown.made_study import run_at_points, write_study

# What is done on the page, step by step; after each step all of it is looked at.
DRIVER = """
const steps = (page, selector) => [...page.querySelectorAll(`${selector} .joined`)]
  .map((line) => line.getAttribute("points").split(" ").length);
const look = (page) => {
  const shown = (selector) => [...page.querySelectorAll(selector)].filter((part) => !part.hidden);
  const dots = [...page.querySelectorAll("#front-chart .point")];
  const article = shown("article")[0];
  return {
    beside: shown(".beside").map((part) => part.dataset.point),
    articles: shown("article").map((part) => part.dataset.point),
    dots: dots.map((dot) => dot.dataset.key),
    pressed: dots.filter((dot) => dot.getAttribute("aria-pressed") === "true").map((dot) => dot.dataset.key),
    stops: dots.filter((dot) => dot.getAttribute("tabindex") === "0").map((dot) => dot.dataset.key),
    labels: dots.map((dot) => dot.getAttribute("aria-label")),
    focused: page.activeElement.dataset.key,
    row: [...page.querySelectorAll("tr.chosen")].map((row) => row.dataset.row),
    said: page.querySelector("#pointed").textContent,
    hash: page.defaultView.location.hash,
    texts: [...page.querySelectorAll("#front-chart text")].map((text) => text.textContent),
    joined: steps(page, "#front-chart"),
    at: dots.map((dot) => Number(dot.querySelector(".dot").getAttribute("d").match(/M([\\d.]+)/)[1])),
    statics: page.querySelectorAll("#front-chart .statics path").length,
    grey: page.querySelectorAll("#front-chart .tried").length,
    intervals: page.querySelectorAll("#front-chart .ci").length,
    tried: (page.querySelector("#tried-chart .tried")?.getAttribute("d") ?? "").split("M").length - 1,
    growth: steps(page, "#growth-chart"),
    moved: article.querySelector("[data-moved]")?.textContent,
    branches: [...article.querySelectorAll("[data-architecture] text")].map((text) => text.textContent),
    bars: article.querySelectorAll(".gantt rect").length,
    wide: page.documentElement.scrollWidth,
    log: page.querySelector("#log").checked,
    loaded: page.defaultView.performance.getEntriesByType("resource").length,
  };
};
const change = (page, id, value) => {
  page.querySelector(id).value = value;
  page.querySelector(id).dispatchEvent(new Event("change"));
};
const tick = (page, selector) => page.querySelector(selector).click();
const press = (page, key) =>
  page.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
addEventListener("error", (event) => { document.querySelector("pre").textContent = event.message; });
addEventListener("load", () => {
  const frames = [...document.querySelectorAll("iframe")].map((frame) => frame.contentDocument);
  const [first, linked, narrow, timed] = frames;
  const seen = { start: look(first), linked: look(linked), narrow: look(narrow), timed: look(timed) };
  tick(timed, "#tried");
  change(timed, "#x", "latency");
  seen.latency = look(timed);
  first.querySelector('#front-chart [data-key="0-0"]').dispatchEvent(new Event("click"));
  seen.clicked = look(first);
  press(first, "ArrowLeft");
  seen.left = look(first);
  press(first, "Home");
  seen.home = look(first);
  first.querySelector('[data-choose="1-1"]').click();
  seen.row = look(first);
  tick(first, "#tried");
  tick(first, "#statics");
  seen.ticked = look(first);
  tick(first, '[data-front="1"]');
  seen.hidden = look(first);
  change(first, "#y", "test_accuracy");
  change(first, "#x", "energy");
  seen.axes = look(first);
  tick(first, "#log");
  seen.log = look(first);
  first.querySelector('[data-choose="0-1"]').click();
  const slider = first.querySelector('article[data-point="0-1"] [data-move]');
  slider.value = 4;
  slider.dispatchEvent(new Event("input"));
  seen.moved = look(first);
  first.querySelector('article[data-point="0-1"] [data-back]').click();
  seen.back = look(first);
  document.querySelector("pre").textContent = JSON.stringify(seen);
});
"""


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> list[ShownFront]:
    folder = tmp_path_factory.mktemp("fronts")
    usual = shown_study(write_study(folder / "usual"))
    other = shown_study(write_study(folder / "other", better=0.5, hardware=False))
    bare = tuple(ShownPoint(p.name, {**p.figures, "edp_j_cycles": 0.05}) for p in usual.points)
    return [usual, other, replace(usual, title="what if <script>", points=bare, designs=())]


@pytest.fixture(scope="module")
def written(fronts: list[ShownFront]) -> str:
    return page(fronts)


@pytest.fixture(scope="module")
def seen(written: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("page")
    (folder / "front.html").write_text(written)
    timed = shown_study(run_at_points(write_study(folder / "timed")))
    (folder / "timed.html").write_text(page([timed]))
    frames = "".join(
        f'<iframe src="{place}" width="{width}" height="900"></iframe>'
        for place, width in (
            ("front.html", 1200), ("front.html#1-2", 1200), ("front.html", 400), ("timed.html#0-2", 1200)
        )
    )  # fmt: skip
    return seen_in_frames(folder, frames, DRIVER)


def test_it_asks_for_nothing_outside(written: str) -> None:
    addresses = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"'\s>)]+)""", written)
    assert addresses == [] and "default-src 'none'" in written
    script = written.rsplit("<script>", 1)[1].split("</script>", 1)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in written, "the policy lets this very script run"


def test_titles_cannot_become_code(written: str) -> None:
    assert "what if &lt;script&gt;" in written and "what if <script>" not in written
    data = written.split('id="fronts">', 1)[1].split("</script>", 1)[0]
    assert json.loads(data)["fronts"][2]["title"] == "what if <script>"


def test_without_a_script_there_are_tables_and_a_picture(written: str) -> None:
    assert "usual --trial 2 --front-point 0</code>" in written
    assert "<noscript><svg" in written and written.count("trial 2, point 0") >= 3
    assert "margin ≥ 0.5000" in written and "62.5 % less" in written and "0.8640" in written


def test_fronts_of_other_things_are_told_apart(fronts: list[ShownFront]) -> None:
    assert warnings(fronts) == []
    copies = [
        replace(fronts[0], facts=(("data", name), ("images, hash", "1"))) for name in ("a.npz", "b.npz")
    ]
    assert warnings(copies) == [], "the same images in another place"
    elsewhere = replace(fronts[1], facts=(("target", "gap9"),), objectives=("accuracy", "macs"))
    found = " ".join(warnings([fronts[0], elsewhere]))
    assert "differ in target (diana, gap9)" in found and "different objectives" in found
    assert "differ in data" not in found


def test_an_empty_front_has_a_page_too(fronts: list[ShownFront]) -> None:
    text = page([replace(fronts[0], points=())])
    assert "No network keeps all constraints:" in text and "<article" not in text


def test_a_point_is_chosen_at_first(seen: dict[str, Any]) -> None:
    start = seen["start"]
    assert (
        len(start["dots"]) == 9 and start["pressed"] == start["stops"] == start["beside"] == start["articles"]
    )
    assert start["row"] == start["pressed"] and start["hash"] == f"#{start['pressed'][0]}"
    assert (
        "expected energy-delay product, mJ·cycles" in start["texts"]
        and "accuracy on val, %" in start["texts"]
    )
    assert start["loaded"] == 0 and start["joined"] == [3, 3, 1]
    assert seen["linked"]["pressed"] == ["1-2"] == seen["linked"]["articles"]


def test_a_click_shows_what_a_point_is(seen: dict[str, Any]) -> None:
    clicked = seen["clicked"]
    assert clicked["articles"] == clicked["beside"] == ["0-0"] and clicked["focused"] == "0-0"
    assert "62.5 % less than without exits" in clicked["said"] and "usual" in clicked["said"]
    assert clicked["branches"] == ["exit_0  75.0 %  linear", "exit_1  0.0 %  linear", "final  25.0 %"]
    assert clicked["bars"] > 3 and clicked["statics"] == 2, "the best backbone and its own"


def test_arrow_keys_go_along_the_points(seen: dict[str, Any]) -> None:
    order = seen["clicked"]["dots"]
    assert seen["left"]["focused"] == seen["left"]["pressed"][0] == order[order.index("0-0") - 1]
    assert seen["home"]["focused"] == order[0] == "1-2"


def test_the_table_chooses_too(seen: dict[str, Any]) -> None:
    assert seen["row"]["articles"] == ["1-1"] == seen["row"]["row"]


def test_what_is_drawn_can_be_ticked(seen: dict[str, Any]) -> None:
    assert (seen["row"]["grey"], seen["ticked"]["grey"]) == (0, 1) and seen["ticked"]["statics"] == 0
    assert seen["start"]["tried"] == 12 and seen["hidden"]["tried"] == 6
    assert len(seen["start"]["growth"]) == 2 and seen["start"]["growth"][0] == 9, (
        "two per design, and the end"
    )
    assert len(seen["hidden"]["growth"]) == 1
    assert {key[0] for key in seen["hidden"]["dots"]} == {"0", "2"}


def test_axes_can_be_changed(seen: dict[str, Any]) -> None:
    axes = seen["axes"]
    assert "accuracy on test, %" in axes["texts"] and "expected energy per image, µJ" in axes["texts"]
    assert axes["intervals"] == 3, "those of the points that have one"
    assert "accuracy on test 96.00 %, expected energy per image 1.20 µJ" in " ".join(axes["labels"])
    assert axes["log"] is not seen["log"]["log"] and axes["at"] != seen["log"]["at"]


def test_thresholds_are_moved(seen: dict[str, Any]) -> None:
    moved, back = seen["moved"]["moved"], seen["back"]["moved"]
    assert "87.00 %" in moved and "exit_0: threshold 1.0000100.0 % leave" in moved
    assert "91.00 %" in back and "exit_0: threshold 0.500050.0 % leave" in back and "12.0 mJ·cycles" in back


def test_of_several_clocks_times_are_in_seconds(seen: dict[str, Any]) -> None:
    timed, latency = seen["timed"], seen["latency"]
    assert "expected energy-delay product, pJ·s" in timed["texts"]
    assert "accuracy on val 90.00 %, expected energy-delay product 50.0 pJ·s" in " ".join(timed["labels"])
    assert "87.5 % less than without exits" in timed["said"], "than its backbone at its own operating point"
    assert timed["statics"] == 2 and timed["tried"] == 6 and timed["growth"] == [9]
    assert "expected latency, µs" in latency["texts"] and "10.0 µs" in latency["said"]
    a, b, c = latency["at"]  # 10, 40 and 60 µs on a logarithmic axis
    assert latency["log"] and (b - a) / (c - b) == pytest.approx(np.log(4) / np.log(1.5), abs=0.02)
    assert "pJ·s" not in " ".join(seen["start"]["texts"])


def test_tables_of_several_clocks_are_in_seconds(tmp_path: Path) -> None:
    text = page([shown_study(run_at_points(write_study(tmp_path / "found")))])
    head, table = text.split('<table class="points">', 1)[1].split("</table>", 1)[0].split("<tbody>")
    assert '<th class="wrap">operating point</th>' in head
    assert "<td>50.0 pJ·s</td>" in table and "<td>10.0 µs</td>" in table and "<td>fast</td>" in table
    assert "cycles" not in table and "expected energy-delay product 1.00 nJ·s" in text, "the reference"


def test_a_front_without_a_clock_is_told_apart(fronts: list[ShownFront], tmp_path: Path) -> None:
    timed = shown_study(run_at_points(write_study(tmp_path / "found")))
    (said,) = warnings([timed, fronts[0]])
    assert said == f"Times are in seconds, and no clock is known of {fronts[0].title}."


def test_a_phone_needs_no_scrolling_sideways(seen: dict[str, Any]) -> None:
    assert seen["narrow"]["wide"] <= 400 and len(seen["narrow"]["dots"]) == 9
