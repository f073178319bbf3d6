"""Runs under load: what is compared is served alike, and capacity is where theory has it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eecompile.exits.thresholds import Observed
from eecompile.serving.arrivals import Periodic, Poisson, Trace
from eecompile.serving.batches.batching import batchings_of
from eecompile.serving.cores.use import CoreUse
from eecompile.serving.moving.ladder import RUNGS, ladder_of
from eecompile.serving.outlook import outlook
from eecompile.serving.result import SimulationResult
from eecompile.serving.served_network import ServedNetwork
from eecompile.serving.simulation import simulate_load
from eecompile.serving.streams import RequestStream, ServingLoad
from eecompile.serving.ways import EXITS, STATIC
from passes.confidence import MAX_SOFTMAX
from passes.errors import InputError
from tests.eecompile.serving.cores.stages import served, use
from tests.eecompile.serving.crowds import service

EARLY, LATE_STAGE, STATIC_S = 0.002, 0.008, 0.009


def both(seed: int = 0, early: float = 0.7) -> tuple[ServedNetwork, ServedNetwork]:
    """Return a network that lets most images leave early, and one without exits."""
    draw = np.random.default_rng(seed)
    confidence = draw.random((1, 1000))
    leaves = (confidence[0] < 1 - early).astype(np.int64)
    times = service(EARLY, LATE_STAGE)
    seen = outlook(times, confidence, leaves)
    whole = service(STATIC_S)
    nothing = np.zeros(1000, np.int64)
    known = outlook(whole, confidence[:0], nothing)
    return (
        ServedNetwork("net", times, seen, confidence, leaves, np.stack([draw.random(1000) < 0.9] * 2)),
        ServedNetwork("net", whole, known, confidence[:0], nothing, draw.random((1, 1000)) < 0.95),
    )


def load(rate: float, **changes: object) -> ServingLoad:
    given = {"requests": 20_000, "seeds": range(3)} | changes
    return ServingLoad([RequestStream("net", 0, Poisson(rate), 0.05)], **given)  # type: ignore[arg-type]


def in_batches(
    pair: tuple[ServedNetwork, ServedNetwork], known: int = 4
) -> tuple[ServedNetwork, ServedNetwork]:
    """Return `both` with the costs of batches up to ``known``, half of one image's each."""
    times = service(EARLY, LATE_STAGE, batch=known), service(STATIC_S, batch=known)
    return replace(pair[0], service=times[0]), replace(pair[1], service=times[1])


def on_cores(pair: tuple[ServedNetwork, ServedNetwork]) -> tuple[ServedNetwork, ServedNetwork]:
    """Return `both`, each stage of which has a core for its first half and another for the second."""

    def halves(seconds: float) -> CoreUse:
        return use(seconds, npu=((0.0, seconds / 2),), dsp=((seconds / 2, seconds),))

    exits = served(*(halves(seconds) for seconds in (EARLY, LATE_STAGE)))
    return replace(pair[0], service=exits), replace(pair[1], service=served(halves(STATIC_S)))


def quietly(
    given: ServingLoad,
    policies: list[str],
    capacity: bool = False,
    batch: str = "none",
    known: int = 1,
    detail: bool = False,
) -> SimulationResult:
    """Serve one network; the costs of batches up to ``known`` are known, half of one image's each."""
    pair = on_cores(both()) if given.overlap else both()
    if known > 1:
        pair = in_batches(pair, known)
    return simulate_load([pair], given, policies, capacity, None, lambda _: None, batchings_of(batch), detail)


def test_static_and_exits_serve_the_same_requests() -> None:
    found = quietly(load(90.0), ["fifo", "remaining"])
    assert [(row.form, row.policy) for row in found.rows] == [
        (STATIC, "fifo"),
        (EXITS, "fifo"),
        (EXITS, "remaining"),
    ]
    static, fifo, ours = (row.figures for row in found.rows)
    share = both()[0].leaves.mean()
    assert found.bound == pytest.approx(STATIC_S / (EARLY + share * LATE_STAGE), rel=1e-6)
    assert found.static_load == pytest.approx(90 * STATIC_S, rel=0.01)
    assert static["utilisation"].mean == pytest.approx(90 * STATIC_S, rel=0.02)
    assert static["mean_s"].mean == pytest.approx(
        STATIC_S + 90 * STATIC_S**2 / 2 / (1 - 90 * STATIC_S), rel=0.05
    )
    assert fifo["mean_s"].mean < 0.3 * static["mean_s"].mean
    assert ours["mean_s"].mean <= fifo["mean_s"].mean
    assert (static["accuracy"].mean, fifo["accuracy"].mean) == pytest.approx((0.95, 0.9), abs=0.02)
    assert all(row.capacity is None for row in found.rows)
    low, high = fifo["mean_s"].low, fifo["mean_s"].high
    assert low is not None and high is not None and low < fifo["mean_s"].mean < high


