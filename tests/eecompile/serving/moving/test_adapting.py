"""Thresholds that follow what images have become: by labels of idle time, and only where these are sure."""

from __future__ import annotations

import numpy as np
import pytest

from eecompile.exits.thresholds import leaves_at
from eecompile.run_files.samples import SplitSamples
from eecompile.serving.arrivals import Poisson
from eecompile.serving.crowd import Crowd
from eecompile.serving.loops.one_by_one import serve_one_by_one
from eecompile.serving.moving.adapting import EVERY, WINDOW, Adapting, FreeLabels
from eecompile.serving.outlook import outlook
from eecompile.serving.policies import policy_named
from eecompile.serving.requests import Drift, hard_half, stream
from eecompile.serving.result import SimulationResult
from eecompile.serving.served_network import ServedNetwork
from eecompile.serving.simulation import simulate_load
from eecompile.serving.streams import RequestStream, ServingLoad
from eecompile.serving.ways import ADAPT, EXITS, STATIC
from passes.confidence import MAX_SOFTMAX
from tests.eecompile.serving.crowds import service

TIMES, THRESHOLD = service(0.002, 0.008), 0.6


def answers(count: int, seed: int) -> SplitSamples:
    """Return answers whose confidence says how likely the exit agrees; the final exit is always right.

    Of equal confidence, hard images agree less: thresholds that were right for all are wrong for them.
    """
    draw = np.random.default_rng(seed)
    confidence, surest = draw.random(count), draw.random(count)
    hard = hard_half(surest.astype(np.float32))
    agrees = draw.random(count) < np.where(hard, 0.3 + 0.7 * confidence, 0.9 + 0.1 * confidence)
    label = np.zeros(count, np.int32)
    prediction = np.stack([np.where(agrees, 0, 1), label]).astype(np.int32)
    probability = np.stack([confidence, surest]).astype(np.float32)
    return SplitSamples(label, confidence[None].astype(np.float32), prediction, probability, label)


VAL, TEST = answers(20_000, 0), answers(20_000, 1)
LABELS = FreeLabels.of([THRESHOLD], (MAX_SOFTMAX,), VAL, TEST)


def both() -> tuple[ServedNetwork, ServedNetwork]:
    """Return a network with an exit, and without."""
    hard, nothing = hard_half(TEST.probability[-1]), np.zeros(len(TEST.label), np.int64)
    confidence, leaves = TEST.confidence.astype(np.float64), TEST.leaves_at([THRESHOLD])
    seen = outlook(TIMES, VAL.confidence.astype(np.float64), VAL.leaves_at([THRESHOLD]))
    exits = ServedNetwork("net", TIMES, seen, confidence, leaves, TEST.correct, hard=hard, labels=LABELS)
    whole = service(0.009)
    known = outlook(whole, confidence[:0], nothing)
    right = np.ones((1, len(nothing)), np.bool_)
    return exits, ServedNetwork("net", whole, known, confidence[:0], nothing, right, hard=hard)


def simulated(drift: float | None, rate: float = 60.0, requests: int = 40_000) -> SimulationResult:
    load = ServingLoad([RequestStream("net", 0, Poisson(rate), 0.05)], requests, [0], True, drift, True)
    return simulate_load([both()], load, ["fifo"], False, None, lambda _: None)


def test_what_is_allowed_is_what_val_had() -> None:
    where = leaves_at(VAL.confidence, [np.float32(THRESHOLD)])
    assert LABELS.allowed == pytest.approx(1 - VAL.correct[where, np.arange(len(where))].mean())
    assert 0.02 < LABELS.allowed < 0.12
    np.testing.assert_array_equal(LABELS.agrees, TEST.correct)


@pytest.mark.parametrize("drift", [None, 0.5])
def test_without_drift_thresholds_stay_where_they_are(drift: float | None) -> None:
    static, fixed, adapts = (row.figures for row in simulated(drift).rows)
    assert "agreement" not in static
    assert adapts["agreement_last"].mean == pytest.approx(fixed["agreement_last"].mean, abs=0.012)
    assert adapts["moves"].mean <= 3 and fixed["moves"].mean == 0 == fixed["free_labels"].mean


def test_with_drift_answers_agree_again_where_fixed_thresholds_let_them_differ() -> None:
    found = simulated(1.0)
    assert [row.form for row in found.rows] == [STATIC, EXITS, ADAPT]
    _, fixed, adapts = (row.figures for row in found.rows)
    allowed = 1 - LABELS.allowed
    assert fixed["agreement_last"].mean < allowed - 0.015
    assert adapts["agreement_last"].mean > allowed - 0.008
    assert adapts["moves"].mean >= 1
    assert adapts["accuracy"].mean == pytest.approx(adapts["agreement"].mean, abs=0.01), "final is right here"
    assert adapts["utilisation"].mean > fixed["utilisation"].mean


def crowd(times: np.ndarray, drift: Drift | None = None) -> Crowd:
    exits, _ = both()
    requests = stream(times, exits.leaves, 0, 0.05, drift=drift)
    return Crowd(requests, [TIMES], [exits.outlook], [exits.confidence])


def test_only_idle_time_is_taken_and_what_it_costs_is_counted() -> None:
    """All come at once: there is nothing to learn, and nothing changes."""
    fifo = policy_named("fifo")
    at_once = crowd(np.zeros(3000))
    busy = Adapting(at_once, [LABELS])
    one, other = serve_one_by_one(at_once, fifo), serve_one_by_one(at_once, fifo, moving=busy)
    np.testing.assert_array_equal(one.finish_s, other.finish_s)
    assert busy.labels == 0 and one.energy_j == pytest.approx(other.energy_j)
    # Far apart: each tenth runs on at once, and its energy and time are there.
    rare = crowd(np.arange(3000.0))
    idle = Adapting(rare, [LABELS])
    one, other = serve_one_by_one(rare, fifo), serve_one_by_one(rare, fifo, moving=idle)
    np.testing.assert_array_equal(one.finish_s, other.finish_s)
    early = int((rare.requests.stages == 1).sum())
    assert idle.labels == pytest.approx(early / EVERY, abs=1 + 3000 // WINDOW)
    assert other.busy_s - one.busy_s == pytest.approx(0.008 * idle.labels)
    assert other.energy_j - one.energy_j == pytest.approx(TIMES.stage_j[1, 0] * idle.labels)


def test_who_comes_meanwhile_waits_for_a_stage_at_most() -> None:
    fifo, times = policy_named("fifo"), Poisson(60.0).times(4000, 1)
    adapting = Adapting(crowd(times), [LABELS])
    one = serve_one_by_one(crowd(times), fifo)
    other = serve_one_by_one(crowd(times), fifo, moving=adapting)
    if not adapting.moves:
        assert (other.finish_s >= one.finish_s - 1e-12).all()
    assert adapting.labels > 0
    np.testing.assert_array_equal(adapting.served(crowd(times)).requests.stages, adapting.stages)


def test_hard_images_become_more() -> None:
    hard = hard_half(np.array([0.9, 0.1, 0.5, 0.2], np.float32))
    assert hard.tolist() == [False, True, False, True]
    images = Drift(hard, 1.0).draw(40_000, np.random.default_rng(0))
    shares = [hard[part].mean() for part in np.array_split(images, 4)]
    np.testing.assert_allclose(shares, [0.5625, 0.6875, 0.8125, 0.9375], atol=0.02)
    alike = Drift(hard, 0.5).draw(40_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(alike) / 40_000, 0.25, atol=0.01)
