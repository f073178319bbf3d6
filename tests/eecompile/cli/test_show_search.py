from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eecompile.cache.store import CacheEntry
from eecompile.cli.show_search import cached, reason, searched
from eecompile.search.dry_run import Corner, DryRun
from eecompile.search.searching import SearchResult
from eecompile.search.several_targets import TargetsDryRun, TargetsResult
from eecompile.search.study.coordinator import Outcome
from eecompile.search.times import SearchTimes
from eecompile.verbs.search import CacheList, TrialReason


def printed(show: Any, found: object, width: int = 80) -> str:
    stream = io.StringIO()
    show(Console(file=stream, width=width), found)
    return stream.getvalue()


def point(trial: int, exits: int) -> dict[str, Any]:
    return {
        "trial": trial, "accuracy_val": 0.912, "accuracy": 0.9, "accuracy_ci95": [0.88, 0.92],
        "edp_j_cycles": 0.0354, "latency_cycles": 16983.0, "energy_pj": 1.63e6, "exits": [{}] * exits,
        "final_head": "own" if exits else "mlp",
    }  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 160])
def test_a_front(width: int) -> None:
    front = {
        "trials_done": 8, "objectives": ["accuracy", "edp"], "target": "diana", "data": "digits", "seed": 0,
        "hypervolume": 0.96, "points": [point(17, 2), point(3, 0)], "operating_points": ["nominal"],
    }  # fmt: skip
    times = SearchTimes({"training": 9.0, "costs": 1.0}, 1, 8)
    text = printed(searched, SearchResult(Path("out"), front, [], 12.0, times), width)
    assert "Training took 90.0 % of the time; costs 10.0 %." in " ".join(text.split())
    assert "rank" not in text
    report = {"designs": 7, "rank_correlation": {"worth": 0.5, "accuracy_val": 0.625}}
    result = SearchResult(Path("out"), {**front, "predictor": report}, [], 12.0, times)
    told = " ".join(printed(searched, result, width).split())
    assert "Predictions rank 7 designs: hypervolume 0.50, accuracy 0.62 (Spearman)." in told
    assert "8 designs on diana, digits, seed 0" in text and "12 s. Files: out" in text
    if width >= 80:
        row = next(line for line in text.splitlines() if "16,983" in line).split()
        assert row[:9] == ["17", "91.2", "90.0", "[88.0,", "92.0]", "0.0354", "16,983", "1.63", "2"]
    assert "own" in text.split()


@pytest.mark.parametrize(
    ("nearest", "points", "said"),
    [
        (
            {"trial": 3, "why": [{"constraint": "max_macs", "reached": 2e6, "asked": 1e6, "excess": 1.0}]},
            [],
            [
                "The nearest is trial 3, which breaks",
                "max_macs: 2e+06 at best, 1e+06 asked",
                "why out --trial 3",
            ],
        ),
        (None, [{}], ["Networks of trial 0 did before they were trained on"]),
        (None, [], ["No design could be built and trained: eecompile why out --trial 0"]),
    ],
)
def test_without_a_front_it_says_what_came_nearest(
    nearest: dict[str, Any] | None, points: list[dict[str, Any]], said: list[str]
) -> None:
    front = {
        "trials_done": 1, "objectives": ["accuracy", "edp"], "target": "diana",
        "data": "digits", "seed": 0, "hypervolume": 0.0, "points": [],
        "operating_points": ["nominal"], "nearest": nearest,
    }  # fmt: skip
    outcome = Outcome(0, {}, {"points": points})
    text = printed(searched, SearchResult(Path("out"), front, [outcome], 12.0, SearchTimes({}, 1, 1)), 160)
    assert "No network keeps all constraints." in text
    assert [part for part in said if part not in text] == []


def test_of_several_operating_points_times_are_in_seconds() -> None:
    there = {**point(17, 2), "operating_point": "slow", "edp_js": 1.5e-9, "latency_s": 2.5e-3}
    front = {
        "trials_done": 8, "objectives": ["accuracy", "edp"], "target": "gap9",
        "data": "digits", "seed": 0, "hypervolume": 0.96,
        "points": [there], "operating_points": ["fast", "slow"],
    }  # fmt: skip
    text = printed(searched, SearchResult(Path("out"), front, [], 12.0, SearchTimes({}, 1, 1)), 120)
    row = next(line for line in text.splitlines() if "1.5e-09" in line).split()
    assert row[5:8] == ["1.5e-09", "2.5", "slow"] and "J·s" in text and "J·cycles" not in text


