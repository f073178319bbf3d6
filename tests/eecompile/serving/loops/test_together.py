"""Stages beside each other: cores that are free, and room in the memories."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from eecompile.serving.loops.accelerator import interrupted
from eecompile.serving.loops.together import Together
from eecompile.serving.service import ServiceTime
from tests.eecompile.serving.cores.stages import served, use


def together(*services: ServiceTime) -> Together:
    return Together(services, interrupted(services), 1)


PIPE = use(2.0, 40, npu=((0.0, 1.0),), dsp=((1.0, 2.0),))
LATE = use(4.0, 20, dsp=((0.0, 1.0), (3.0, 4.0)))


def test_a_stage_begins_where_it_meets_none_of_several() -> None:
    one = together(served(PIPE, LATE))
    first, late = (0, 0, 1), (0, 1, 1)
    assert one.free_s([(first, 0.0)], first, 0.5) == 1.0
    assert one.free_s([(first, 0.0), (first, 1.0)], first, 1.0) == 2.0
    assert one.free_s([(late, 0.0)], first, 0.0) == 0.0, "in the gap of the other's core"
    assert one.free_s([(late, 0.0), (first, 0.0)], first, 0.0) == 1.0
    assert one.free_s([(late, 0.0), (first, 0.0)], first, 1.5) == 3.0, "the dsp is in use from 3 to 4 s"
    assert one.alone_s(first) == 0.0, "the other takes the dsp only until it comes to it"
    assert together(served(PIPE)).alone_s(first) == 1.0


def test_whoever_is_put_off_by_one_is_held_against_the_others_again() -> None:
    """Free of the first at once, of the second at 1.5 s, when the first is in the way until 4 s."""
    late, soon, short = (
        use(4.0, npu=((2.0, 4.0),)),
        use(1.5, npu=((0.0, 1.5),)),
        use(1.0, npu=((0.0, 1.0),)),
    )
    one = together(served(late, soon, short))
    assert one.free_s([((0, 0, 1), 0.0), ((0, 1, 1), 0.0)], (0, 2, 1), 0.0) == 4.0


def test_what_runs_beside_each_other_and_what_it_may_leave_has_room() -> None:
    """100 bits on chip: two of 40 and kept weights of 20 fit; with 10 bits that others left they do not."""
    first, nothing = (0, 0, 1), Counter[str]()
    assert together(served(PIPE, kept=20)).has_room([first, first], nothing)
    assert not together(served(PIPE, kept=20)).has_room([first, first], Counter({"sram": 10}))
    assert not together(served(PIPE, kept=21)).has_room([first, first], nothing)
    # Behind this stage 30 bits are left: two have room beside the 40 of one stage, not beside 41.
    more = dataclasses.replace(PIPE, bits={"sram": 41})
    assert together(served(PIPE, LATE, left=30)).has_room([first, first], nothing)
    assert not together(served(more, LATE, left=30)).has_room([first, first], nothing)


def test_seconds_of_cores_add_up() -> None:
    found = together(served(PIPE, LATE)).used_s(Counter({(0, 0, 1): 3, (0, 1, 1): 2}))
    assert found == {"npu": 3.0, "dsp": 3.0 + 2 * 2.0}


def test_what_is_not_known_is_refused() -> None:
    known = served(PIPE)
    for one in (dataclasses.replace(known, uses=()), dataclasses.replace(known, footprint=None)):
        with pytest.raises(ValueError, match="not known of all"):
            together(known, one)
