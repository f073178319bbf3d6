"""Ways to serve: the form decides where requests leave, and what work is least."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from eecompile.serving.batches.batching import batching_of
from eecompile.serving.cores.use import CoreUse
from eecompile.serving.moving.giving_way import GivingWay
from eecompile.serving.policies import policy_named
from eecompile.serving.ways import ADAPT, EXITS, FLOOR, STATIC, Form, ServingWay, work
from tests.eecompile.serving.cores.stages import CORES, alone, served, use
from tests.eecompile.serving.crowds import service
from tests.eecompile.serving.loops.test_one_by_one import small_network
from tests.eecompile.serving.moving.test_adapting import both as adapting_both
from tests.eecompile.serving.test_simulation import load, with_ladder


def way(form: Form, batch: str = "none") -> ServingWay:
    """Return a way to serve the network whose thresholds may give way."""
    exits, static = with_ladder(0.8)
    exits = replace(exits, service=service(0.002, 0.008, batch=4))
    network = replace(static, service=service(0.009, batch=4)) if form == STATIC else exits
    return ServingWay(form, policy_named("fifo"), batching_of(batch), [network])


@pytest.mark.parametrize("batch", ["none", "fluid:4"])
def test_each_form_sends_requests_out_where_it_says(batch: str) -> None:
    """At 900 requests/s; exits serve 227 one by one and 364 in batches of four."""
    asked = load(900.0, requests=2000, seeds=[0])
    times = asked.times(0)
    served = {form: way(form, batch).serve(asked, times, 0) for form in (STATIC, EXITS, FLOOR)}
    assert (served[STATIC].crowd.requests.stages == 1).all()
    exits, floor = (served[form].crowd.requests for form in (EXITS, FLOOR))
    assert (floor.stages <= exits.stages).all() and (floor.stages < exits.stages).any()
    assert sum(served[FLOOR].shares) == pytest.approx(1.0) and served[EXITS].shares == []
    seconds = [served[form].outcome.busy_s for form in (STATIC, EXITS, FLOOR)]
    assert seconds == sorted(seconds, reverse=True)


@pytest.mark.parametrize("batch", ["none", "fluid:4"])
def test_thresholds_that_follow_images_have_labels_in_batches_too(batch: str) -> None:
    network, _ = adapting_both()
    network = replace(network, service=service(0.002, 0.008, batch=4))
    asked = load(60.0, requests=4000, seeds=[0], adapt=True)
    asked = replace(asked, streams=[replace(asked.streams[0], name="net")])
    found = ServingWay(ADAPT, policy_named("fifo"), batching_of(batch), [network])
    figures = found.figures(asked, asked.times(0), 0).whole
    assert figures.free_labels is not None and 0.02 < figures.free_labels < 0.1
    assert figures.agreement is not None and figures.agreement > 0.8


def test_cores_work_on_several_requests_at_once_where_that_is_asked_for() -> None:
    """Two seconds of which each core has one: a pipeline, which serves a request a second."""
    pipe = served(use(2e-3, npu=((0.0, 1e-3),), dsp=((1e-3, 2e-3),)), batch=2)
    _, static = with_ladder(0.8)
    asked = load(900.0, requests=2000, seeds=[0])
    for batch in ("none", "fluid:2"):
        found = ServingWay(STATIC, policy_named("fifo"), batching_of(batch), [replace(static, service=pipe)])
        times = asked.times(0)
        one, beside = (found.figures(each, times, 0) for each in (asked, replace(asked, overlap=True)))
        assert one.cores == {} and one.whole.utilisation == pytest.approx(1.0, abs=0.01)
        assert beside.cores == pytest.approx({"npu": 0.9, "dsp": 0.9}, rel=0.05)
        assert beside.whole.p99_s < 0.02 < one.whole.p99_s
        assert found.work(asked, [900.0]) == pytest.approx(1.8)
        assert found.work(replace(asked, overlap=True), [900.0]) == pytest.approx(0.9)


def halves(seconds: float) -> CoreUse:
    """Return a stage that has a core for its first half and another for the second."""
    return use(seconds, npu=((0.0, seconds / 2),), dsp=((seconds / 2, seconds),))


def test_what_runs_on_in_idle_time_is_in_the_time_of_cores() -> None:
    network, _ = adapting_both()
    network = replace(network, service=alone(served(halves(0.002), halves(0.008))))
    asked = load(60.0, requests=4000, seeds=[0], adapt=True, overlap=True)
    asked = replace(asked, streams=[replace(asked.streams[0], name="net")])
    found = ServingWay(ADAPT, policy_named("fifo"), batching_of("none"), [network])
    figures = found.figures(asked, asked.times(0), 0)
    assert figures.whole.free_labels
    assert figures.cores == pytest.approx(dict.fromkeys(CORES, figures.whole.utilisation))


def test_thresholds_give_way_by_what_the_busiest_core_has_to_do() -> None:
    """At 1.4 times what one stage at a time serves, each of two cores works .7 of the time."""
    exits, _ = with_ladder(0.8)
    network = replace(exits, service=served(halves(0.002), halves(0.008)))
    rate = 1.4 / (0.002 + 0.008 * float(np.mean(exits.leaves == 1)))
    asked = load(rate, requests=4000, seeds=[0])
    shares = []
    for overlap in (False, True):
        found = ServingWay(FLOOR, policy_named("fifo"), batching_of("none"), [network])
        shares.append(found.figures(replace(asked, overlap=overlap), asked.times(0), 0).rungs[0])
    assert shares[0] < 0.5 and shares[1] > 0.9


def test_work_is_least_in_the_batches_and_with_the_thresholds_that_may_be() -> None:
    asked, rates = load(100.0), [100.0]
    plain, together, floor = (
        way(form, batch).work(asked, rates)
        for form, batch in ((EXITS, "none"), (EXITS, "fluid:4"), (FLOOR, "none"))
    )
    network = way(EXITS).networks[0]
    stages = 0.002 + 0.008 * np.mean(network.leaves == 1)
    assert plain == pytest.approx(100 * stages) == pytest.approx(work([network], asked, rates))
    assert together == pytest.approx(plain * 0.625), "four images take two and a half times one"
    assert floor < plain


def test_a_way_is_told_in_words() -> None:
    assert str(way(EXITS)) == "exits, fifo" and str(way(FLOOR, "fluid:4")) == "floor, fifo, fluid:4"


def test_batches_leave_less_room_for_who_is_interrupted() -> None:
    """Beside one image the 30 bits of two fit on chip, beside a batch of four those of nobody."""
    exits, _ = with_ladder(0.8)
    needs = small_network(0.0, 0, 20).footprint
    assert needs is not None
    needs = replace(needs, batches=((4, {"sram": 90}),))
    times = replace(service(0.002, 0.008, batch=4), footprint=needs)
    found = {}
    asked = load(200.0, requests=2000, seeds=[0])
    for batch in ("none", "fluid:1", "fluid:4"):
        networks = [replace(exits, service=times)]
        served = ServingWay(EXITS, policy_named("remaining"), batching_of(batch), networks)
        found[batch] = served.serve(asked, asked.times(0), 0).outcome
    one, same, four = found["none"], found["fluid:1"], found["fluid:4"]
    assert one.spills == same.spills < one.interruptions, "several at once do not fit either"
    assert four.spills == four.interruptions > 0


def test_work_that_waits_counts_in_the_batches_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []

    class Noted(GivingWay):
        def __init__(self, *given: Any) -> None:
            told.append(given[3])
            super().__init__(*given)

    monkeypatch.setattr("eecompile.serving.ways.GivingWay", Noted)
    asked = load(50.0, requests=50, seeds=[0])
    for batch in ("none", "fluid:4"):
        way(FLOOR, batch).serve(asked, asked.times(0), 0)
    assert told == [1, 4]
