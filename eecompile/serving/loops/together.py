"""Which stages of some networks may run beside each other, and from when on; each pair is looked at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from eecompile.serving.cores.clashes import ROUNDING, Clashes, clashes
from eecompile.serving.cores.use import CoreUse, used_s
from eecompile.serving.memory import Interrupted
from eecompile.serving.service import ServiceTime

# Network, stage and size of a batch.
What = tuple[int, int, int]


class Together:
    """Stages of networks on one accelerator."""

    def __init__(self, services: Sequence[ServiceTime], memory: Interrupted | None, largest: int) -> None:
        """Know what they take.

        Args:
            services: Stage times of each network.
            memory: What lies there.
            largest: Images of a batch at most.

        Raises:
            ValueError: Of some network that is not known.
        """
        if memory is None or not all(one.uses for one in services):
            raise ValueError("it is not known of all networks what their stages take")
        self._services, self._memory = services, memory
        self._all = [
            (network, stage, size)
            for network, one in enumerate(services)
            for stage in range(one.stages)
            for size in range(1, largest + 1)
        ]
        self._between_them: dict[tuple[What, What], Clashes] = {}
        self._alone: dict[What, float] = {}
        self._needs: dict[tuple[What, ...], tuple[Counter[str], Counter[str]]] = {}

    def use(self, what: What) -> CoreUse:
        """Return what a stage takes."""
        network, stage, size = what
        return self._services[network].uses[stage][size - 1]

    def alone_s(self, what: What) -> float:
        """Return for how many seconds of a stage no other can begin, whatever it is."""
        if what not in self._alone:
            self._alone[what] = min(self._between(what, other).free(0.0) for other in self._all)
        return self._alone[what]

    def free_s(self, running: Sequence[tuple[What, float]], what: What, now: float) -> float:
        """Return when, from ``now`` seconds on, a stage meets none of those that run.

        Args:
            running: What runs, and since when.
            what: What is to begin.
            now: Not before any of these.
        """
        before = None
        while before != now:
            before = now
            for other, begin in running:
                now = begin + self._between(other, what).free(now - begin)
        return now

    def has_room(self, running: Sequence[What], left: Counter[str]) -> bool:
        """Return whether stages have room beside each other, and all of them for what they may leave.

        Args:
            running: What is to run at once.
            left: Bits in each store of others who wait, and were not interrupted yet.
        """
        together = tuple(sorted(running))
        if together not in self._needs:
            self._needs[together] = self._needs_of(together)
        runs, leave = self._needs[together]
        if left:
            runs, leave = runs + left, leave + left
        return self._memory.has_room(runs) and self._memory.stays(leave)

    def _needs_of(self, together: Sequence[What]) -> tuple[Counter[str], Counter[str]]:
        runs, leave = Counter[str](), Counter[str]()
        for what in together:
            model, stage, size = what
            bits = Counter(self.use(what).bits)
            if stage + 1 < self._services[model].stages:
                left = self._memory.bits(model, stage + 1, size)
                leave += left
                bits |= left  # it may end before the others do
            runs += bits
        return runs, leave

    def _between(self, first: What, then: What) -> Clashes:
        if (first, then) not in self._between_them:
            self._between_them[first, then] = clashes(self.use(first), self.use(then))
        return self._between_them[first, then]

    def used_s(self, counts: Counter[What]) -> dict[str, float]:
        """Return in how many seconds each core, link and port is in use, by name.

        Args:
            counts: How often each stage runs.
        """
        return used_s((self.use(what), count) for what, count in counts.items())


def may_overlap(services: Sequence[ServiceTime]) -> bool:
    """Return whether some stage of networks can begin beside another, whatever lies in the memories."""
    uses = [use for service in services for sizes in service.uses for use in sizes]
    return any(
        clashes(first, then).free(0.0) < (1 - ROUNDING) * first.seconds for first in uses for then in uses
    )
