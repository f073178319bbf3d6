from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eecompile.run_files.summary import Summary
from eecompile.wording import headline, quantities
from targets.objective import OBJECTIVES, Objective
from tests.eecompile.fabricated_run import summary

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
        (1e-15, "J·s", "1e-15 J·s"),
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


def made(with_data: bool = True, **changes: Any) -> Summary:
    return Summary.model_validate({**summary(with_data), **changes})


def test_headline_of_a_run() -> None:
    assert headline.headline(made()) == (
        "With 2 early exits an image takes 36.8 % less energy-delay product on diana than without. "
        "Accuracy is 86.2 % (95 % interval [83.9, 88.2]) on 1,000 test images, "
        f"a drop of 0.59 points [{MINUS}0.41, 1.62]."
    )


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_the_headline_tells_the_saving_of_what_was_minimised(objective: Objective) -> None:
    document = summary()
    found = made(objective=objective.name)
    saved = 100 * document["saving"][objective.name]
    assert f"takes {saved:.1f} % less {objective.words} on" in headline.headline(found)
    assert found.model_dump(mode="json")["objective"] == objective.name


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"caution": "Accuracy is near chance."}, "Accuracy is near chance. Accuracy is 86.2 %"),
        ({"max_drop": 0.5}, "That is above the 0.5 points allowed, which validation images kept to."),
        ({"saving": {"macs": 0, "latency": 0, "energy": 0, "edp": -0.05}}, "takes 5.0 % more energy-delay"),
    ],
)
def test_headline_says_what_matters(changes: dict[str, Any], part: str) -> None:
    assert part in headline.headline(made(**changes))
    assert part not in headline.headline(made())


def test_headline_where_no_exit_pays() -> None:
    only = made(exits=[summary()["exits"][-1]])
    assert headline.headline(only).startswith("No early exit pays off within the allowed drop")


def test_headline_without_data_claims_no_accuracy() -> None:
    text = headline.headline(made(with_data=False))
    assert text.startswith(
        "Costs of 2 early exits on diana: an image that leaves at exit_0 takes 43 % of the"
    )
    assert text.endswith("No data was given, so nothing was trained and no accuracy is claimed.")
    alone = headline.headline(made(with_data=False, exits=[summary()["exits"][-1]]))
    assert alone.startswith("Without early exits the network takes 11.9 µJ and 1.34 ms per image on diana.")


def test_costs_without_a_clock_are_in_cycles() -> None:
    static = made(static={**summary()["static"], "latency_s": None, "edp_js": None}).static
    assert headline.time(static) == "349,000 cycles"
    assert headline.edp(static) == "4.15 J·cycles"


def test_powers_are_said_to_be_equal_only_where_they_are() -> None:
    assert headline.power_note(made()) == ""
    document = summary()
    for entry in document["exits"]:
        entry["energy_pj"] = 30 * entry["latency_cycles"]
    document["static"]["energy_pj"] = 30 * document["static"]["latency_cycles"]
    assert "All powers in use are equal" in headline.power_note(Summary.model_validate(document))
    document["exits"] = document["exits"][-1:]
    assert headline.power_note(Summary.model_validate(document)) == "", "one path is no comparison"
