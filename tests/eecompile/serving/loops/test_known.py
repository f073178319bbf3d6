"""What policies know beforehand: of each stage and request, at the thresholds that hold."""

from __future__ import annotations

import numpy as np

from eecompile.serving.dispatch import Ticket
from eecompile.serving.loops.known import KnownBefore
from eecompile.serving.moving.giving_way import GivingWay
from eecompile.serving.policies import POLICIES
from tests.eecompile.serving.moving.test_giving_way import LADDER, crowd
from tests.eecompile.serving.test_dispatch import two_networks


def test_a_ticket_has_the_key_of_its_stage() -> None:
    given = two_networks(20, 0.8, 3)
    known = KnownBefore(given, POLICIES["remaining"], None)
    waiting = given.waiting()
    for number, stage in ((3, 0), (7, 1), (3, 1)):
        key, latest = known.of(Ticket(number, int(given.requests.model[number]), 0.0, stage=stage))
        assert key == waiting.expected_s[stage, number]
        assert latest == waiting.deadline_s[stage, number] - waiting.likely_s[stage, number]
    groups = [[Ticket(5, 0, 0.0, stage=1), Ticket(6, 0, 0.0, stage=1)], [Ticket(2, 1, 0.0)]]
    seen = known.gather(groups)
    np.testing.assert_array_equal(seen.mean_s, [waiting.mean_s[1, 5], waiting.mean_s[0, 2]])
    assert seen.true_s is not None and waiting.true_s is not None
    assert seen.true_s[1] == waiting.true_s[0, 2]
    assert not known.look(), "nothing moves"


def test_keys_are_those_of_the_rung_that_holds() -> None:
    given = crowd(np.zeros(20), 60.0)
    giving_way = GivingWay(given, [LADDER], [60.0])
    known = KnownBefore(given, POLICIES["remaining"], giving_way)
    before = known.values()[0][0][0]
    assert known.outlooks[0] is LADDER[0].outlook and not known.look()
    giving_way.rung = 2
    assert known.look() and not known.look()
    assert known.outlooks[0] is LADDER[2].outlook
    assert known.values()[0][0][0] == LADDER[2].expected_s < before == LADDER[0].expected_s
    giving_way.rung = 0
    assert known.values()[0][0][0] == before, "and back"
