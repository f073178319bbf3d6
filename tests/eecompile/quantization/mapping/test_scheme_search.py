"""The front of sums is what trying all mappings finds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from eecompile.quantization.mapping.scheme_search import SchemeChoice, SchemeMapping, cheapest, spread


def drawn(seed: int, layers: int = 6) -> list[list[SchemeChoice]]:
    """Return choices of which some cost more and some lose nothing; ties are likely."""
    rng = np.random.default_rng(seed)
    return [
        [SchemeChoice("usual", 0, 0)]
        + [SchemeChoice(f"s{i}", int(rng.integers(-5, 2)), int(rng.integers(0, 5))) for i in range(2)]
        for _ in range(layers)
    ]


@pytest.mark.parametrize("seed", range(8))
def test_no_mapping_beats_the_front(seed: int) -> None:
    layers = drawn(seed)
    sums = {(sum(c.cost for c in m), sum(c.loss for c in m)) for m in itertools.product(*layers)}
    expected = {
        (cost, loss)
        for cost, loss in sums
        if not any((c <= cost and o <= loss and (c, o) != (cost, loss)) for c, o in sums)
    }
    front = cheapest(layers)
    assert [(m.cost, m.loss) for m in front] == sorted(expected)
    for mapping in front:
        picked = [next(c for c in cs if c.scheme == s) for cs, s in zip(layers, mapping.schemes, strict=True)]
        assert (mapping.cost, mapping.loss) == (sum(c.cost for c in picked), sum(c.loss for c in picked))


def test_a_bound_on_what_is_kept_keeps_the_ends() -> None:
    layers = drawn(1, layers=9)
    exact, bounded = cheapest(layers), cheapest(layers, most_kept=4)
    assert len(exact) > 4 >= len(bounded) > 1
    assert (bounded[0].cost, bounded[-1].loss) == (exact[0].cost, exact[-1].loss)


def test_a_spread_divides_the_range_of_costs() -> None:
    front = [SchemeMapping((str(i),), float(i), -float(i)) for i in (0, 1, 2, 3, 50, 99, 100)]
    assert [m.cost for m in spread(front, 3)] == [0, 50, 100]
    assert spread(front, 7) == front
