"""Cores that cannot bring partial sums back."""

from __future__ import annotations

import pytest

from passes.errors import InputError
from targets.cost.search.engine import Engine
from targets.description.mapping import Mapping, MappingRule, NoMappingError
from targets.objective import LATENCY, OBJECTIVES, Objective
from tests.targets.cost.small import core, matmul, memory, outer

ONE = {"D1": 1}
PLAIN = MappingRule("plain", spatial={"D1": {}})
ONCE = core(
    ONE,
    sums=memory("O", 16, dict.fromkeys(("O from_below", "O to_below", "O to_above"), 16)),
    dram=memory("WIO", 10**6, dict.fromkeys(("W to_below", "I to_below", "O from_below"), 8), ("D1",)),
)


@pytest.mark.parametrize("limit", [6, None])
@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_what_reduces_stays_below_a_memory_without_a_way_back(
    objective: Objective, limit: int | None
) -> None:
    found = Engine(ONCE, limit).best(matmul(4, 6, 4), objective, PLAIN)
    reduced = found.mapping.loops[: found.mapping.levels["O"][0]]
    assert sorted(factor for loop, factor in reduced if loop == "C") in ([2, 3], [6])
    assert all(access.direction != "from_above" for access in found.accesses)


def test_a_given_mapping_that_needs_the_way_back_is_refused() -> None:
    loops = (("K", 4), ("C", 6), ("D", 4))
    split = Mapping({"D1": {}}, loops, {"O": (0, 3), "W": (3,), "I": (3,)})
    with pytest.raises(InputError, match="O from_above through memory 'sums', which has no port"):
        Engine(ONCE).cost(matmul(4, 6, 4), split)


def test_sums_that_cannot_be_added_up_fit_nothing() -> None:
    blind = core(
        ONE,
        sums=memory("O", 16, dict.fromkeys(("O from_below", "O to_above"), 16)),
        dram=outer({}, ONE),
    )
    with pytest.raises(NoMappingError, match="no mapping of"):
        Engine(blind).best(matmul(4, 6, 4), LATENCY, PLAIN)
