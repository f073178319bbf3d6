"""The sliders of the page: what they are given, and what a real browser makes of it."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile import report
from eecompile.exits.statistics import accuracy_interval, paired_drop
from eecompile.report.charts import Scale, ticks
from eecompile.report.explore import Explorer, explorer
from eecompile.run_files.samples import Samples, SplitSamples, write_samples
from eecompile.run_files.summary import Summary
from tests.browser import seen_in_frames
from tests.eecompile.fabricated_run import samples, summary, write_run

COSTS = {"edp": "edp_js", "latency": "latency_s", "energy": "energy_pj", "macs": "macs"}
CURVE: tuple[list[float | None], ...] = (
    [2.0, 2.0],
    [0.95, 0.9],
    [0.9127, 0.8443],
    [0.8, None],
    [0.8, 0.7],
    [0.75, 0.7],
)

# What is done on the page, step by step; each step is followed by looking at all its figures.
DRIVER = """
const look = (page) => {
  const found = { hidden: page.querySelector("#explore").hidden, picture: {} };
  for (const cell of page.querySelectorAll("[id^=val-], [id^=test-]")) {
    const exact = cell.querySelector("data");
    found[cell.id] = exact ? Number(exact.value) : null;
    if (exact && exact.dataset.ci95) found[`${cell.id}-ci95`] = exact.dataset.ci95.split(" ").map(Number);
    found[`${cell.id}-text`] = cell.textContent;
  }
  for (const dot of page.querySelectorAll("#now-val, #now-test"))
    found.picture[dot.id] = [dot.cx.baseVal.value, dot.cy.baseVal.value, dot.classList.contains("hollow")];
  found.sweep = page.querySelector("#explore-chart .faint").getAttribute("points");
  for (const control of page.querySelectorAll("[id^=threshold-], [id^=slider-]"))
    found[control.id] = control.value;
  found.steps = page.querySelector("#slider-0").max;
  found.spoken = page.querySelector("#slider-0").getAttribute("aria-valuetext");
  found.said = page.querySelector("#explore-said").textContent;
  found.problem = page.querySelector("#explore-problem").textContent;
  found.back = page.querySelector("#back").disabled;
  found.hash = page.defaultView.location.hash;
  return found;
};
const change = (page, id, value, kind) => {
  page.querySelector(id).value = value;
  page.querySelector(id).dispatchEvent(new Event(kind));
};
addEventListener("load", () => {
  const [first, linked, wrong] = [...document.querySelectorAll("iframe")].map((f) => f.contentDocument);
  const seen = { start: look(first) };
  change(first, "#slider-0", 100, "input");
  seen.moved = look(first);
  first.querySelector("#check").click();
  change(first, "#cost", "macs", "change");
  seen.checked = look(first);
  change(first, "#threshold-1", "never", "change");
  seen.never = look(first);
  change(first, "#threshold-1", "lots", "change");
  seen.nonsense = look(first);
  first.querySelector("#back").click();
  seen.back = look(first);
  linked.querySelector("#check").click();
  seen.linked = look(linked);
  seen.wrong = look(wrong);
  document.querySelector("pre").textContent = JSON.stringify(seen);
});
"""


@pytest.fixture(scope="module")
def answers() -> Samples:
    return samples()


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    made = copy.deepcopy(summary())
    for path in (made["static"], *made["exits"]):
        path["edp_js"] = path["energy_pj"] * 1e-12 * path["latency_s"]
    for point, thresholds in zip(made["curve"], CURVE, strict=True):
        point["thresholds"] = [*thresholds, None]
    return made


@pytest.fixture(scope="module")
def seen(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any], answers: Samples
) -> dict[str, Any]:
    run = write_run(tmp_path_factory.mktemp("run"), document)
    write_samples(run, answers)
    page = report.write(run)
    frames = "".join(
        f'<iframe src="{page.as_uri()}{place}"></iframe>'
        for place in ("", "#thresholds=0.7,0.625", "#thresholds=0.7")
    )
    return seen_in_frames(run, frames, DRIVER)


def expected(split: SplitSamples, thresholds: list[float], document: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of thresholds, counted by numpy and by the statistics of the run."""
    where = split.leaves_at(thresholds)
    right = split.correct[where, np.arange(len(where))]
    drop = paired_drop(split.static == split.label, right)
    ratios = np.bincount(where, minlength=3) / len(where)
    found: dict[str, Any] = {
        "accuracy": right.mean(),
        "drop": drop.points,
        "drop-ci95": pytest.approx([drop.lo95, drop.hi95]),
    }
    found |= {f"ratio-{k}": ratio for k, ratio in enumerate(ratios)}
    for name, key in COSTS.items():
        unit = 1e-12 if name == "energy" else 1.0
        found[name] = unit * sum(r * e[key] for r, e in zip(ratios, document["exits"], strict=True))
    return {
        key: value if key.endswith("95") else pytest.approx(float(value), rel=1e-9, abs=1e-12)
        for key, value in found.items()
    }


