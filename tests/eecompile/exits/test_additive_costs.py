from __future__ import annotations

import numpy as np
import pytest

from eecompile.exits.additive_costs import AdditiveCosts


def test_a_path_is_the_product_of_sums_over_stages_and_heads_on_the_way() -> None:
    stages, heads = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]]), np.array([[0.1, 1.0], [0.2, 2.0]])
    costs = AdditiveCosts(stages, heads, np.array([[0.5, 5.0], [0.6, 6.0]]))
    assert costs.paths((), (0, 1), 0) == pytest.approx([7.5 * 75])
    found = costs.paths((0, 1), (0, 1), 1)
    assert found == pytest.approx([1.1 * 11, 3.3 * 33, 7.9 * 79])


def test_nothing_costs_less_than_nothing() -> None:
    one = np.ones((2, 1))
    for number in range(3):
        parts = [one] * 3
        parts[number] = -one
        with pytest.raises(ValueError, match="less than nothing"):
            AdditiveCosts(*parts)
