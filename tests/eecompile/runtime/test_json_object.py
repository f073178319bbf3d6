"""Files that hold one JSON object, and others."""

from __future__ import annotations

from pathlib import Path

import pytest

from eecompile.runtime.json_object import damaged, read_object
from passes.errors import InputError


@pytest.mark.parametrize(
    ("text", "told"), [("{", "Expecting"), ("[1]", "no JSON object"), ("\xff", "can't decode")]
)
def test_what_is_no_object_is_said_with_the_hint(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=told) as error:
        read_object(path, "make it again")
    assert error.value.hint == "make it again" and str(path) in error.value.message


def test_an_object_is_read_and_who_misses_a_key_says_which(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}')
    assert read_object(path, "") == {"a": 1}
    assert "cannot be read: no 'b'" in damaged(path, KeyError("b"), "").message
    with pytest.raises(FileNotFoundError):
        read_object(tmp_path / "none", "")