def at_step(answers: Samples, number: int, step: int) -> float:
    """Return the threshold of a step: that which lets all but the ``step`` least sure val images leave."""
    distinct = np.unique(answers.val.confidence[number]).astype(np.float64)
    return float(np.float32((distinct[step - 1] + distinct[step]) / 2))


@pytest.mark.parametrize(
    ("state", "thresholds", "on_test"),
    [
        ("start", (0.9127, 0.8443), True),
        ("moved", ("step", 0.8443), False),
        ("checked", ("step", 0.8443), True),
        ("never", ("step", np.inf), False),
        ("nonsense", ("step", np.inf), False),
        ("back", (0.9127, 0.8443), True),
        ("linked", (0.7, 0.625), True),
        ("wrong", (0.9127, 0.8443), True),
    ],
)
def test_a_browser_counts_what_numpy_counts(
    seen: dict[str, Any],
    answers: Samples,
    document: dict[str, Any],
    state: str,
    thresholds: tuple[Any, ...],
    on_test: bool,
) -> None:
    given = [at_step(answers, 0, 100) if t == "step" else t for t in thresholds]
    found = seen[state]
    assert not found["hidden"]
    for name, value in expected(answers.val, given, document).items():
        assert found[f"val-{name}"] == value, name
    for name, value in expected(answers.test, given, document).items():
        assert found.get(f"test-{name}") == (value if on_test else None), name


def test_figures_are_told_as_the_rest_of_the_page_tells_them(seen: dict[str, Any], answers: Samples) -> None:
    start, test = seen["start"], answers.test
    where = test.leaves_at([0.9127, 0.8443])
    right = test.correct[where, np.arange(len(where))]
    share, low, high = accuracy_interval(right)
    assert start["test-accuracy-text"] == f"{100 * share:.1f} %[{100 * low:.1f}, {100 * high:.1f}]"
    assert start["test-ratio-2-text"] == f"{100 * (where == 2).mean():.1f} %"
    assert re.fullmatch(
        r"\d\.\d\d mJ·s\d+\.\d % (less|more)|[\d.]+ nJ·s[\d.]+ % (less|more)", start["val-edp-text"]
    )
    assert start["spoken"].startswith("0.9127, ") and "of validation images leave" in start["spoken"]
    assert "points lost" in start["said"] and "energy-delay product saved" in start["said"]
    assert "MACs saved" in seen["checked"]["said"]


def test_test_is_blank_while_thresholds_move(seen: dict[str, Any]) -> None:
    assert "now-test" in seen["start"]["picture"]
    assert seen["moved"]["test-accuracy-text"] == "\N{EN DASH}" and "now-test" not in seen["moved"]["picture"]
    assert "now-test" in seen["checked"]["picture"]


def points(
    answers: Samples, document: dict[str, Any], thresholds: list[float], cost: str
) -> list[tuple[float, float]]:
    """Return drop and saving on val and on test, in points and percent."""
    found = []
    for split in (answers.val, answers.test):
        figures = expected(split, thresholds, document)
        static = document["static"][COSTS[cost]] * (1e-12 if cost == "energy" else 1.0)
        found.append((figures["drop"].expected, 100 * (1 - figures[cost].expected / static)))
    return found


@pytest.mark.parametrize(("state", "cost"), [("start", "edp"), ("back", "macs"), ("checked", "macs")])
def test_points_stand_at_their_drop_and_saving_or_at_the_edge(
    seen: dict[str, Any], answers: Samples, document: dict[str, Any], state: str, cost: str
) -> None:
    curve = [[np.inf if t is None else t for t in thresholds] for thresholds in CURVE]
    drawn = [point for t in [*curve, [0.9127, 0.8443]] for point in points(answers, document, t, cost)]
    drops = ticks(min(x for x, _ in drawn), max(x for x, _ in drawn), 6)
    savings = ticks(min(0.0, *(y for _, y in drawn)), max(0.0, *(y for _, y in drawn)), 5)
    x, y = Scale(drops[0], drops[-1], 56, 464), Scale(savings[0], savings[-1], 284, 30)
    given = [at_step(answers, 0, 100) if state == "checked" else 0.9127, 0.8443]
    for name, (drop, saved) in zip(
        ("now-val", "now-test"), points(answers, document, given, cost), strict=True
    ):
        place = [min(max(x(drop), 56), 464), min(max(y(saved), 30), 284)]
        assert seen[state]["picture"][name] == [
            *(pytest.approx(p, abs=0.11) for p in place),
            state == "checked",
        ]


def test_the_line_of_a_slider_has_all_its_steps_and_the_point_on_it(seen: dict[str, Any]) -> None:
    line = [tuple(map(float, point.split(","))) for point in seen["start"]["sweep"].split()]
    assert len(line) == int(seen["start"]["steps"]) + 1
    cx, cy, _ = seen["start"]["picture"]["now-val"]
    assert min(max(abs(cx - x), abs(cy - y)) for x, y in line) < 0.11
    assert seen["moved"]["sweep"] == seen["start"]["sweep"], "whatever its own threshold is"
    assert seen["never"]["sweep"] != seen["checked"]["sweep"], "that of the other slider"


