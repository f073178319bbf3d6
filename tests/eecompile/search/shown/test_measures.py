from __future__ import annotations

import pytest

from eecompile.search.shown.measures import COSTS, FIGURES, IN_SECONDS, MEASURES
from eecompile.search.worth.inner_front import KEYS, keys_of
from eecompile.wording.quantities import ABSENT


def test_all_that_can_be_sought_can_be_looked_at() -> None:
    assert set(KEYS) <= set(MEASURES) and set(COSTS) <= set(KEYS)
    assert len({measure.key for measure in MEASURES.values()}) == len(MEASURES)


def test_in_seconds_all_is_by_the_keys_that_searches_compare_by() -> None:
    told = keys_of([None, None])
    assert {name: IN_SECONDS[name].key for name in told} == told and IN_SECONDS.keys() == MEASURES.keys()
    assert {m.key for m in (*MEASURES.values(), *IN_SECONDS.values())} == set(FIGURES)
    assert IN_SECONDS["edp"].text(3e-13) == "300 fJ·s" and IN_SECONDS["latency"].text(2e-4) == "200 µs"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("accuracy", 0.9712, "97.12 %"), ("edp", 0.0064, "6.40 mJ·cycles"), ("energy", 764906.8, "765 nJ"),
        ("latency", 7967.8, "7,968 cycles"), ("macs", 82975.0, "83.0 kMACs"), ("memory", 2048.0, "2.05 kB"),
        ("exits", 2.0, "2"), ("edp", None, ABSENT),
    ],
)  # fmt: skip
def test_figures_have_their_units(name: str, value: float | None, text: str) -> None:
    assert MEASURES[name].text(value) == text
