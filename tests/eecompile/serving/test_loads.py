"""When kept weights are brought."""

from __future__ import annotations

import dataclasses

import pytest

from eecompile.serving.loads import KeptWeights, loading_notes
from eecompile.serving.service import ServiceTime
from tests.eecompile.serving.crowds import service
from tests.eecompile.serving.test_memory import needs


def kept(load: float, peak: int, bits: int) -> ServiceTime:
    """Return a network that keeps ``bits`` of a store of 100."""
    return dataclasses.replace(service(1.0, load=load), footprint=needs(peak, bits))


def brought(*services: ServiceTime) -> list[tuple[float, float]]:
    """Return what is brought for the first network, the second, and the first again."""
    weights = KeptWeights(services)
    found = [weights.bring(0), weights.bring(0), weights.bring(1), weights.bring(0)]
    assert weights.loads == sum(seconds > 0 for seconds, _ in found)
    return found


def test_each_network_brings_its_own_once_where_all_fit() -> None:
    both = kept(0.25, 50, 20), kept(0.5, 60, 20)
    assert brought(*both) == [(0.25, 0.25), (0.0, 0.0), (0.5, 0.5), (0.0, 0.0)]
    assert "fit on chip together, and are brought once: a 250, b 500 ms" in loading_notes("ab", both)[0]


def test_those_of_another_take_their_place_where_they_do_not_fit() -> None:
    both = kept(0.25, 60, 50), kept(0.5, 70, 60)
    assert brought(*both) == [(0.25, 0.25), (0.0, 0.0), (0.5, 0.5), (0.25, 0.25)]
    assert "do not fit on chip together" in loading_notes("ab", both)[0]


@pytest.mark.parametrize(("count", "said"), [(1, None), (2, "no network keeps weights on chip")])
def test_what_there_is_to_say_of_networks_that_keep_none(count: int, said: str | None) -> None:
    notes = loading_notes("ab"[:count], [kept(0.0, 50, 0)] * count)
    assert notes == [] if said is None else said in notes[0]


def test_a_run_from_before_is_told() -> None:
    (note,) = loading_notes(["old", "new"], [service(1.0), kept(0.25, 50, 20)])
    assert "as what old leaves" in note and "retune it" in note


def test_weights_that_fit_beside_one_image_and_not_beside_a_batch_are_told() -> None:
    both = [kept(0.25, 50, 20), kept(0.25, 30, 20)]
    large = []
    for one in both:
        assert one.footprint is not None
        needs_more = dataclasses.replace(one.footprint, batches=((4, {"sram": 70}),))
        large.append(dataclasses.replace(one, footprint=needs_more))
    assert "are brought once: " in loading_notes(["a", "b"], large)[0]
    (note,) = loading_notes(["a", "b"], large, (1, 4))
    assert "brought once beside batches of 1 at most, else where another ran" in note
    assert "do not fit" in loading_notes(["a", "b"], large, (4,))[0]


def test_a_network_can_run_at_once_where_its_weights_are_there_or_it_has_none() -> None:
    together = KeptWeights([kept(0.25, 50, 20), kept(0.0, 60, 0)])
    assert [together.there(0), together.there(1)] == [False, True]
    together.bring(0)
    assert together.there(0)
    apart = KeptWeights([kept(0.25, 60, 50), kept(0.0, 70, 60)])
    apart.bring(0)
    assert apart.there(0) and not apart.there(1), "it takes the place of the other's"
