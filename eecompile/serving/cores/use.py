"""What a stage takes of cores, links and memories, in seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from targets.stage_use import StageUse

Spans = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class CoreUse:
    """What a stage takes for a batch of some size.

    Attributes:
        seconds: From its begin to its end.
        busy: Of each core, link and port that it uses, by name, the spans in which it does, seconds from its
            begin, rising.
        bits: The most that it has in each store, by name, beside weights that are kept there.
    """

    seconds: float
    busy: Mapping[str, Spans] = field(hash=False)
    bits: Mapping[str, int] = field(hash=False)

    @staticmethod
    def of(use: StageUse, seconds_a_cycle: float) -> CoreUse:
        """Return what a schedule tells, on a machine with a clock."""
        busy = {
            name: tuple((first * seconds_a_cycle, last * seconds_a_cycle) for first, last in spans)
            for name, spans in use.busy.items()
        }
        return CoreUse(use.cycles * seconds_a_cycle, busy, use.bits)

    def then(self, other: CoreUse) -> CoreUse:
        """Return what this takes and ``other`` behind it, for other images.

        In the memories both are counted: what one leaves lies there while the other runs, as does, before,
        what that one needs.
        """
        busy = dict(self.busy)
        for name, spans in other.busy.items():
            later = ((first + self.seconds, last + self.seconds) for first, last in spans)
            busy[name] = (*busy.get(name, ()), *later)
        return CoreUse(self.seconds + other.seconds, busy, dict(Counter(self.bits) + Counter(other.bits)))

    def busy_s(self, name: str) -> float:
        """Return in how many seconds a core, link or port is in use."""
        return sum(last - first for first, last in self.busy.get(name, ()))


def used_s(ran: Iterable[tuple[CoreUse, int]]) -> dict[str, float]:
    """Return in how many seconds each core, link and port is in use, by what ran and how often."""
    found: dict[str, float] = {}
    for use, count in ran:
        for name in use.busy:
            found[name] = found.get(name, 0.0) + count * use.busy_s(name)
    return found