def test_capacity_is_below_the_bound_and_more_than_that_of_static() -> None:
    found = quietly(load(60.0, seeds=[0]), ["fifo", "remaining"], True)
    static, fifo, ours = (row.capacity.mean for row in found.rows if row.capacity is not None)
    assert static < 1 / STATIC_S
    assert 1.9 * static < fifo < found.bound / STATIC_S
    assert fifo <= ours <= found.bound / STATIC_S * 1.02
    again = quietly(load(fifo * 0.98, seeds=[0]), ["fifo"])
    assert again.rows[1].figures["missed"].mean <= 0.012, "what capacity promises is served"


def test_each_way_to_batch_is_tried_with_each_policy_and_without_exits() -> None:
    found = quietly(load(90.0, requests=3000, seeds=[0]), ["fifo", "edf"], True, "none,fixed:4,fluid:4", 4)
    ways, rows = ("none", "fixed:4", "fluid:4"), {(r.form, r.policy, r.batch): r for r in found.rows}
    asked = [(STATIC, "fifo"), (EXITS, "fifo"), (EXITS, "edf")]
    assert set(rows) == {(*one, way) for one in asked for way in ways} and len(found.rows) == 9
    share = float(both()[0].leaves.mean())
    assert found.batch_bound == pytest.approx(STATIC_S / (0.625 * (EARLY + share * LATE_STAGE)), rel=1e-6)
    assert [(of.form, len(of.image_s)) for of in found.batch_costs] == [(STATIC, 1), (EXITS, 2)]
    assert found.batch_costs[0].image_s[0] == pytest.approx([0.009, 0.00675, 0.006, 0.005625])
    for form, policy in asked:
        alone, fixed, fluid = (rows[form, policy, way] for way in ways)
        assert fluid.figures["utilisation"].mean < alone.figures["utilisation"].mean
        assert fluid.figures["energy_j"].mean < alone.figures["energy_j"].mean
        assert fluid.figures["p50_s"].mean < fixed.figures["p50_s"].mean
        assert alone.capacity and fluid.capacity and fluid.capacity.mean > 1.2 * alone.capacity.mean
        assert fluid.capacity.mean < found.batch_bound / STATIC_S


def test_stages_beside_each_other_serve_more_and_tell_how_busy_cores_are() -> None:
    one, beside = (
        quietly(load(90.0, requests=1500, seeds=[0], overlap=overlap), ["fifo"], True)
        for overlap in (False, True)
    )
    assert one.core_bound is None and one.cores == [] and one.rows[0].cores == {}
    assert beside.bound == one.bound and beside.core_bound == pytest.approx(2 * one.bound)
    assert sorted(beside.cores) == ["dsp", "npu"]
    for alone, row in zip(one.rows, beside.rows, strict=True):
        assert row.cores["npu"].mean == pytest.approx(alone.figures["utilisation"].mean / 2, rel=0.01)
        assert alone.capacity and row.capacity and row.capacity.mean > 1.5 * alone.capacity.mean
        assert beside.core_bound and row.capacity.mean < beside.core_bound / STATIC_S
    document = beside.to_json()["rows"][1]
    assert document["cores"]["npu"] == [beside.rows[1].cores["npu"].mean, None, None]


def test_where_no_batch_costs_less_none_is_worth_anything() -> None:
    found = quietly(load(90.0, requests=2000, seeds=[0]), ["fifo"], False, "none,fixed:4")
    assert found.batch_bound == pytest.approx(found.bound)
    assert all(np.ptp(stage) < 1e-12 for of in found.batch_costs for stage in of.image_s)
    _, _, alone, fixed = found.rows
    assert fixed.figures["utilisation"].mean == pytest.approx(alone.figures["utilisation"].mean, rel=0.01)
    assert fixed.figures["mean_s"].mean > 1.5 * alone.figures["mean_s"].mean
    assert quietly(load(90.0, requests=200, seeds=[0]), ["fifo"]).batch_costs == []


def test_several_networks_share_the_accelerator_and_priorities_count() -> None:
    asked = [
        RequestStream("many", 0, Poisson(60), 0.05, 1.0),
        RequestStream("important", 1, Periodic(60), 0.02, 9.0),
    ]
    shared = ServingLoad(asked, 5000, [0])
    found = simulate_load([both(), both(1)], shared, ["fifo", "priority"], False, None, lambda _: None)
    assert found.networks == ["net", "net"] and found.rate == pytest.approx(120, rel=0.05)
    first, important = (row.streams for row in found.rows[1:])
    assert important[1]["p99_s"].mean < 0.7 * first[1]["p99_s"].mean
    assert important[0]["mean_s"].mean > first[0]["mean_s"].mean
    assert [(one.name, one.slo_s, one.priority) for one in found.streams] == [
        ("many", 0.05, 1.0), ("important", 0.02, 9.0),
    ]  # fmt: skip
    late = [of["missed"].mean for of in first]
    assert min(late) < found.rows[1].figures["missed"].mean < max(late)


