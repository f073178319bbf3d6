"""A terminal of a few columns does what real ones do."""

from __future__ import annotations

import pytest

from tools.pictures.screen import Screen, Style


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one\r\ntwo", ["one", "two"]),
        ("abc\rx", ["xbc"]),
        ("bar\r\x1b[2Kline\r\nbar 2", ["line", "bar 2"]),
        ("a\r\nb\r\x1b[1A\x1b[2Kc", ["c", "b"]),
        ("12345678", ["12345678"]),
        ("123456789", ["12345678", "9"]),
    ],
)
def test_what_is_written_stands_where_it_should(text: str, lines: list[str]) -> None:
    screen = Screen(8)
    screen.feed(text)
    assert screen.lines == lines
    assert screen.wrapped == (len(text) == 9)


def test_styles_and_the_cursor() -> None:
    screen = Screen(20)
    screen.feed("\x1b[?25l\x1b[1;32mA\x1b[0mB\x1b[2mC\x1b[22;96mD\x1b[39mE")
    assert [style for _, style in screen.rows[0]] == [
        Style(2, bold=True), Style(), Style(dim=True), Style(14), Style()
    ]  # fmt: skip
    assert not screen.cursor_shown
    screen.feed("\x1b[?25h")
    assert screen.cursor_shown


@pytest.mark.parametrize("text", ["\x1b]0;title\x07", "\x1b[3J"])
def test_what_it_does_not_know_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="no such control sequence"):
        Screen(8).feed(text)
