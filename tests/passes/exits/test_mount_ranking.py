"""The order of mounts: the score of the docstring, worked out anew for every place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.exits.mount_ranking import EARLY, LATE, WIDE, LegalMount, Ranked, rank


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from((4, 8, 24)), st.sampled_from((4, 8)), st.booleans())
    )
)
def test_the_order_of_mounts_is_that_of_scoring_all_of_them_each_time(
    drawn: list[tuple[int, int, int, bool]],
) -> None:
    candidates = [
        LegalMount(f"t{i}", share / 40, (1, channels, size, size), joins)
        for i, (share, channels, size, joins) in enumerate(sorted(drawn, key=lambda d: d[0]))
    ]
    found = sorted(rank(candidates).items(), key=lambda item: item[1].place)
    assert [name for name, _ in found] == in_order(candidates)


def in_order(candidates: list[LegalMount]) -> list[str]:
    """Take the best of the score in the docstring of ``rank``, score the others anew, and so on."""
    narrow = {
        c.shape[2:]: min(o.shape[1] for o in candidates if o.shape[2:] == c.shape[2:]) for c in candidates
    }
    wide = {c.tensor for c in candidates if c.shape[1] > WIDE * narrow[c.shape[2:]]}
    last = {c.shape[2:]: c.tensor for c in candidates if c.tensor not in wide}
    left, taken, order = list(candidates), [0.0, 1.0], []
    while left:
        scores = [
            (c.joins or last.get(c.shape[2:]) == c.tensor)
            + (EARLY <= c.fraction <= LATE)
            - (c.tensor in wide)
            + 2 * min(abs(c.fraction - t) for t in taken)
            for c in left
        ]
        best = left.pop(int(np.argmax(np.round(scores, 9))))
        taken.append(best.fraction)
        order.append(best.tensor)
    return order


def mount(name: str, fraction: float, channels: int = 8, size: int = 4, joins: bool = False) -> LegalMount:
    return LegalMount(name, fraction, (1, channels, size, size), joins)


def order(*mounts: LegalMount) -> list[str]:
    ranked = rank(list(mounts))
    assert sorted(r.place for r in ranked.values()) == list(range(1, len(mounts) + 1))
    return sorted(ranked, key=lambda name: ranked[name].place)


def test_no_mounts_have_no_order() -> None:
    assert rank([]) == {}


def test_exits_are_spread_over_the_network() -> None:
    # 0.5 has the largest gap; then 0.2 and 0.75 are 0.2 and 0.25 from what is fixed
    a, b, c = (mount(n, f, joins=True) for n, f in (("a", 0.2), ("b", 0.5), ("c", 0.75)))
    assert order(a, b, c) == ["b", "c", "a"]


def test_ties_go_to_the_earlier_mount() -> None:
    assert order(mount("a", 0.25, joins=True), mount("b", 0.75, joins=True)) == ["a", "b"]


def test_the_end_of_a_block_goes_before_its_inside() -> None:
    # 2 + 2 * 0.4 of the last of its size, then 2 + 2 * 0.2 of the sum against 1 + 2 * 0.1 of the middle
    mounts = [mount("sum", 0.2, joins=True), mount("middle", 0.5), mount("last", 0.6)]
    assert order(*mounts) == ["last", "sum", "middle"]


@pytest.mark.parametrize(
    ("fraction", "words"),
    [
        (EARLY, "a skip connection ends here: 10% of the MACs run before it"),
        (0.099, "a skip connection ends here, very early: 10% of the MACs run before it"),
        (LATE, "a skip connection ends here: 85% of the MACs run before it"),
        (0.9, "a skip connection ends here, very late: 90% of the MACs run before it"),
    ],
)
def test_bounds_belong_to_what_lies_inside(fraction: float, words: str) -> None:
    assert rank([mount("a", fraction, joins=True)]) == {"a": Ranked(1, words)}


def test_wide_is_more_than_twice_the_narrowest_of_its_size() -> None:
    ranked = rank(
        [mount("narrow", 0.2, 4), mount("twice", 0.4, 8), mount("wide", 0.6, 9), mount("other", 0.7, 99, 2)]
    )
    assert ranked["wide"].reason == "inside a block, wide: 60% of the MACs run before it"
    assert ranked["twice"].reason == "last narrow tensor of its size: 40% of the MACs run before it"
    assert ranked["narrow"].reason == "inside a block: 20% of the MACs run before it"
    assert ranked["other"].reason == "last narrow tensor of its size: 70% of the MACs run before it"
    assert ranked["wide"].place == 4
