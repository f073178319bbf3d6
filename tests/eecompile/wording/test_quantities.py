from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eecompile.wording import quantities

MINUS = "\N{MINUS SIGN}"
PREFIXES = {"G": 1e9, "M": 1e6, "k": 1e3, "": 1.0, "m": 1e-3, "µ": 1e-6, "n": 1e-9, "p": 1e-12}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "J", quantities.ABSENT),
        (0, "J", "0 J"),
        (0, "", "0"),
        (1234, "", "1.23 k"),
        (999.4, "", "999"),
        (999.6, "", "1.00 k"),
        (9.996, "s", "10.0 s"),
        (-0.00123, "s", "-1.23 ms"),
        (1.5e-12, "J·s", "1.50 pJ·s"),
        (3e-13, "J·s", "300 fJ·s"),
        (1e-18, "J·s", "1e-18 J·s"),
        (2.5e12, "", "2500 G"),
    ],
)
def test_quantity(value: float | None, unit: str, text: str) -> None:
    assert quantities.quantity(value, unit) == text


@given(st.floats(1e-12, 9.99e11), st.sampled_from([1, -1]))
def test_a_quantity_says_its_value_to_three_digits(size: float, sign: int) -> None:
    text = quantities.quantity(sign * size, "J")
    found = re.fullmatch(r"(-?[\d.]+) ([GMkmµnp]?)J", text)
    assert found, text
    said = float(found[1]) * PREFIXES[found[2]]
    assert math.isclose(said, sign * size, rel_tol=0.0051)
    assert len(re.sub(r"[-.]", "", found[1])) == 3
    assert 1 <= abs(float(found[1])) < 1000


@pytest.mark.parametrize(
    ("value", "share", "prefix"),
    [
        (1e3, 1.0, (1e3, "k")),
        (-2e-5, 1.0, (1e-6, "µ")),
        (999.6, 1.0, (1.0, "")),
        (999.6, 0.9995, (1e3, "k")),
        (1e-15, 1.0, (1e-15, "f")),
        (1e-18, 1.0, (1.0, "")),
    ],
)
def test_a_prefix_is_the_largest_that_the_value_has_so_much_of(
    value: float, share: float, prefix: tuple[float, str]
) -> None:
    assert quantities.prefix_of(value, share) == prefix


@given(st.floats(1e-12, 9e11), st.floats(1e-12, 9e11))
def test_larger_quantities_never_look_smaller(first: float, second: float) -> None:
    def said(value: float) -> float:
        number, _, unit = quantities.quantity(value, "J").partition(" ")
        return float(number) * PREFIXES[unit[:-1]]

    low, high = sorted((first, second))
    assert said(low) <= said(high) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (quantities.energy(12.3e6), "12.3 µJ"),
        (quantities.energy(None), quantities.ABSENT),
        (quantities.cycles(1234567.4), "1,234,567"),
        (quantities.cycles(None), quantities.ABSENT),
        (quantities.product(2e-9, 5.0), "2.00 nJ·s"),
        (quantities.product(None, 5e-3), "5.00 mJ·cycles"),
        (quantities.percent(0.1234), "12.3 %"),
        (quantities.percent(0.5, 0), "50 %"),
        (quantities.percent(None), quantities.ABSENT),
        (quantities.interval((0.812, 0.84), 100), "[81.2, 84.0]"),
        (quantities.interval((-0.41, 1.62), places=2), f"[{MINUS}0.41, 1.62]"),
        (quantities.interval(None), ""),
        (quantities.signed(-0.004, 2), "0.00"),
        (quantities.signed(-1.5, 1), f"{MINUS}1.5"),
        (quantities.change(0.312), "31.2 % less"),
        (quantities.change(-0.04), "4.0 % more"),
        (quantities.change(0.0), "0.0 % less"),
        (quantities.ratio(1.0, 4.0), 0.25),
        (quantities.ratio(1.0, 0.0), None),
    ],
)  # fmt: skip
def test_words(found: object, text: object) -> None:
    assert found == text


@given(st.text(max_size=90), st.integers(8, 60))
def test_a_shortened_name_fits_and_keeps_its_ends(name: str, length: int) -> None:
    text = quantities.shortened(name, length)
    clean = quantities.printable(name)
    assert len(text) <= length
    if len(clean) <= length:
        assert text == clean
    else:
        head, _, tail = text.partition("…") if "…" not in clean else (text[:1], "", text[-1:])
        assert clean.startswith(head) and clean.endswith(tail)
        assert len(tail) >= len(head) or "…" in clean, "what tells names apart stands at the end"


@given(st.text())
def test_printable_text_cannot_steer_a_terminal(name: str) -> None:
    text = quantities.printable(name)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert quantities.printable(text) == text
    if all(character.isprintable() for character in name):
        assert text == name


@pytest.mark.parametrize(
    ("bounds", "unit", "text"),
    [
        (None, "s", ""),
        ((5.43e-4, 6.99e-4), "s", "[543, 699] µs"),
        ((5.43e-4, 1.2e-3), "s", "[0.54, 1.20] ms"),
        ((0.8e6, 1.25e6), "", "[0.80, 1.25] M"),
    ],
)
def test_an_interval_has_one_unit(bounds: tuple[float, float] | None, unit: str, text: str) -> None:
    assert quantities.span(bounds, unit) == text


@pytest.mark.parametrize(
    ("value", "around", "text"),
    [
        (1.0, None, ""),
        (42.2e-6, (33.8e-6, 52.8e-6), "[33.8, 52.8]"),
        (990e-6, (850e-6, 1.2e-3), "[850, 1200]"),
        (1.1e-3, (0.9e-3, 1.2e-3), "[0.90, 1.20]"),
    ],
)
def test_an_interval_below_its_figure_is_in_the_same_unit(
    value: float, around: tuple[float, float] | None, text: str
) -> None:
    assert quantities.bounds(value, around) == text


def test_an_interval_of_energies_is_given_in_picojoules() -> None:
    assert quantities.energy_span((12.3e6, 14.5e6)) == "[12.3, 14.5] µJ"
    assert quantities.energy_span(None) == ""


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        (0, "0 B"),
        (12, "1.5 B"),
        (8 * 1000, "1,000 B"),
        (8 * 1024, "1 KiB"),
        (8 * 62_566, "61.1 KiB"),
        (8 * 512 * 1024, "512 KiB"),
        (8 * 1.5 * 2**20, "1.50 MiB"),
        (8 * 2**33, "8,192 MiB"),
    ],
)
def test_sizes_of_memories_are_in_powers_of_1024(bits: float, text: str) -> None:
    assert quantities.memory(bits) == text
