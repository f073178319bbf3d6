"""What a terminal shows after some bytes: as much of one as this project's output needs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SEQUENCE = re.compile(r"\x1b\[(?P<private>\??)(?P<numbers>[\d;]*)(?P<letter>[A-Za-z])")


@dataclass(frozen=True)
class Style:
    """How a letter looks.

    Attributes:
        color: 0 to 7, 8 to 15 for the bright ones; ``None`` for the usual one.
        bold: It is thick.
        dim: It is pale.
    """

    color: int | None = None
    bold: bool = False
    dim: bool = False


PLAIN = Style()
Cell = tuple[str, Style]


@dataclass
class Screen:
    """A terminal without an end below.

    Attributes:
        columns: How wide it is.
        rows: Letters with their styles.
        cursor_shown: Whether the cursor is.
        wrapped: How many lines went on below because they were longer than the terminal is wide.
    """

    columns: int
    rows: list[list[Cell]] = field(default_factory=lambda: [[]])
    cursor_shown: bool = True
    wrapped: int = 0
    _row: int = 0
    _column: int = 0
    _style: Style = PLAIN

    def feed(self, text: str) -> None:
        """Take what a program writes.

        Raises:
            ValueError: A control sequence that is not known here.
        """
        place = 0
        while place < len(text):
            letter = text[place]
            if letter == "\x1b":
                found = _SEQUENCE.match(text, place)
                if found is None:
                    raise ValueError(f"no such control sequence: {text[place : place + 8]!r}")
                self._control(found["private"], found["numbers"], found["letter"])
                place = found.end()
                continue
            self._put(letter)
            place += 1

    @property
    def lines(self) -> list[str]:
        """What stands in each row."""
        return ["".join(letter for letter, _ in row).rstrip() for row in self.rows]

    def _put(self, letter: str) -> None:
        if letter == "\r":
            self._column = 0
        elif letter == "\n":  # the terminal's driver has written a carriage return before
            self._to(self._row + 1)
        elif letter >= " ":
            if self._column == self.columns:
                self.wrapped += 1
                self._to(self._row + 1)
                self._column = 0
            row = self.rows[self._row]
            row += [(" ", PLAIN)] * (self._column + 1 - len(row))
            row[self._column] = (letter, self._style)
            self._column += 1

    def _to(self, row: int) -> None:
        self._row = max(0, row)
        while len(self.rows) <= self._row:
            self.rows.append([])

    def _control(self, private: str, numbers: str, letter: str) -> None:
        values = [int(number or 0) for number in numbers.split(";")]
        first = values[0]
        if private and first == 25:
            self.cursor_shown = letter == "h"
        elif letter == "A":
            self._to(self._row - max(1, first))
        elif letter == "K" and first == 2:
            self.rows[self._row] = []
        elif letter == "m":
            self._paint(values)
        else:
            raise ValueError(f"no such control sequence: {private}{numbers}{letter}")

    def _paint(self, values: list[int]) -> None:
        color, bold, dim = self._style.color, self._style.bold, self._style.dim
        for value in values:
            if value == 0:
                color, bold, dim = None, False, False
            elif value in (1, 2):
                bold, dim = bold or value == 1, dim or value == 2
            elif value == 22:
                bold, dim = False, False
            elif 30 <= value <= 37:
                color = value - 30
            elif 90 <= value <= 97:
                color = value - 82
            elif value == 39:
                color = None
        self._style = Style(color, bold, dim)
