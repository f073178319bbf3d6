"""A list that only grows, and that its copies share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Log(Generic[T]):
    """What happened, oldest first; a copy takes no time and no room, however long the log is."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: tuple[object, T] | None = None

    def copy(self) -> Log[T]:
        """Return a log that can grow on its own."""
        twin: Log[T] = Log()
        twin._last = self._last
        return twin

    def append(self, item: T) -> None:
        """Add what happened last."""
        self._last = (self._last, item)

    def __iter__(self) -> Iterator[T]:
        found = list(self.newest_first())
        return reversed(found)

    def newest_first(self) -> Iterator[T]:
        """Yield what happened last first."""
        entry = self._last
        while entry is not None:
            yield entry[1]
            entry = entry[0]  # type: ignore[assignment]