def test_of_several_targets_all_fronts_and_what_is_common() -> None:
    def front(target: str) -> SearchResult:
        told = {
            "trials_done": 8, "objectives": ["accuracy", "edp"], "target": target,
        "data": "digits", "seed": 0, "hypervolume": 0.96,
            "points": [point(17, 2)], "operating_points": ["nominal"],
        }  # fmt: skip
        return SearchResult(Path("out") / target, told, [], 12.0, SearchTimes({}, 1, 1))

    results = {name: front(name) for name in ("diana", "gap9")}
    places = {"diana": [{"trial": 17, "point": 0}], "gap9": [{"trial": 3, "point": 1}]}
    common = [{"design": "d17", "exits": [{}], "final_head": "own", "points": places}]
    text = printed(searched, TargetsResult(Path("out"), results, common, 24.0), 120)
    assert "8 designs on diana" in text and "8 designs on gap9" in text
    assert "diana: 17; gap9: 3" in text and "d17" in text
    assert "No network is on the fronts" in printed(searched, TargetsResult(Path("out"), results, [], 24.0))
    dry = DryRun("12 designs", 12, ("accuracy", "edp"), (), 20, None)
    text = printed(searched, TargetsDryRun({"diana": dry, "gap9": dry}))
    assert "Target diana" in text and "Target gap9" in text and text.count("12 designs") == 2


def test_what_the_front_is_of_is_shown() -> None:
    figures = {"macs": 1234567.0, "memory_bytes": 5632, "worst_latency_cycles": 20480.0}
    front = {
        "trials_done": 1, "objectives": ["accuracy", "memory", "worst_latency"], "target": "gap9",
        "data": "digits", "seed": 0, "hypervolume": 0.5, "points": [point(1, 1) | figures],
        "operating_points": ["nominal"],
    }  # fmt: skip
    text = printed(searched, SearchResult(Path("out"), front, [], 1.0, SearchTimes({}, 1, 1)), 100)
    assert "KiB" in text and " 5.5 " in text and "cycles at worst" in text and " 20,480 " in text
    assert "MACs" not in text
    in_seconds = point(1, 1) | figures | {
        "edp_js": 2e-9, "latency_s": 5e-4, "worst_latency_s": 0.0015, "operating_point": "0.65V",
    }  # fmt: skip
    several = {**front, "operating_points": ["0.8V", "0.65V"], "points": [in_seconds]}
    text = printed(searched, SearchResult(Path("out"), several, [], 1.0, SearchTimes({}, 1, 1)), 110)
    assert "ms at worst" in text and " 1.500 " in text and "20,480" not in text
    front["objectives"] = ["accuracy", "macs"]
    assert " 1,234,567 " in printed(
        searched, SearchResult(Path("out"), front, [], 1.0, SearchTimes({}, 1, 1)), 100
    )


def test_what_a_search_would_do() -> None:
    figures = {"macs": 1000.0, "latency_cycles": 2000.0, "energy_pj": 3e6, "edp_j_cycles": 0.1}
    corners = (
        Corner("smallest resnet", "d", figures, 4, "", 1.5),
        Corner("largest resnet", "e", {}, 0, "conv_3 fits no core", None),
    )
    text = printed(searched, DryRun("12 designs", 12, ("accuracy", "edp"), corners, 20, (120.0, 240.0)))
    assert "12 designs" in text and "1,000" in text and "1.5" in text
    assert "conv_3 fits no core" in text
    assert "Training 12 designs takes 2.0 to 4.0 minutes here." in text
    shared = DryRun("12 designs", 12, ("accuracy", "edp"), corners, 20, (120.0, 240.0), shared=True)
    assert "Training the network whose weights they share takes 2.0 to 4.0 min" in printed(searched, shared)


def test_why() -> None:
    told = TrialReason(
        4, "d4", "infeasible",
        [{"constraint": "max_macs", "reached": 2e6, "asked": 1e6, "what": ""},
         {"constraint": "a with b", "reached": None, "asked": None, "what": ""},
         {"constraint": "", "reached": None, "asked": None, "what": "training diverged"}],
        ["max_macs: smaller"],
    )  # fmt: skip
    text = printed(reason, told)
    assert "Trial 4 is infeasible: d4" in text and "2e+06 at best, 1e+06 asked" in text
    failed = printed(reason, TrialReason(1, "d1", "failed", [], []))
    assert "Trial 1 failed: d1" in failed
    assert "not together" in text and "training diverged" in text and "max_macs: smaller" in text


def test_what_is_kept() -> None:
    entries = [CacheEntry("costs", "ab", "costs on diana", size, 0.0) for size in (512, 4096, 3 * 2**30)]
    entries.append(CacheEntry("supernet", "cd", "a supernet", 2**20, 0.0))
    text = printed(cached, CacheList(Path("kept"), entries, 2), 120)
    assert "2 entries removed" in text and "kept: 4 entries, 3.0 GiB" in text
    shown = " ".join(text.replace("│", " ").split())
    assert "costs 3 3.0 GiB" in shown and "supernet 1 1.0 MiB" in shown
    assert "512 B" in text and "4.0 KiB" in text and "1970-01-01" in text
