from __future__ import annotations

from dataclasses import replace

import pytest

from passes.number_formats import Levels

BYTES = Levels(-128, 127, 8)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (BYTES, Levels(-64, 63, 8), Levels(-64, 63, 8)),
        (BYTES, Levels(-8, 7, 4), Levels(-8, 7, 8)),
        (BYTES, replace(BYTES, power_of_two=True), replace(BYTES, power_of_two=True)),
        (replace(BYTES, symmetric=False), BYTES, BYTES),
        (replace(BYTES, symmetric=False), replace(BYTES, symmetric=False), replace(BYTES, symmetric=False)),
        (replace(BYTES, per_channel=True), BYTES, BYTES),
    ],
)
def test_what_two_can_take_suits_each(one: Levels, other: Levels, both: Levels) -> None:
    assert one.meet(other) == other.meet(one) == both
