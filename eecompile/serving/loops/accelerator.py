"""What runs on an accelerator, from when to when, what that takes, and what lies in its memories."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eecompile.serving.dispatch import NextRun, Ticket
from eecompile.serving.loads import KeptWeights
from eecompile.serving.loops.together import Together, What
from eecompile.serving.memory import Interrupted
from eecompile.serving.outcome import Ran, ServingOutcome
from eecompile.serving.service import ServiceTime


class _Running(NamedTuple):
    """A stage that runs.

    Attributes:
        begin_s: When all is there that it needs, seconds.
        opens_s: Before this nothing can begin beside it.
    """

    begin_s: float
    opens_s: float
    end_s: float
    what: What
    batch: NextRun


class Accelerator:
    """One stage at a time, or several beside each other.

    Beside others a stage begins where no core, link or port is in use by two, where what all have in the
    memories fits, and where nothing has to be moved or brought before: that needs links that are free.

    Attributes:
        loaded: Number of the network that ran last; -1: none did.
        next_end_s: When the first of the stages that run ends, seconds; infinite: nothing runs.
        opens_s: Seconds before which nothing more can begin, whatever it is.
    """

    def __init__(
        self, services: Sequence[ServiceTime], largest: int = 1, overlap: bool = False, watch: bool = False
    ) -> None:
        """Begin with nothing there.

        Args:
            services: Stage times of each network.
            largest: Images of a batch at most.
            overlap: Stages may run beside each other.
            watch: Note each stage that ran, too.

        Raises:
            ValueError: Stages beside each other of networks of which it is not known what they take.
        """
        self._memory, self._watch = interrupted(services), watch
        self._together = Together(services, self._memory, largest) if overlap else None
        self._weights, self.loaded = KeptWeights(services), -1
        self._seconds = [service.stage_s.tolist() for service in services]
        self._joules = [service.stage_j.tolist() for service in services]
        self._there = list[Ticket]()
        self._count = Counter[What]()
        self._busy_s = self._energy_j = self._busy_until = 0.0
        self._ran = list[Ran]()
        self._running: list[_Running] = []
        self.next_end_s, self.opens_s = math.inf, -math.inf

    @property
    def idle(self) -> bool:
        """Whether nothing runs."""
        return not self._running

    def ended(self, now: float) -> list[NextRun]:
        """Return batches whose stage ended by ``now``, seconds, and forget them."""
        if self.next_end_s > now:
            return []
        if len(self._running) == 1:
            (last,), self._running = self._running, []
            self.next_end_s, self.opens_s = math.inf, -math.inf
            return [last.batch]
        done = sorted((one for one in self._running if one.end_s <= now), key=lambda one: one.end_s)
        self._running = [one for one in self._running if one.end_s > now]
        self.next_end_s = min((one.end_s for one in self._running), default=math.inf)
        self.opens_s = max((one.opens_s for one in self._running), default=-math.inf)
        return [one.batch for one in done]

    def leave(self, going: list[Ticket]) -> bool:
        """Say who goes on from a batch that ended; return whether others may run before them."""
        self._there += going
        if self._memory is None or not going:
            return True
        return self._memory.may_leave(going[0].model, going[0].stage, len(going))

    def begins(self, batch: NextRun, now: float) -> float:
        """Return when, from ``now`` on, a batch may begin if nothing else begins before, seconds."""
        if self.idle:
            return now
        if self._together is None or not self._fits(batch, self._together):
            return self.next_end_s
        return self._together.free_s([(one.what, one.begin_s) for one in self._running], _what(batch), now)

    def is_last(self, batch: NextRun) -> bool:
        """Return whether nobody can go on behind the stage of a batch."""
        return batch.stage + 1 == len(self._seconds[batch.model])

    def fills(self, other: NextRun, now: float, head: NextRun, at: float) -> bool:
        """Return whether another batch that can begin makes the one that is next no later.

        Args:
            other: It.
            now: When it is to begin, seconds.
            head: The one that is next.
            at: When that one `begins`, or is to be asked again.
        """
        assert self._together is not None, "stages run beside each other"
        network, stage, size = what = _what(other)
        in_time = now + self._seconds[network][stage][size - 1] <= at
        if not self._fits(head, self._together):
            # It is asked again when something ends: nothing may lie there then that does not now.
            return in_time and self.is_last(other)
        running = [*((one.what, one.begin_s) for one in self._running), (what, now)]
        beside = in_time or self._together.free_s(running, _what(head), at) <= at
        return beside and self._fits(head, self._together, [what])

    def _fits(self, batch: NextRun, together: Together, also: Sequence[What] = ()) -> bool:
        """Return whether a batch has room beside what runs and ``also``, and moves and brings nothing."""
        assert self._memory is not None
        if not self._weights.there(batch.model):
            return False
        if any(self._memory.is_moved(one.number) for one in batch.tickets):
            return False
        runs, there, left = {one.number for one in batch.tickets}, set[int](), Counter[str]()
        for one in self._there:
            there.add(one.number)
            if one.number not in runs:
                left += self._memory.bits(one.model, one.stage)
        for one in batch.tickets:  # what it was interrupted with is not there twice
            if one.stage and one.number not in there:
                left.subtract(self._memory.bits(one.model, one.stage))
        return together.has_room([_what(batch), *(one.what for one in self._running), *also], left)

    def begin(self, batch: NextRun, now: float) -> None:
        """Run a stage from ``now`` on, seconds, at which it `begins`."""
        what = network, stage, size = _what(batch)
        begin = now + self._moved(batch)
        if network != self.loaded:
            load_s, load_j = self._weights.bring(network)
            begin, self.loaded = begin + load_s, network
            self._energy_j += load_j
        end = begin + float(self._seconds[network][stage][size - 1])
        self._energy_j += self._joules[network][stage][size - 1]
        if self._together is None:
            opens = self.opens_s = self.next_end_s = end
            self._busy_s += end - now
        else:
            opens = begin + self._together.alone_s(what)
            self.opens_s, self.next_end_s = max(self.opens_s, opens), min(self.next_end_s, end)
            self._busy_s += max(end - max(now, self._busy_until), 0.0)
            self._busy_until = max(self._busy_until, end)
            self._count[what] += 1
        self._running.append(_Running(begin, opens, end, what, batch))
        if self._watch:
            numbers = tuple(one.number for one in batch.tickets)
            self._ran.append(Ran(now, end, network, stage, numbers))

    def _moved(self, batch: NextRun) -> float:
        """Return the seconds of moving what the batch needs back, and then what others have away."""
        there, self._there = self._there, []
        if self._memory is None:
            return 0.0
        here, runs = {one.number for one in there}, {one.number for one in batch.tickets}
        moved = [
            self._memory.back(one.number, one.model, one.stage)
            for one in batch.tickets
            if one.stage and one.number not in here
        ]
        moved += [
            self._memory.leave(one.number, one.model, one.stage) for one in there if one.number not in runs
        ]
        self._energy_j += sum(joules for _, joules in moved)
        return sum(seconds for seconds, _ in moved)

    def outcome(self, finish: list[float], interruptions: int, refused: int) -> ServingOutcome:
        """Return what happened."""
        memory = self._memory
        return ServingOutcome(
            np.array(finish), self._busy_s, self._energy_j, self._weights.loads, interruptions, self._ran,
            refused=refused, spills=0 if memory is None else memory.spills,
            peak_bits=0 if memory is None else memory.peak_bits,
            used_s={} if self._together is None else self._together.used_s(self._count),
        )  # fmt: skip


def _what(batch: NextRun) -> What:
    return batch.model, batch.stage, len(batch.tickets)


def interrupted(services: Sequence[ServiceTime]) -> Interrupted | None:
    """Return the memories for what is interrupted; ``None`` where not all networks tell what they need."""
    known = [one.footprint for one in services if one.footprint is not None]
    return Interrupted(known) if len(known) == len(services) else None
