"""Figures and their changes in the units people read."""
# ruff: noqa: RUF001 - minus signs and dashes as they are printed

from __future__ import annotations

import pytest

from eecompile.cli.comparison.units import change_text, value_text
from eecompile.verbs.work.gates import Difference


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("pJ", 1.5e6, "1.50 µJ"), ("cycles", 12345.4, "12,345 cycles"), ("s", 0.0123, "12.3 ms"),
        ("J·s", 2e-9, "2.00 nJ·s"), ("share", 0.98765, "98.77 %"), ("points", -0.004, "0.00 points"),
        ("bytes", 2048, "2.0 KiB"), ("MACs", 1.25e7, "12.5 M"), ("", 0.1234567, "0.123457"), ("s", None, "–"),
    ],
)  # fmt: skip
def test_values_are_in_the_units_people_read(unit: str, value: float | None, text: str) -> None:
    assert value_text(unit, value) == text


@pytest.mark.parametrize(
    ("unit", "a", "b", "text"),
    [
        ("pJ", 2.0, 1.0, "−50.0 %"), ("share", 0.5, 0.5125, "+1.25 points"),
        ("points", 1.0, 0.25, "−0.75 points"),
        ("pJ", 0.0, 2e6, "+2.00 µJ"), ("pJ", 1e6, 1e6 + 1, "+0.0 %"), ("pJ", 1.0, 1.0, "0.0 %"),
    ],
)  # fmt: skip
def test_changes_have_their_sign(unit: str, a: float, b: float, text: str) -> None:
    assert change_text(unit, Difference("x", a, b)) == text
