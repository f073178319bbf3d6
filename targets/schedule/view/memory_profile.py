"""What lies in each store over time."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate

from targets.schedule.machine import Machine
from targets.schedule.result import Schedule


@dataclass(frozen=True)
class MemoryProfile:
    """What lies in a store over time.

    Attributes:
        steps: Cycles, and the bits that lie there from then on.
        capacity_bits: ``None`` is no limit.
        peaks_bits: The most that lies there before each exit path is over.
    """

    store: str
    steps: tuple[tuple[int, int], ...]
    capacity_bits: int | None
    peaks_bits: tuple[int, ...]

    @property
    def peak_bits(self) -> int:
        """The most that lies there at any time."""
        return max(self.peaks_bits, default=0)


def memory_profiles(schedule: Schedule, machine: Machine) -> dict[str, MemoryProfile]:
    """Return what lies in each store over time, by the name the machine has for the store.

    What is given back in a cycle makes room for what comes in it: nothing is counted twice.
    """
    changes: dict[str, Counter[int]] = {name: Counter() for name in machine.stores}
    for stay in schedule.stays:
        changes[stay.store][stay.start] += stay.bits
        if stay.end is not None:
            changes[stay.store][stay.end] -= stay.bits
    found = {}
    for name, store in machine.stores.items():
        times = sorted(cycle for cycle, bits in changes[name].items() if bits)
        levels = list(accumulate(changes[name][cycle] for cycle in times))
        peaks = [max(levels[: bisect_left(times, end)], default=0) for end in schedule.stage_end_cycles]
        found[name] = MemoryProfile(
            store.name, tuple(zip(times, levels, strict=True)), store.size_bits, tuple(peaks)
        )
    return found
