"""The choices of fluid batches, against all orders tried."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eecompile.serving.batches.fluid import Fluid
from eecompile.serving.outlook import Outlook
from eecompile.serving.service import ServiceTime

NOBODY = Outlook(np.ones(1), np.zeros(1), [None])


def of(*rows: list[float], reach: tuple[float, ...] = (0.0,), size: int = 4) -> Fluid:
    times = np.array(rows)
    return Fluid(
        [ServiceTime(times, times)], [Outlook(times[:, 0], np.array(reach), [None] * len(rows))], size
    )


def orders(count: int, size: int) -> list[list[int]]:
    """Return all ways to run ``count`` in batches of at most ``size``."""
    if not count:
        return [[]]
    return [[n, *rest] for n in range(1, min(size, count) + 1) for rest in orders(count - n, size)]


@given(st.lists(st.floats(0.1, 3.0), min_size=4, max_size=4), st.integers(1, 6), st.integers(0, 5))
def test_no_other_sizes_have_a_smaller_sum_of_completions(
    more: list[float], waiting: int, others: int
) -> None:
    times = np.cumsum(more).tolist()

    def total(sizes: list[int]) -> float:
        ends = np.cumsum([times[n - 1] for n in sizes])
        return float((ends * sizes).sum() + others * ends[-1])

    first = of(times).size(0, 0, waiting, others, inf)
    all_ways = orders(waiting, 4)
    best = min(total(sizes) for sizes in all_ways)
    assert min(total(sizes) for sizes in all_ways if sizes[0] == first) == pytest.approx(best)


def test_batches_are_as_large_as_pays() -> None:
    """Of one that costs half more for each image: alone they are through sooner, with many behind later."""
    cheap, dear = of([1.0, 1.1, 1.2, 1.3]), of([1.0, 1.8, 2.6, 3.4])
    assert cheap.size(0, 0, 4, 0, inf) == 4
    assert dear.size(0, 0, 2, 0, inf) == 1 and dear.size(0, 0, 4, 60, inf) == 4
    assert cheap.size(0, 0, 9, 0, inf) == 4, "never more than the size"
    assert cheap.size(0, 0, 4, 0, 1.25) == 3, "company does not make the one that is next late"
    assert cheap.size(0, 0, 4, 0, 0.9) == 4, "who is late anyhow, is late"
    assert of([1.0]).size(0, 0, 2, 0, inf) in (1, 2), "what is not known costs one after another"


def test_the_earlier_catch_up_where_the_sum_gets_less() -> None:
    """One waits for a long stage whose batch of two costs little more; those before are short."""
    pays = of([0.1, 0.1, 0.1, 0.1], [4.0, 4.2, 4.4, 4.6], reach=(1.0, 0.0))
    assert pays.waits_for(0, 1, 1, [2], 0, inf) == 0
    assert pays.waits_for(0, 1, 1, [2], 0, 4.2) == 1, "it would be late"
    assert pays.waits_for(0, 1, 1, [2], 0, 3.0) == 0, "it is late anyhow"
    assert pays.waits_for(0, 1, 4, [2], 0, inf) == 1, "it is full"
    assert pays.waits_for(0, 1, 1, [0], 0, inf) == 1, "nobody is behind"
    leave = of([0.1, 0.2, 0.3, 0.4], [0.2, 0.3, 0.4, 0.5], reach=(0.01, 0.0))
    assert leave.waits_for(0, 1, 3, [1], 0, inf) == 1, "hardly any would join"
    far = of([0.1] * 4, [0.1] * 4, [4.0, 4.2, 4.4, 4.6], reach=(0.9, 0.9, 0.0))
    assert far.waits_for(0, 2, 1, [3, 0], 0, inf) == 0


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 3))
def test_catching_up_is_what_the_completions_say_where_all_go_on(here: int, count: int, others: int) -> None:
    first, second = [0.5, 0.6, 0.7, 0.8], [2.0, 2.5, 3.0, 3.5]
    found = of(first, second, reach=(1.0, 0.0)).waits_for(0, 1, here, [count], others, inf)
    joining = min(count, 4 - here)
    others += count - joining  # who finds no room goes on behind, as others do

    def total(*runs: tuple[float, int]) -> float:
        """Of runs, seconds and how many are through then."""
        ends = np.cumsum([seconds for seconds, _ in runs])
        return float(sum(end * done for end, (_, done) in zip(ends, runs, strict=True)))

    catch = total((first[count - 1], 0), ((second[here + joining - 1]), here + joining + others))
    alone = total(
        (second[here - 1], here),
        (first[count - 1], 0),
        (second[joining - 1] if joining else 0.0, joining + others),
    )
    assert (found == 0) == (catch < alone) or catch == pytest.approx(alone)


def test_those_who_will_come_pay_too() -> None:
    """At light load two run one by one, at a load near one together: whoever comes waits for less."""
    light, heavy = (of([1.0, 1.6, 2.4, 3.2]) for _ in range(2))
    for number in range(300):
        light.came(0, 20.0 * number)
        heavy.came(0, 1.2 * number)
    assert light.size(0, 0, 2, 0, inf) == 1 and heavy.size(0, 0, 2, 0, inf) == 2
    for number in range(2000):
        light.came(0, 6000.0 + 1.2 * number)
    assert light.size(0, 0, 2, 0, inf) == 2, "what was long ago does not count"