def test_controls_show_where_they_stand(seen: dict[str, Any], answers: Samples) -> None:
    start = seen["start"]
    assert int(start["steps"]) == len(np.unique(answers.val.confidence[0])), "always, between all, never"
    assert (start["threshold-0"], start["threshold-1"], start["back"], start["hash"]) == (
        "0.9127",
        "0.8443",
        True,
        "",
    )
    below = int((np.unique(answers.val.confidence[0]) < np.float32(0.9127)).sum())
    assert int(start["slider-0"]) == below
    moved = seen["moved"]
    assert (moved["slider-0"], moved["slider-1"], moved["back"]) == ("100", start["slider-1"], False)
    assert float(moved["threshold-0"]) == pytest.approx(at_step(answers, 0, 100), abs=1e-4)
    assert moved["hash"] == f"#thresholds={at_step(answers, 0, 100)!r},{float(np.float32(0.8443))!r}"
    assert seen["never"]["threshold-1"] == "never" and seen["never"]["hash"].endswith(",never")
    assert (seen["back"]["threshold-0"], seen["back"]["back"], seen["back"]["hash"]) == ("0.9127", True, "")


def test_what_is_no_threshold_is_said_and_changes_nothing(seen: dict[str, Any]) -> None:
    assert "“lots” is no threshold" in seen["nonsense"]["problem"]
    assert seen["never"]["problem"] == seen["back"]["problem"] == ""
    assert "2 numbers (or never, always) are needed" in seen["wrong"]["problem"]


def made(document: dict[str, Any], answers: Samples | None, **changes: Any) -> Explorer | None:
    return explorer(Summary.model_validate({**document, **changes}), answers)


def test_a_policy_allows_the_script_of_the_page_and_no_other(
    tmp_path: Path, document: dict[str, Any], answers: Samples
) -> None:
    hostile = copy.deepcopy(document)
    hostile["exits"][0]["name"] = "</script><b>"
    run = write_run(tmp_path, hostile)
    write_samples(run, answers)
    text = report.render(run)
    scripts = re.findall(r"<script( [^>]*)?>(.*?)</script>", text, re.DOTALL)
    assert [kind for kind, _ in scripts] == [' type="application/json" id="per-image"', ""]
    assert json.loads(scripts[0][1])["exits"][0] == "</script><b>"
    digest = base64.b64encode(hashlib.sha256(scripts[1][1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text and "unsafe-eval" not in text


def test_the_script_is_given_every_answer_and_cost(document: dict[str, Any], answers: Samples) -> None:
    part = made(document, answers, objective="latency")
    assert part is not None and part.objective == "latency" and next(iter(part.measures)) == "latency"
    data = json.loads(part.data)
    for name, split in (("val", answers.val), ("test", answers.test)):
        for row, text in zip(split.confidence, data[name]["confidence"], strict=True):
            assert np.array_equal(np.frombuffer(base64.b64decode(text), "<f4"), row)
        for row, text in zip(
            (*split.correct, split.static == split.label),
            (*data[name]["correct"], data[name]["static"]),
            strict=True,
        ):
            bits = np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8))[: len(row)]
            assert np.array_equal(bits.astype(bool), row)
    assert data["thresholds"] == [0.9127, 0.8443]
    assert data["curve"][3] == [0.8, float(np.finfo(np.float32).max)], "no threshold: none leaves"
    assert data["costs"]["energy"]["static"] == pytest.approx(1e-12 * document["static"]["energy_pj"])


def test_costs_are_those_that_the_expectation_is_of(document: dict[str, Any], answers: Samples) -> None:
    ahead = copy.deepcopy(document)
    costs = {"latency_cycles": 7, "latency_s": 3.0, "energy_pj": 5e12, "edp_js": 15.0, "edp_j_cycles": 35.0}
    ahead["exits"][0]["speculative"] = costs | {"wasted_pj": 1.0, "pays": True}
    without = made(ahead, answers)
    ahead["expected"]["speculation"] = True
    with_it = made(ahead, answers)
    assert without is not None and with_it is not None
    took = [json.loads(part.data)["costs"] for part in (without, with_it)]
    assert [found["energy"]["exits"][0] for found in took] == pytest.approx([5.1e-6, 5.0])
    assert took[1]["macs"]["exits"][0] == document["exits"][0]["macs"]
    for path in (ahead["static"], *ahead["exits"]):
        path.update(latency_s=None, edp_js=None, speculative=None)
    unclocked = made(ahead, answers)
    assert unclocked is not None and unclocked.measures["edp"].unit == "J·cycles"
    assert json.loads(unclocked.data)["costs"]["latency"]["exits"][0] == 152e3


def test_where_nothing_can_be_moved_there_is_no_part(document: dict[str, Any], answers: Samples) -> None:
    assert made(document, None) is None
    assert made(document, answers, exits=document["exits"][-1:]) is None


def test_ten_thousand_test_images_make_no_large_page(document: dict[str, Any]) -> None:
    part = made(document, samples(5_000, 10_000))
    # Two early exits: 8 bytes of confidence and 4 bits of answers per image, 4/3 of it in base64.
    assert part is not None and len(part.data) < 1.02 * 15_000 * 8.5 * 4 / 3 + 3_000
