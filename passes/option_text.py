"""The text form of what has options: ``name{option=value,other=value+value}``, one after another.

A value may itself be of that form: ``insert-exits{at=relu_3,head=conv{kernel=5}}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from passes.errors import InputError

_PLAIN = re.compile(r"[\w./:\-]+")
_NAME = re.compile(r"\s*([A-Za-z][\w-]*)\s*(\{)?")
_OPTION = re.compile(r"\s*([a-z_]\w*)\s*=\s*")
_SPACE = re.compile(r"\s*")
_AFTER = re.compile(r"\s*(,|$)")


@dataclass(frozen=True)
class NamedOptions:
    """A name and its options as they are written: one text or several per option."""

    name: str
    options: Mapping[str, Sequence[str]]


def parse_list(text: str, subject: str) -> list[NamedOptions]:
    """Parse ``name{key=value,…},name,…``; nothing for an empty text.

    Args:
        text: What is parsed.
        subject: What it is a list of, for messages: ``pass``, ``head``.

    Raises:
        InputError: Says where it stopped.
    """
    return _Parser(text, subject).names()


def print_named(name: str, options: Mapping[str, Any]) -> str:
    """Return the text form of a name with options."""
    listed = ",".join(f"{key}={print_value(value)}" for key, value in options.items())
    return name + ("{" + listed + "}" if listed else "")


def print_value(value: Any) -> str:
    """Return the value of an option as the text form has it; in quotes where it must be."""
    if isinstance(value, tuple):
        return "+".join(print_value(v) for v in value)
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return text if _is_plain(text) else json.dumps(text)


def _is_plain(text: str) -> bool:
    """Whether ``text`` reads as itself without quotes."""
    if _PLAIN.match(text) is None:
        return False
    try:
        return _Parser(text, "").value(0) == (len(text), text)
    except InputError:
        return False


class _Parser:
    def __init__(self, text: str, subject: str) -> None:
        self._text = text
        self._subject = subject

    def names(self) -> list[NamedOptions]:
        found: list[NamedOptions] = []
        position = 0
        while position < len(self._text):
            match = _NAME.match(self._text, position)
            if match is None:
                raise self._stopped(position, f"expected a {self._subject} name")
            position = match.end()
            options: dict[str, list[str]] = {}
            if match.group(2):
                position, options = self._options(position)
            found.append(NamedOptions(match.group(1), options))
            after = _AFTER.match(self._text, position)
            if after is None:
                raise self._stopped(position, "expected ',' or the end")
            position = after.end()
            if after.group(1) == "":
                break
        return found

    def _options(self, position: int) -> tuple[int, dict[str, list[str]]]:
        options: dict[str, list[str]] = {}
        while True:
            position = self._skip_space(position)
            if self._text[position : position + 1] == "}":
                return position + 1, options
            match = _OPTION.match(self._text, position)
            if match is None:
                raise self._stopped(position, "expected option=value or '}'")
            if match.group(1) in options:
                raise self._stopped(position, f"option '{match.group(1)}' is given twice")
            position, value = self.value(match.end())
            values = [value]
            while self._text[position : position + 1] == "+":
                position, value = self.value(position + 1)
                values.append(value)
            options[match.group(1)] = values
            position = self._skip_space(position)
            if self._text[position : position + 1] == ",":
                position += 1
            elif self._text[position : position + 1] != "}":
                raise self._stopped(position, "expected ',' or '}'")

    def value(self, position: int) -> tuple[int, str]:
        """Return where the value at ``position`` ends, and its text."""
        if self._text[position : position + 1] == '"':
            try:
                value, end = json.JSONDecoder().raw_decode(self._text, position)
            except json.JSONDecodeError as error:
                raise self._stopped(position, "unfinished string") from error
            return end, str(value)
        match = _PLAIN.match(self._text, position)
        if match is None:
            raise self._stopped(position, "expected a value (quote names with other characters)")
        end = match.end()
        if self._text[end : end + 1] == "{":
            end, _ = self._options(end + 1)
        return end, self._text[position:end]

    def _skip_space(self, position: int) -> int:
        match = _SPACE.match(self._text, position)
        return match.end() if match else position

    def _stopped(self, position: int, what: str) -> InputError:
        where = f"{self._subject} text, column {position + 1}: {what}"
        return InputError(where, f"{self._text}\n{' ' * position}^")
