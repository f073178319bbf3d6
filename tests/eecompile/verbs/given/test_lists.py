"""Parameters that are lists: what is taken, and what is told of the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from eecompile.verbs.given.lists import (
    exits_given,
    heads_given,
    layers_given,
    numbers,
    numbers_by_path,
    texts,
)
from passes.errors import InputError

EXAMPLE = "[0.6, 0.4]"


def test_a_text_alone_is_a_list_of_one() -> None:
    assert texts("fail_if", "a>1") == ("a>1",)
    assert texts("fail_if", ["a>1", "b>2"]) == ("a>1", "b>2")
    assert texts("fail_if", (text for text in ("a", "b"))) == ("a", "b")  # type: ignore[arg-type]


def test_numbers_of_any_kind_are_numbers() -> None:
    found = numbers("ratios", [1, 0.5, np.float32(0.25)], EXAMPLE)  # type: ignore[list-item]
    assert found == (1.0, 0.5, 0.25)
    assert {type(number) for number in found} == {float}


@pytest.mark.parametrize("given", [None, 0, 2])
def test_a_number_of_exits_stays(given: Any) -> None:
    assert exits_given(given) == given


def test_a_list_of_exits_is_a_tuple() -> None:
    assert exits_given(["relu_3", "relu_5"]) == ("relu_3", "relu_5")
    assert exits_given("relu_3, relu_5") == ("relu_3, relu_5",), "nothing is split here"


def test_heads_are_one_or_several() -> None:
    assert heads_given(None) == "auto" and heads_given(["conv{kernel=5,size=10}"]) == "conv{kernel=5,size=10}"
    assert heads_given(["conv", "linear"]) == ("conv", "linear")
    with pytest.raises(InputError, match="each is one head"):
        heads_given("conv,linear")


def test_numbers_by_path() -> None:
    assert numbers_by_path("settings", {"a.b": 3}) == {"a.b": 3.0}
    with pytest.raises(InputError, match="`settings` says a number for each path, not 'a=3'"):
        numbers_by_path("settings", "a=3")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "message", "hint"),
    [
        (lambda: numbers("ratios", "0.6,0.4", EXAMPLE), "not the text '0.6,0.4'", EXAMPLE),  # type: ignore[arg-type]
        (lambda: numbers("ratios", ["0.6"], EXAMPLE), "and '0.6' is none", EXAMPLE),  # type: ignore[list-item]
        (lambda: numbers("ratios", [True], EXAMPLE), "and True is none", EXAMPLE),
        (lambda: numbers("ratios", 0.6, EXAMPLE), "is a list, not 0.6", EXAMPLE),  # type: ignore[arg-type]
        (lambda: texts("fail_if", [b"a"]), "and b'a' is none", "quotes"),  # type: ignore[list-item]
        (lambda: exits_given(True), "not True", "relu_3"),
        (lambda: exits_given(2.0), "not 2.0", "relu_3"),  # type: ignore[arg-type]
        (lambda: exits_given([2]), "and 2 is none", "quotes"),  # type: ignore[list-item]
    ],
)
def test_what_is_no_such_list_is_refused(call: Callable[[], Any], message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_layers_are_a_text_or_a_list() -> None:
    assert layers_given("keep_float", ["conv_0", "gemm_0", "conv_0"]) == ("conv_0", "gemm_0")
    assert layers_given("keep_float", ["a", "b"]) == ("a", "b")
    with pytest.raises(InputError, match="`keep_float` names no layers"):
        layers_given("keep_float", [])
    with pytest.raises(InputError, match="is a list of texts"):
        layers_given("keep_float", [3])  # type: ignore[list-item]
