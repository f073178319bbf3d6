"""A run split from its directory to both folders: what is promised is what is found when it is run."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eecompile.exits.thresholds import Limit, leaves_at
from eecompile.runtime.split.later_parts import LaterParts
from eecompile.runtime.split.records import Band, read_plans
from eecompile.runtime.split.split_session import SplitSession
from eecompile.split.choosing import Plan
from eecompile.split.envelope import value
from eecompile.split.plan_files import write_split
from eecompile.split.splitting import ReadySplit, alone_plan, judged, plans_of, prepare, split_run, terms_of
from passes.errors import InputError, NoSolutionError
from tests.eecompile.runtime.split.stub_server import stub
from tests.eecompile.split.small_split import (
    CLOCK,
    asked,
    chained_run,
    prepared,
    small_run,
    small_split,
)


def test_bands_cover_all_speeds_and_the_table_is_the_lower_envelope() -> None:
    found = small_split()
    table = read_plans(found.out / "device")
    ready, question = prepared(), asked(losses=(0.0, 0.05))
    for loss in question.losses:
        bands = [band for band in table.bands if band.loss == loss]
        assert bands[0].low_bit_s == 0 and math.isinf(bands[-1].high_bit_s)
        alone = alone_plan(ready.question, terms_of(question, loss))
        plans = [alone, *plans_of(ready, question, loss)]
        rng = np.random.default_rng(1)
        for bit_s in 10 ** rng.uniform(-8, -3, 40):
            best = min(plans, key=lambda plan: value(plan, bit_s))
            told = table.plans[table.number_at(bit_s, loss)]
            assert (told.sending is None) == (best.offer is None)
            assert len(told.exits) - (told.sending is None) == len(best.exits)
    rows = [row for row in found.rows if row.loss == 0.0]
    assert all(one.high_bit_per_s == other.low_bit_per_s for one, other in itertools.pairwise(rows))
    assert rows[0].cut == "" and rows[-1].cut != "" and rows[-1].high_bit_per_s is None


def test_what_is_told_of_test_is_what_device_and_server_answer() -> None:
    """All test images through the files of both sides: accuracy, share that is sent, bytes."""
    found = small_split()
    ready = prepared()
    test = ready.run.dataset.test
    row = next(row for row in found.rows if row.cut)
    with (
        stub(found.out / "server") as server,
        SplitSession(found.out / "device", server.url, plan=row.plan, timeout_s=5.0) as session,
    ):
        answers = session.run(test.x)
        head = server.asked
    labels = np.array([answer.label for answer in answers])
    assert float((labels == test.y).mean()) == row.test.accuracy
    assert float(np.mean([answer.where == "server" for answer in answers])) == row.test.sent
    sent = [answer.sent_bytes for answer in answers if answer.where == "server"]
    overhead = terms_of(asked(), 0.0).request_head_bytes
    assert np.mean(sent) - row.test.payload_bytes == pytest.approx(overhead, abs=12)
    assert len(head) == len(sent)


def test_the_plan_that_sends_nothing_answers_as_the_run_with_its_thresholds() -> None:
    found, ready = small_split(), prepared()
    row = found.rows[0]
    assert row.cut == ""
    kept = [int(name[-1]) for name in row.exits]
    samples = ready.run.samples.test
    where = leaves_at(samples.confidence[kept], [np.float32(t) for t in row.thresholds])
    right = samples.correct[[*kept, -1]][where, np.arange(len(where))]
    assert row.test.accuracy == right.mean()


@pytest.fixture(scope="module")
def chained() -> ReadySplit:
    """Return the small run with exits that take over answers and count those before."""
    return prepare(chained_run(), asked(out=chained_run().parent / "split"), lambda _: None)


def test_costs_of_a_chain_add_up_to_the_paths_of_its_run(chained: ReadySplit) -> None:
    costs, summary = chained.costs, chained.run.summary
    assert costs.final_reads == (0, 1) and len(costs.merge) == 2
    whole = len(costs.backbone)
    final, static = summary.exits[-1], summary.static
    found = costs.until(whole, (0, 1), True)
    assert found == pytest.approx((final.latency_cycles / CLOCK, 1e-12 * final.energy_pj))
    alone = costs.until(whole, ())[0]
    assert alone == pytest.approx(static.latency_cycles / CLOCK, rel=1e-3), "what takes over is 0.6 % of it"
    assert {place.name for place in costs.cuts} >= {"input", "add_0", "globalaveragepool_0"}
    for number, path in enumerate(summary.exits[:-1]):
        reached = costs.until(costs.reached[number], range(number + 1))
        assert reached[0] == pytest.approx(path.latency_cycles / CLOCK)


def test_plans_of_a_chain_answer_as_they_are_told(chained: ReadySplit) -> None:
    """Prefixes of it on the device, with the run's final exit, with that alone, and with a server behind."""
    assert chained.question.may_leave == ((), (0,), (0, 1))
    offer = next(n for n, one in enumerate(chained.question.offers) if one.place.layers)
    two, never = (2.0,), (9.0,)
    plans = [
        Plan((0, 1), (*never, *two), offer, 0.0, 1.0),
        Plan((0,), never, None, 0.5, 0.5),
        Plan((), (), None, 0.5, 0.5),
        Plan((0, 1), (*never, *two), None, 1.0, 0.0),
    ]
    out = chained_run().parent / "chained"
    bands = [Band(0.0, 0.0, math.inf, 0)]
    told = {"objective": "latency", "rtt_s": 1e-3, "max_drop": 1.0}
    write_split(out, chained.run, chained.costs, plans, chained.question.offers, bands, told)
    figures = judged(chained, asked(), plans, 0.0, [1e6] * len(plans))
    test, samples = chained.run.dataset.test, chained.run.samples.test
    with stub(out / "server") as server:
        for number, expected in enumerate(figures):
            with SplitSession(out / "device", server.url, plan=number, timeout_s=5.0) as session:
                answers = session.run(test.x)
            labels = np.array([answer.label for answer in answers])
            assert float((labels == test.y).mean()) == expected.accuracy
            assert float(np.mean([answer.where == "server" for answer in answers])) == expected.sent
    where = leaves_at(samples.confidence, [np.float32(9), np.float32(2)])
    assert 0 < (where == 1).sum() < len(where)
    np.testing.assert_array_equal(labels, samples.prediction[where, np.arange(len(where))])
    assert figures[2].latency_s < figures[1].latency_s


