from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from eecompile.cli.values import (
    check_for_tables,
    parse_bits,
    parse_exits,
    parse_heads,
    parse_hertz,
    parse_kept_float,
    parse_lpf_limit,
    parse_names,
    parse_numbers,
    parse_part_bits,
    parse_prune,
    parse_ratios,
    parse_seconds,
    parse_settings,
    parse_size,
    parse_switch,
)
from passes.errors import InputError
from targets.network.layer import Bits


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_bits, "8,8,16", Bits(8, 8, 16, logits=8)),
        (parse_bits, " 2, 7 ,24", Bits(2, 7, 24, logits=7)),
        (parse_bits, None, None),
        (parse_part_bits, "head=4, a=b/c = 8", {"head": 4, "a=b/c": 8}),
        (parse_part_bits, None, None),
        (parse_ratios, "0.5,0.25,.25", (0.5, 0.25, 0.25)),
        (parse_ratios, None, None),
        (parse_lpf_limit, "7", 7),
        (parse_lpf_limit, "full", "full"),
        (parse_lpf_limit, None, None),
    ],
)
def test_texts_become_values(parse: Callable[[str | None], Any], text: str | None, value: Any) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "flag"),
    [
        *(
            (parse_bits, text, "--bits")
            for text in ("8", "8,8", "8,8,16,1", "8,0,16", "8,65,99", "a,b,c", "8,8,4", "")
        ),
        *(
            (parse_part_bits, text, "--bits")
            for text in ("", "8", "=8", "head=", "head=0", "head=65", "head=a", "head=4,", "a=4,a=2")
        ),
        *((parse_ratios, text, "--ratios") for text in ("", "a", "0.5;0.5", "0.5,")),
        *((parse_lpf_limit, text, "--lpf-limit") for text in ("0", "-1", "all", "", "6.5")),
    ],
)
def test_other_texts_are_refused_with_the_flag(
    parse: Callable[[str | None], Any], text: str, flag: str
) -> None:
    with pytest.raises(InputError, match=f"^{flag} ") as caught:
        parse(text)
    assert caught.value.hint


def test_switches_are_on_off_or_not_told() -> None:
    assert [parse_switch("--fusion", text) for text in ("on", "off", None)] == [True, False, None]
    with pytest.raises(InputError, match="--fusion yes: expected on or off"):
        parse_switch("--fusion", "yes")


def test_a_breakdown_is_for_tables() -> None:
    check_for_tables("--breakdown", True, False)
    check_for_tables("--breakdown", False, True)
    with pytest.raises(InputError, match="--json always holds it"):
        check_for_tables("--breakdown", True, True)


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("500MB", 500_000_000), ("2 GiB", 2**31), ("1.5kb", 1500), ("7", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["much", "-1", "5 apples", "", "MB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InputError, match="is no size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["memories.l1.size_bytes", "=3", "memories.l1.size_bytes=much", ""])
def test_what_changes_no_number(text: str) -> None:
    with pytest.raises(InputError, match=f"'{text}' changes no number"):
        parse_settings([text])


def test_numbers_of_the_hardware() -> None:
    assert parse_settings(["a.b=3", " c = 0.5"]) == {"a.b": 3.0, "c": 0.5} and parse_settings(None) is None


def test_names_are_separated_by_commas_and_may_hold_one_in_quotes() -> None:
    assert parse_names("--exits", 'relu_3, "a,b"') == ("relu_3", "a,b")
    for text in ("", "a,", ",a"):
        with pytest.raises(InputError, match="leaves out a name"):
            parse_names("--exits", text)


@pytest.mark.parametrize(
    ("text", "exits"), [(None, None), ("2", 2), ("-1", -1), ("relu_2", ("relu_2",)), ("a,2", ("a", "2"))]
)
def test_exits_are_a_number_or_names(text: str | None, exits: object) -> None:
    assert parse_exits(text) == exits


def test_heads_are_separated_outside_of_braces() -> None:
    assert parse_heads("conv{kernel=5,reuse=logits}, linear") == ("conv{kernel=5,reuse=logits}", "linear")
    assert parse_heads(None) is None


def test_layers_in_float_are_names_or_auto() -> None:
    assert parse_kept_float("auto") == "auto" and parse_kept_float("a,b") == ("a", "b")


def test_a_share_of_pruning_is_negative() -> None:
    assert parse_prune("cycles=-30%") == {"cycles": -0.3} and parse_prune(None) is None
    with pytest.raises(InputError, match="cannot be 'cycles=30'"):
        parse_prune("cycles=30")


def test_times_and_rates_have_units() -> None:
    assert [parse_seconds("--slo", text) for text in ("20ms", "150us", "1.5s", "2E1MS")] == pytest.approx(
        [0.02, 0.00015, 1.5, 0.02]
    )
    assert parse_hertz("--clock", None) is None
    rates = [parse_hertz("--clock", text) for text in ("1GHz", "2.5MHz", "3khz", "4Hz")]
    assert rates == [1e9, 2.5e6, 3e3, 4]


@pytest.mark.parametrize("text", ["20", "ms", "-1s", "0s", "infs", "nans", "1h", ""])
def test_a_time_without_a_unit_or_a_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected a number above 0 and its unit"):
        parse_seconds("--slo", text)


def test_numbers_are_separated_by_commas() -> None:
    assert parse_numbers("--priority", "9,1.5") == (9, 1.5)
    assert parse_numbers("--priority", None) is None
    with pytest.raises(InputError, match="--priority 9;1: expected numbers"):
        parse_numbers("--priority", "9;1")
