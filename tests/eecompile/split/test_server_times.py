"""The server's time behind a cut: by a schedule, by a number, by a clock."""

from __future__ import annotations

from itertools import pairwise

import pytest

from eecompile.split import server_times
from passes.errors import InputError
from tests.eecompile.split.small_split import prepared


def test_a_number_is_shared_by_macs() -> None:
    costs = prepared().costs
    seconds = server_times.told(0.01, costs)
    found = [seconds(place) for place in costs.cuts]
    assert found[0] == 0.01 and all(one > other for one, other in pairwise(found[:4]))
    assert found[2] == pytest.approx(0.01 * costs.share_after(costs.cuts[2].layers))


def test_a_schedule_on_the_devices_own_target_has_the_devices_layers() -> None:
    ready = prepared()
    run, costs = ready.run, ready.costs
    seconds = server_times.scheduled(run.alone, run.alone_float, "gap9")
    static = run.summary.static
    assert static.latency_s is not None
    assert seconds(costs.cuts[0]) == pytest.approx(static.latency_s, abs=5e-8), "but for a softmax"
    scale = static.latency_s / costs.until(len(costs.backbone), ())[0]  # the costs have another clock
    for place in costs.cuts:
        left = costs.until(len(costs.backbone), ())[0] - costs.until(place.layers, ())[0]
        assert seconds(place) == pytest.approx(left * scale, abs=5e-8)


def test_a_target_without_a_clock_is_refused() -> None:
    run = prepared().run
    with pytest.raises(InputError, match="has no clock"):
        server_times.scheduled(run.alone, run.alone_float, "edge_tpu_quad")


def test_a_clock_on_this_machine_gives_some_time() -> None:
    ready = prepared()
    seconds = server_times.measured(ready.parts)
    assert all(0 < seconds(place) < 1 for place in ready.costs.cuts)