def test_capacity_is_kept_by_each_stream() -> None:
    """A few requests that are due at once are late long before 1 % of all are."""
    asked = [
        RequestStream("many", 0, Poisson(90), 0.05),
        RequestStream("few", 0, Poisson(0.5), 0.0081),
    ]
    apart = quietly(load(60.0, requests=20_000, seeds=[0]), ["fifo"], True)
    both_kept = quietly(ServingLoad(asked, 20_000, [0]), ["fifo"], True)
    (_, alone), (_, kept) = ([row.capacity for row in found.rows] for found in (apart, both_kept))
    assert alone is not None and kept is not None and kept.mean < 0.2 * alone.mean


def test_a_result_shows_and_saves_itself(tmp_path: Path) -> None:
    found = simulate_load(
        [both()], load(90.0, requests=500), ["fifo"], True, tmp_path / "w.json", lambda _: None
    )
    assert "net at 91.22 requests/s: fewest late by exits, fifo:" in repr(found) and "\n" not in repr(found)
    saved = json.loads(found.save(tmp_path / "found.json").read_text())
    assert saved["schema_version"] == 1
    assert saved["rows"][1]["figures"]["p99_s"][0] == pytest.approx(found.rows[1].figures["p99_s"].mean)
    assert len(saved["rows"][0]["capacity"]) == 3
    assert json.loads((tmp_path / "w.json").read_text())["traceEvents"]
    assert len(found.save(tmp_path / "found.csv").read_text().splitlines()) == 3


def with_ladder(floor: float) -> tuple[ServedNetwork, ServedNetwork]:
    """Return `both` with thresholds that give way; the surer an image, the more often its exit is right."""
    exits, static = both()
    draw = np.random.default_rng(1)
    right = np.stack([draw.random(1000) < 0.6 + 0.4 * exits.confidence[0], np.ones(1000, bool)])
    seen = Observed(exits.confidence.astype(np.float32), right, (MAX_SOFTMAX,))
    rungs = ladder_of(seen, exits.service, [0.3], floor, True, "net")
    found = replace(
        exits, right=right, ladder=rungs, leaves=rungs[0].leaves_at(exits.confidence)
    )  # fmt: skip
    return found, static


def test_thresholds_that_give_way_keep_deadlines_under_overload() -> None:
    """Exits alone can serve 1 / (.002 + .3 x .008) = 227 requests/s."""
    served = with_ladder(0.8)
    found = simulate_load(
        [served], load(1.2 * 227, requests=5000), ["fifo", "remaining"], False, None, lambda _: None
    )
    assert [row.form for row in found.rows] == ["static", "exits", "floor", "exits", "floor"]
    held, gave = found.rows[1], found.rows[2]
    assert held.figures["missed"].mean > 0.8 and gave.figures["missed"].mean < 0.1
    assert found.rows[4].figures["missed"].mean < 0.5 * found.rows[3].figures["missed"].mean
    assert len(gave.rungs) == RUNGS + 1 and sum(one.mean for one in gave.rungs) == pytest.approx(1)
    assert gave.rungs[0].mean < 0.9 and held.rungs == []
    accuracies = [rung.accuracy_val for rung in found.ladders[0]]
    assert accuracies[-1] - 0.02 < gave.figures["accuracy"].mean < held.figures["accuracy"].mean
    plain = quietly(load(1.2 * 227, requests=5000), ["fifo"])
    assert found.rows[0] == plain.rows[0], "nothing of the network without exits gives way"
    saved = found.to_json()
    assert saved["ladders"][0][0]["thresholds"] == [0.3] and len(saved["rows"][2]["rungs"][0]) == 3


def test_where_nothing_may_give_way_all_is_as_before() -> None:
    own = with_ladder(0.5)[0].ladder
    assert own is not None
    served = with_ladder(own[0].accuracy_val)
    found = simulate_load([served], load(1.2 * 227, requests=2000), ["fifo"], True, None, lambda _: None)
    held, floor = found.rows[1], found.rows[2]
    assert (held.figures, held.capacity, held.streams) == (floor.figures, floor.capacity, floor.streams)


def test_capacity_grows_where_thresholds_give_way() -> None:
    found = simulate_load(
        [with_ladder(0.8)], load(60.0, requests=3000, seeds=[0]), ["fifo"], True, None, lambda _: None
    )
    _, held, gave = (row.capacity.mean for row in found.rows if row.capacity is not None)
    assert gave > 1.1 * held


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown policy 'fofo'"):
        quietly(load(9.0), ["fofo"])
    with pytest.raises(InputError, match="there is no policy"):
        quietly(load(9.0), [])
    missing = ServingLoad([RequestStream("net", 0, Trace(tmp_path / "t.csv"), 0.05)], 10, [0])
    with pytest.raises(InputError, match="no such file"):
        simulate_load([both()], missing, ["fifo"], False, None, lambda _: None)
