from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from eecompile.cli.values import (
    check_breakdown,
    parse_bits,
    parse_lpf_limit,
    parse_part_bits,
    parse_ratios,
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
    check_breakdown(True, False)
    check_breakdown(False, True)
    with pytest.raises(InputError, match="--json always holds it"):
        check_breakdown(True, True)
