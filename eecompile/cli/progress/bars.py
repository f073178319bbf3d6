"""One bar per stage on a terminal; stages that are over stay, as one line each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from eecompile.cli.progress.time_left import Mark, in_words, time_left, with_mark
from passes.progress import Count, DetailLine, StageLine

PER_SECOND = 8
MOST_NOTES = 3
"""Lines a stage may say that then stand below its own; of one that says more they come as they are."""
_LEAST_BAR, _MOST_BAR = 6, 40
_SPARE = 3
"""Columns left free: a terminal writes ``^C`` behind the bar when it is pressed."""


@dataclass(frozen=True)
class Signs:
    """What bars are made of; the plain ones where a terminal cannot show others."""

    spinner: str
    full: str
    empty: str
    done: str
    stopped: str
    cut: str
    note: str


SIGNS = Signs("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "━", "─", "✓", "✗", "…", "·")
PLAIN_SIGNS = Signs("|/-\\", "#", ".", "+", "x", "~", "-")


@dataclass
class Bars:
    """Shows lines of progress and open counts on a terminal, while it is entered.

    Attributes:
        console: The terminal.
        counts: The open counts, the outermost first; others change them.
        printable: What makes a line safe to print.
        clock: Seconds.
    """

    console: Console
    counts: Sequence[Count]
    printable: Callable[[str], str] = str
    clock: Callable[[], float] = time.monotonic
    _stage: tuple[str, float] | None = None
    _began: float = 0.0
    _counted: Count | None = None
    _marks: list[Mark] = field(default_factory=list)
    _notes: list[str] = field(default_factory=list)
    _talks: bool = False
    _wrote: bool = False

    def __enter__(self) -> Bars:
        """Begin to show; the cursor is hidden."""
        self._signs = PLAIN_SIGNS if self.console.options.ascii_only else SIGNS
        self._began = self.clock()
        self._live = Live(
            console=self.console,
            refresh_per_second=PER_SECOND,
            transient=True,
            redirect_stdout=False,  # the answer is printed when all is over
            get_renderable=self._shown,
        )
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was: no bar, the cursor shown."""
        try:
            self._end(stopped=kind is not None)
            if self._wrote and kind is None:
                self.console.print()  # the answer comes next
        finally:
            self._live.stop()

    def say(self, line: str) -> None:
        """Take a line of progress: it begins a stage, stays as a note, or is said by the bar."""
        if isinstance(line, StageLine):
            self._end()
            self._stage, self._talks = (self.printable(line), self.clock()), False
        elif not isinstance(line, DetailLine):
            self._notes.append(self.printable(line))
            self._talks |= len(self._notes) > MOST_NOTES or self._stage is None
            if self._talks:
                self._print_notes()

    def _end(self, stopped: bool = False) -> None:
        if self._stage is None:
            return
        (name, began), self._stage = self._stage, None
        seconds = f"{self.clock() - began:.1f} s"
        if stopped:
            sign, said, style = self._signs.stopped, f"stopped after {seconds}", "red"
        else:
            sign, said, style = self._signs.done, seconds, "green"
        self.console.print(Text.assemble((sign, style), f" {name}  ", (said, "dim")))
        self._wrote = True
        self._print_notes()

    def _print_notes(self) -> None:
        notes, self._notes = self._notes, []
        for note in notes:
            self.console.print(Padding(self._note(note), (0, 0, 0, 2)))

    def _note(self, text: str) -> Text:
        return Text(f"{self._signs.note} {text}", style="dim")

    def _shown(self) -> Group:
        """Return the bar, and below it what its stage has said: a line of the terminal each."""
        notes = [Text("  ") + self._note(note) for note in tuple(self._notes)]
        for note in notes:
            note.truncate(self.console.width - 1, overflow="ellipsis")
        return Group(self.row(), *notes)

    def row(self) -> Text:
        """Return the bar of the stage at work, one line of the terminal at most."""
        name, began = self._stage or ("", self._began)
        now, counts = self.clock(), of_the_bar(self.counts)
        outer = counts[0] if counts else None
        if outer is not self._counted:
            self._counted, self._marks = outer, []
        left = None
        if outer is not None and outer.total is not None:
            done = min(outer.done, outer.total)
            if self._marks:
                with_mark(self._marks, now, done)
            else:
                self._marks.append((now, done))
            left = time_left(self._marks, outer.total, now)
        spinner = self._signs.spinner[int(now * PER_SECOND) % len(self._signs.spinner)]
        width = min(self.console.width - _SPARE, 120)
        return bar(spinner, name, counts, now - began, left, width, self._signs)


def of_the_bar(counts: Sequence[Count]) -> tuple[Count, ...]:
    """Return the counts from the one on that a bar is of: the outermost whose total is known, else of all."""
    some = tuple(counts)
    known = next((number for number, count in enumerate(some) if count.total), 0)
    return some[known:]


def bar(
    spinner: str,
    stage: str,
    counts: Sequence[Count],
    elapsed: float,
    left: float | None,
    width: int,
    signs: Signs = SIGNS,
) -> Text:
    """Return one line: what is done, how much of it, how long that took and, where known, takes.

    Args:
        spinner: Sign that shows that something is done.
        stage: What is at work.
        counts: What is counted in it, the outermost first: the bar is of that.
        elapsed: Seconds since the stage began.
        left: Seconds until the outermost count is full; ``None`` if that is not known.
        width: Columns there are.
        signs: What it is made of.
    """
    outer = counts[0] if counts else None
    said = in_words(elapsed) + ("" if left is None else f", {in_words(left)} left")
    name = ": ".join(filter(None, [stage, "" if outer is None else outer.what]))
    share = None
    if outer is not None and outer.total:
        share = min(outer.done, outer.total) / outer.total
        said = f"{int(100 * share):3d} %  {said}"
    elif outer is not None and outer.done:
        name += f", {outer.done}"
    room = width - 2 - 1 - cell_len(said)
    if share is not None:
        room -= 1 + _LEAST_BAR
    for count in counts[1:2]:
        longer = f"{name} ({_inner(count)})"
        name = longer if cell_len(longer) <= room else name
    if cell_len(name) > room:
        name = stage or name
        name = _cut(name, room, signs.cut)
    line = Text.assemble((spinner, "cyan"), f" {name} " if name else " ")
    if share is not None:
        length = min(_MOST_BAR, width - cell_len(line.plain) - 1 - cell_len(said))
        full = int(share * length)
        line.append(signs.full * full, "green")
        line.append(signs.empty * (length - full), "dim")
        line.append(" ")
    line.append(said)
    line.truncate(width)
    line.no_wrap = True
    return line


def _inner(count: Count) -> str:
    if not count.total:
        return count.what
    return f"{count.what} {int(100 * min(count.done, count.total) / count.total)} %"


def _cut(text: str, room: int, sign: str) -> str:
    if cell_len(text) <= room:
        return text
    return set_cell_size(text, room - 1).rstrip() + sign if room > 0 else ""
