"""How far work is: lines that are told, and counts of what is done, for whoever watches.

Lines go to the function that a verb was given. Counts would be too many for that: they are looked at, by a
terminal that shows bars, and by nobody else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


class StageLine(str):
    """A line of progress that begins a stage: what comes until the next is part of it."""

    __slots__ = ()


class DetailLine(str):
    """A line of progress that says how far something is that is counted, too."""

    __slots__ = ()


@dataclass(eq=False)
class Count:
    """How much of something is done; safe to add to from several threads.

    Attributes:
        what: What is counted.
        total: How much there is; ``None`` where that is not known before.
        done: How much of it is done.
    """

    what: str
    total: int | None
    done: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, units: int = 1) -> None:
        """Say that so much more is done."""
        with self._lock:
            self.done += units


_OPEN: ContextVar[list[Count] | None] = ContextVar("open counts", default=None)


@contextmanager
def watching() -> Iterator[Sequence[Count]]:
    """Yield the counts that are open, the outermost first: it changes as work goes on."""
    opened: list[Count] = []
    token = _OPEN.set(opened)
    try:
        yield opened
    finally:
        _OPEN.reset(token)


@contextmanager
def counting(what: str, total: int | None = None, done: int = 0) -> Iterator[Count]:
    """Count within the block; what is counted within a count of the same is a part of that one.

    Args:
        what: What is counted, as people read it.
        total: How much there is, if that is known.
        done: How much was done before.
    """
    opened = _OPEN.get()
    same = next((count for count in opened or () if count.what == what), None)
    if same is not None:
        yield same
        return
    count = Count(what, total, done)
    if opened is None:
        yield count
        return
    opened.append(count)
    try:
        yield count
    finally:
        del opened[opened.index(count) :]


def each(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield the items; each is done when the next is asked for.

    Args:
        items: What is gone through.
        what: What they are, as people read it.
        total: How many; found out where they have a length.
    """
    length = len(items) if total is None and isinstance(items, Sequence) else total
    with counting(what, length) as count:
        for item in items:
            yield item
            count.add()
