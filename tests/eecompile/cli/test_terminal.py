from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from eecompile.cli import terminal


def printed(write: Callable[[Console], None], width: int = 80, is_terminal: bool = False) -> str:
    stream = io.StringIO()
    write(
        Console(
            file=stream, width=width, force_terminal=is_terminal, markup=False, highlight=False, emoji=False
        )
    )
    return stream.getvalue()


def test_nobody_looks_so_rows_stay_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert terminal.console().width == terminal.PIPE_WIDTH
    monkeypatch.setenv("COLUMNS", "77")
    assert terminal.console().width == 77


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": math.nan, "b": [math.inf, 1.5, -math.inf]}, {"a": None, "b": [None, 1.5, None]}),
        ({"deep": {"er": ({"x": math.nan},)}}, {"deep": {"er": [{"x": None}]}}),
        ({1: True, "n": None, "text": "µ€"}, {"1": True, "n": None, "text": "µ€"}),
    ],
)
def test_json_holds_no_number_json_has_not(
    value: dict[str, Any], text: object, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    terminal.write_json(value)
    assert json.loads(capsys.readouterr().out, parse_constant=refuse) == text


class Words:
    """An answer of two words."""

    def to_json(self) -> dict[str, Any]:
        return {"words": ["one", "two"]}


def test_an_answer_is_json_or_text(capsys: pytest.CaptureFixture[str]) -> None:
    def write(out: Console, _: Words) -> None:
        terminal.line(out, "in words")

    terminal.show(Words(), True, write)
    assert json.loads(capsys.readouterr().out) == {"words": ["one", "two"]}
    terminal.show(Words(), False, write)
    assert capsys.readouterr().out == "in words\n"


ROWS = (("conv_0", "1,234"), ("[bold]gemm[/bold] :smile:", "5"), ("\x1b[31mred", "66"))


def test_a_table_shows_names_as_they_are_and_numbers_to_the_right() -> None:
    text = printed(lambda out: terminal.table(out, "Layers", ("layer", "cycles"), ROWS, ("cycles",)))
    lines = [line.rstrip() for line in text.splitlines()]
    assert lines[0] == "Layers"
    assert "[bold]gemm[/bold] :smile:" in text
    assert "\\x1b[31mred" in text and "\x1b" not in text
    ends = [len(line) for line in lines if line.endswith(("cycles", "1,234", " 5", "66"))]
    assert len(ends) == 4 and len(set(ends)) == 1


def test_the_last_rows_are_bold_on_a_terminal() -> None:
    text = printed(lambda out: terminal.table(out, "T", ("a", "b"), ROWS[:2], bold_last=1), is_terminal=True)
    bold = [line for line in text.splitlines() if "\x1b[1m" in line]
    assert any("gemm" in line for line in bold)
    assert not any("conv_0" in line for line in bold)


def test_nothing_is_printed_of_nothing() -> None:
    assert printed(lambda out: terminal.table(out, "T", ("a",), [])) == ""
    assert printed(lambda out: terminal.bullets(out, "T", [])) == ""


@given(
    st.lists(
        st.tuples(st.text("abc ", max_size=12), st.text("de fgh", min_size=1, max_size=300)), min_size=1
    ),
    st.integers(30, 120),
)
def test_bullets_lose_no_word_and_fit(entries: list[tuple[str, str]], width: int) -> None:
    text = printed(lambda out: terminal.bullets(out, "Title", entries), width)
    lines = text.splitlines()
    assert all(len(line) <= width for line in lines)
    assert lines[0] == "Title"
    said = "".join("".join(lines[1:]).split())
    given_ = "".join("".join(f"{subject}: {text}" if subject else text for subject, text in entries).split())
    assert said == given_


def test_a_long_line_is_broken_at_words() -> None:
    text = printed(lambda out: terminal.line(out, "word " * 30), width=40)
    assert text.split() == ["word"] * 30
    assert all(len(line.rstrip()) <= 40 for line in text.splitlines())


HEADINGS = ("exit", "form", "accuracy", "energy", "EDP", "other answers")
CELLS = [
    ("exit_0", "float", "81.0 %", "12,345 µJ", "39 %", "0.0 %"),
    ("", "ptq", "80.6 %", "1.5 µJ", "122 %", "none"),
]


@pytest.mark.parametrize("width", [32, 40, 60, 80, 140])
def test_where_a_terminal_is_narrow_a_table_goes_on_below(width: int) -> None:
    text = printed(lambda out: terminal.table(out, "title", HEADINGS, CELLS, numbers=HEADINGS[2:]), width)
    assert all(len(line) <= width for line in text.splitlines())
    for word in (*HEADINGS, *(cell for row in CELLS for cell in row)):
        assert word in text, "nothing is cut"
    parts = text.count("form")
    assert text.count("ptq") == text.count("exit_0") == parts, "each part says which rows these are"
    assert parts == 1 if width >= 80 else parts > 1


@given(
    rows=st.lists(
        st.tuples(
            *[st.text("abcdefgh ", max_size=12)] * 2, *[st.text("0123456789", min_size=1, max_size=14)] * 4
        ),
        min_size=1,
        max_size=4,
    ),
    width=st.integers(40, 100),
)
def test_digits_are_never_cut(rows: list[tuple[str, ...]], width: int) -> None:
    text = printed(lambda out: terminal.table(out, "title", HEADINGS, rows, numbers=HEADINGS[2:]), width)
    found = text.split()
    assert all(cell in found for row in rows for cell in row[2:])
