"""Loops in the words of mapping and core files."""

from __future__ import annotations

import re

import pytest

from passes.errors import InputError
from targets.description.mapping import LOOPS
from targets.description.readers.entry import Entry
from targets.description.readers.loops import check_dimensions, read_loop, read_unrolling


def at(value: object) -> Entry:
    return Entry(value, "x.yaml", "spatial")


@pytest.mark.parametrize("name", [*LOOPS, "D7"])
def test_loops_are_known_by_name_or_number(name: str) -> None:
    assert read_loop(at(f" {name} ")) == name


@pytest.mark.parametrize(
    ("value", "message", "hint"),
    [
        ("k", "spatial: 'k' is no loop name", "did you mean 'K'?"),
        ("XX", "spatial: 'XX' is no loop name", "did you mean"),
        (8, "spatial: expected text, not 8", ""),
        ("", "spatial: expected text, not ''", ""),
    ],
)
def test_other_loops_are_told_with_what_comes_closest(value: object, message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        read_loop(at(value))
    assert caught.value.message == f"x.yaml: {message}" and caught.value.hint.startswith(hint)


def test_factors_by_array_dimension_in_the_order_of_the_file() -> None:
    found = read_unrolling(at({"D2": ["C, 2", "FX,3"], "D1": ["K , 8 "]}))
    assert found == {"D2": {"C": 2, "FX": 3}, "D1": {"K": 8}}
    assert list(found) == ["D2", "D1"] and list(found["D2"]) == ["C", "FX"]


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (["K 8"], "spatial.D1[0]: 'K 8' is no loop with a factor\nwrite it as 'K, 8'"),
        (["K, x"], "spatial.D1[0]: 'K, x' is no loop with a factor"),
        (["K, -8"], "spatial.D1[0]: 'K, -8' is no loop with a factor"),
        (["K, 1.5"], "spatial.D1[0]: 'K, 1.5' is no loop with a factor"),
        (["K,"], "spatial.D1[0]: 'K,' is no loop with a factor"),
        (["K, 8, C, 2"], "spatial.D1[0]: 'K, 8, C, 2' is no loop with a factor"),
        (["K, 0"], "spatial.D1[0]: must be a finite number >= 1, not 0"),
        (["K, 8", "k, 2"], "spatial.D1[1]: 'k' is no loop name"),
        ([", 2"], "spatial.D1[0]: expected text, not ''"),
        (["K, 8", "K, 2"], "spatial.D1[1]: loop K is there twice\nwrite one entry with the product for D1"),
        ([], "spatial.D1: needs 1 or more entries, not 0"),
        ("K, 8", "spatial.D1: expected a list, not 'K, 8'"),
    ],
)
def test_wrong_factors_name_the_path(factors: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_unrolling(at({"D1": factors}))
    assert str(caught.value).startswith(f"x.yaml: {message}")


def test_dimensions_are_those_of_the_array() -> None:
    entry = at({"D1": ["K, 8"], "D3": ["C, 2"]})
    check_dimensions(entry, ("D1", "D2", "D3"))
    message = "x.yaml: spatial.D3: no core it is for has such an array dimension\ndid you mean 'D2' or 'D1'?"
    with pytest.raises(InputError, match="^" + re.escape(message)):
        check_dimensions(entry, ("D1", "D2"))
    with pytest.raises(InputError, match=r"spatial\.D1: .*\nnone are known"):
        check_dimensions(entry, ())
