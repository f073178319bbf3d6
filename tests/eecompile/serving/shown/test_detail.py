"""What a page shows beside the figures."""

from __future__ import annotations

import numpy as np
import pytest

from eecompile.serving.arrivals import Poisson
from eecompile.serving.crowd import Crowd
from eecompile.serving.loops.one_by_one import serve_one_by_one
from eecompile.serving.policies import POLICIES
from eecompile.serving.shown.detail import SHOWN_STAGES, ServingDetail, detail_of
from eecompile.serving.ways import ServedCrowd
from tests.eecompile.serving.crowds import mixture, service

TIMES = service(0.2, 0.5, 1.1)


def crowd(factor: float) -> Crowd:
    """Return requests of which half leave at the first exit, ``factor`` times as fast."""
    return mixture(Poisson(0.9).times(2000, 7) / factor, TIMES, [0.5, 0.2, 0.3], 4.0)


def detail(rates: tuple[float, ...] = (0.5, 1.2)) -> ServingDetail:
    """Return what is shown of two policies."""
    asked = [("exits", "fifo", "none"), ("exits", "remaining", "none")]

    def serve(number: int, factor: float, watch: bool) -> ServedCrowd:
        given = crowd(factor)
        return ServedCrowd(given, serve_one_by_one(given, POLICIES[asked[number][1]], watch=watch))

    return detail_of(asked, rates, 3, serve, 0.1)


def test_tails_exits_and_misses_are_those_of_the_requests() -> None:
    found = detail()
    fifo, ours = found.rows
    assert (found.seed, fifo.policy, ours.policy) == (3, "fifo", "remaining")
    done = serve_one_by_one(crowd(1.0), POLICIES["fifo"]).finish_s - crowd(1.0).requests.arrival_s
    for share, seconds in fifo.tail:
        assert np.mean(done[200:] > seconds + 1e-9) <= share + 0.001
        assert np.mean(done[200:] >= seconds - 1e-9) >= share - 0.001
    assert [share for share, _ in fifo.tail] == [0.9, 0.75, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01], "of 1,800"
    assert fifo.exits[0] == pytest.approx([0.5, 0.2, 0.3], abs=0.04)
    (slow, few), (fast, many) = fifo.curve
    assert fast == pytest.approx(2.4 * slow) and slow == pytest.approx(0.45, rel=0.1)
    late = serve_one_by_one(crowd(1.2), POLICIES["fifo"]).finish_s > crowd(1.2).requests.deadline_s
    assert few < many == pytest.approx(late[200:].mean())
    assert ours.curve[1][1] < many
    assert all(row.curve == [] for row in detail(()).rows)


def test_a_window_has_stages_behind_each_other_and_their_requests() -> None:
    found = detail(())
    assert len(found.stages) == SHOWN_STAGES
    assert all(a.end_s <= b.begin_s + 1e-9 for a, b in zip(found.stages, found.stages[1:], strict=False))
    shown = {one.number: one for one in found.requests}
    assert set(shown) == {number for stage in found.stages for number in stage.requests}
    for stage in found.stages:
        (number,) = stage.requests
        assert shown[number].arrival_s <= stage.begin_s and stage.end_s <= shown[number].finish_s + 1e-9
        assert shown[number].deadline_s == pytest.approx(shown[number].arrival_s + 4.0)
