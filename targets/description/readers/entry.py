"""Values of a parsed file that know their path, so that every complaint names it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from passes.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Entry:
    """A value of a file.

    Attributes:
        value: What YAML gave.
        file: Name of the file in messages.
        path: Where the value is, such as ``memories.l1.size``; empty for the whole document.
    """

    value: object
    file: str
    path: str = ""

    def wrong(self, message: str, hint: str = "") -> InputError:
        """Return the error to raise about this value."""
        return InputError(
            f"{self.file}: {self.path}: {message}" if self.path else f"{self.file}: {message}", hint
        )

    def items(self) -> dict[str, Entry]:
        """Return the entries of a mapping whose keys the user chooses."""
        if not isinstance(self.value, dict) or not self.value:
            raise self.wrong(f"expected keys with values, not {self._shown()}")
        entries = {str(key): Entry(item, self.file, self._below(key)) for key, item in self.value.items()}
        if len(entries) < len(self.value):
            raise self.wrong("two keys differ only in quotes", "remove one")
        return entries

    def fields(self, required: Collection[str], optional: Iterable[str] = ()) -> dict[str, Entry]:
        """Return the entries of a mapping with known keys; a key without a value counts as absent."""
        known = [*required, *optional]
        entries = self.items()
        for key, entry in entries.items():
            if key not in known:
                raise entry.wrong("unknown key", did_you_mean(key, known))
        present = {key: entry for key, entry in entries.items() if entry.value is not None}
        for key in required:
            if key not in present:
                raise Entry(None, self.file, self._below(key)).wrong("is missing", "add it")
        return present

    def elements(self, least: int = 0) -> list[Entry]:
        """Return the entries of a list of ``least`` or more."""
        if not isinstance(self.value, list):
            raise self.wrong(f"expected a list, not {self._shown()}")
        if len(self.value) < least:
            raise self.wrong(f"needs {least} or more entries, not {len(self.value)}")
        return [Entry(item, self.file, f"{self.path}[{i}]") for i, item in enumerate(self.value)]

    def text(self) -> str:
        """Return a text that is not empty."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.wrong(f"expected text, not {self._shown()}")
        return self.value.strip()

    def choice(self, known: Collection[str]) -> str:
        """Return one of the known words."""
        word = self.text()
        if word not in known:
            raise self.wrong(f"'{word}' is not known here", did_you_mean(word, known))
        return word

    def integer(self, least: int = 1) -> int:
        """Return a whole number of at least ``least``."""
        number = self.number(least)
        if number != int(number):
            raise self.wrong(f"must be a whole number, not {self._shown()}")
        return int(number)

    def number(self, least: float = 0) -> float:
        """Return a finite number of at least ``least``; a whole one stays exact."""
        # A bool is an int to Python, and 'size: yes' is a slip.
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            hint = "YAML reads 1e9 as text; write 1.0e+9" if isinstance(self.value, str) else ""
            raise self.wrong(f"expected a number, not {self._shown()}", hint)
        if not least <= self.value < float("inf"):
            raise self.wrong(f"must be a finite number >= {least:g}, not {self._shown()}")
        return self.value

    def boolean(self) -> bool:
        """Return a truth value."""
        if not isinstance(self.value, bool):
            raise self.wrong(f"expected true or false, not {self._shown()}")
        return self.value

    def _below(self, key: object) -> str:
        return f"{self.path}.{key}" if self.path else str(key)

    def _shown(self) -> str:
        if isinstance(self.value, dict | list) and self.value != {}:
            return "keys with values" if isinstance(self.value, dict) else "a list"
        return "nothing" if self.value is None else repr(self.value)[:60]
