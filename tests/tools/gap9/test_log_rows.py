"""Logs as text: what is a line of a layer, and what is told where one is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from passes.errors import InputError
from tools.gap9.log_rows import Row, parse_rows, read_rows

TWO = (Row(2, "a", 10, 20), Row(3, "b", None, 40))


@pytest.mark.parametrize(
    "text",
    [
        "layer\tcycles\toperations\na\t10\t20\nb\t0\t40\n",
        "layer\tcycles\toperations\r\na\t10\t20\r\nb\t0\t40\r\n",
        "layer cycles operations\na    10 20\n  b 0   40",
        "layer\tcycles\toperations\na\t10 20\nb\t0\t40",
        "layer\toperations\tcycles\na\t20\t10\nb\t40\t-\n",
        "layer\tcycles\toperations\na\t10\t20\nb\t\t40\n",
        "layer\tcycles\toperations\na\t10\t20\nb\t40\n",
        "Name Measured Ops\na 10 20 # a remark\nb n/a 40\n\n# the end\n",
        "# no header\na 10 20\nb 0 40",
        "\ufefflayer\tcycles\toperations\t\na\t10\t20\t\nb\t0\t40\t\n",
        "layer\tcore\tcycles\toperations\na\tne16\t10\t20\nb\tcluster\t0\t40\n",
    ],
)
def test_forms_of_a_log(text: str, tmp_path: Path) -> None:
    path = tmp_path / "log.tsv"
    path.write_bytes(text.encode())
    assert read_rows(path) == TWO


def test_a_log_without_cycles_has_none() -> None:
    assert parse_rows("layer operations\na 20", "log") == (Row(2, "a", None, 20),)
    assert parse_rows("a 20\nb 30", "log") == (Row(1, "a", None, 20), Row(2, "b", None, 30))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 10 20\nb 10", None),
        ("a 10 20\nb", r"log, line 2: 1 fields, expected 3"),
        ("a 10 20 30", r"log, line 1: 4 fields, expected 3"),
        ("layer cycles operations\na ten 20", r"log, line 2: cycles 'ten', expected a whole number"),
        ("a 10 2.5", r"log, line 1: operations '2\.5', expected a whole number"),
        ("a -10 20", r"log, line 1: cycles '-10', expected a whole number"),
        ("a 10 0", r"log, line 1: 'a' has no operations, expected 1 or more"),
        ("\n\n", r"log: no line is a layer"),
        ("layer cycles\na 10", r"log, line 1: the header has no column 'operations'"),
        ("layer cycles operations", r"log: no line is a layer"),
    ],
)
def test_a_line_that_is_no_layer_is_named(text: str, message: str | None) -> None:
    if message is None:
        assert parse_rows(text, "log")[1] == Row(2, "b", None, 10)
        return
    with pytest.raises(InputError, match=message) as caught:
        parse_rows(text, "log")
    assert "operations" in str(caught.value), "what is expected is told"


def test_files_that_are_no_text_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00\x81")
    for name, message in (("bytes", "no text in UTF-8"), ("none", "cannot be read"), (".", "cannot be read")):
        with pytest.raises(InputError, match=message):
            read_rows(tmp_path / name)
