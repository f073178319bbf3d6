"""Coders give back what they were given, within the memory they name."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eecompile.runtime.split.coding import CODERS, inflated


@given(st.binary(max_size=300), st.sampled_from(sorted(set(CODERS) - {"none"})))
def test_what_is_coded_comes_back(data: bytes, name: str) -> None:
    assert inflated(CODERS[name].encode(data), len(data)) == data


def test_few_symbols_take_fewer_bits_and_each_coder_its_memory() -> None:
    skewed = bytes([0] * 900 + [7] * 80 + [9] * 20)
    assert len(CODERS["huffman"].encode(skewed)) < 200 < len(CODERS["none"].encode(skewed)) == 1000
    assert len(CODERS["rle"].encode(skewed)) < len(CODERS["huffman"].encode(skewed))
    assert CODERS["none"].memory_bytes == 0
    assert CODERS["huffman"].memory_bytes == 2048 + 8192 < CODERS["deflate"].memory_bytes == 32768


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda code: code[:-1], "holds"),
        (lambda code: code + b"x", "holds"),
        (lambda code: b"\xff" + code[1:], "damaged|holds"),
    ],
)
def test_damaged_code_is_refused(change: object, message: str) -> None:
    code = CODERS["huffman"].encode(b"abcabcabc" * 9)
    assert callable(change)
    with pytest.raises(ValueError, match=message):
        inflated(change(code), 81)


def test_no_more_is_made_of_a_code_than_is_expected() -> None:
    bomb = CODERS["deflate"].encode(bytes(10_000_000))
    with pytest.raises(ValueError, match=re.escape("holds 101 bytes or more, not 100")):
        inflated(bomb, 100)