def test_energy_is_least_on_the_device_and_a_costlier_radio_changes_figures() -> None:
    energy = plans_of(prepared(), asked(objective="energy"), 0.0)
    assert all(plan.offer is None for plan in energy), "a radio takes more than this network"
    free = replace(asked().radio, send_j_per_bit=0.0, receive_j_per_bit=0.0, send_w=0.0, receive_w=0.0)
    question = asked(objective="energy", radio=free, idle_w=0.0)
    assert any(plan.offer is not None for plan in plans_of(prepared(), question, 0.0))


def test_what_is_lost_and_waited_for_is_paid_for() -> None:
    ready = prepared()
    plan = next(plan for plan in plans_of(ready, asked(), 0.0) if plan.offer is not None)
    figures = [
        judged(ready, asked(rtt_s=rtt), [plan], loss, [1e6])[0] for rtt, loss in ((0, 0), (0, 0.1), (0.1, 0))
    ]
    assert figures[0].latency_s < figures[1].latency_s < figures[2].latency_s
    assert figures[2].latency_s - figures[0].latency_s == pytest.approx(0.1 * figures[0].sent)


def test_a_limit_that_nothing_keeps_is_said() -> None:
    ready = prepared()
    wrong = replace(
        ready.question,
        labels=(ready.question.labels + 1) % 4,
        seen=replace(ready.question.seen, correct=np.zeros_like(ready.question.seen.correct)),
        limit=Limit(0.0, False),
    )
    with pytest.raises(NoSolutionError, match="no plan keeps"):
        plans_of(replace(ready, question=wrong, limit=wrong.limit), asked(), 0.0)
    assert alone_plan(wrong, terms_of(asked(), 0.0)).offer is None


def test_the_result_shows_itself() -> None:
    found = small_split()
    assert repr(found).startswith("<SplitResult: run split for latency: ")
    assert json.loads(json.dumps(found.to_json()))["rows"][0]["test"]["images"] == 64
    assert {"latency_s", "accuracy", "sends"} <= {*found._rows()[0]}
    assert LaterParts(found.out / "server").names


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run directory"):
        split_run(tmp_path, asked(), lambda _: None)
    assert small_run().is_dir()
