"""How large a fluid batch is, and whether it waits for those behind it.

Both ask what makes the sum of completion times least, by the costs of batches that are known and the shares
of val that go on behind exits: of all that wait, and of those who will come while these are served, which are
load / (1 - load) for each that waits (the busy period of a queue), by the arrivals so far. Source of merging
at stage boundaries: Fluid Batching; the rules are this project's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import inf

from eecompile.serving.outlook import Outlook
from eecompile.serving.service import ServiceTime

# More others than this change no choice; counts are cut there, so that choices can be kept.
MOST_OTHERS = 64
# Gaps between arrivals and work are means over about so many of the last; more load than this counts as this.
LAST, MOST_LOAD = 64, 0.9


class Fluid:
    """The choices for batches of at most some size.

    What was asked once is kept: there are few counts, and many boundaries.
    """

    def __init__(self, services: Sequence[ServiceTime], outlooks: Sequence[Outlook], size: int) -> None:
        """Take up what is known of each network; of larger batches than it tells, parts run in turn."""
        self._seconds = [[_grown([0.0, *row], size) for row in one.stage_s.tolist()] for one in services]
        self._size = size
        self._seen: list[Sequence[Outlook]] = []
        self._reaches: list[list[list[float]]] = []
        self.see(outlooks)
        self._last_s, self._gap_s, self._work_s = -inf, inf, 0.0
        self._sized = lru_cache(maxsize=None)(self._sized_anew)
        self._merged = lru_cache(maxsize=None)(self._merged_anew)

    def see(self, outlooks: Sequence[Outlook]) -> None:
        """Take up what is known of each network now; what was asked of these before is still known."""
        place = next((n for n, one in enumerate(self._seen) if one is outlooks), len(self._seen))
        if place == len(self._seen):
            self._seen.append(outlooks)
            self._reaches.append([one.reach.tolist() for one in outlooks])
        self._place, self._job_s = place, [float(one.mean[0]) for one in outlooks]

    def came(self, model: int, arrival_s: float) -> None:
        """Note an arrival."""
        gap, job = max(arrival_s - self._last_s, 0.0), self._job_s[model]
        if self._gap_s < inf:
            self._gap_s += (gap - self._gap_s) / LAST
            self._work_s += (job - self._work_s) / LAST
        else:  # the first gap, or none yet
            self._gap_s, self._work_s = gap, job
        self._last_s = arrival_s

    def _with_coming(self, others: int, waiting: int) -> int:
        """Return others, and of those who will come as many as ``waiting`` bring, as far as they count."""
        load = MOST_LOAD if self._work_s >= MOST_LOAD * self._gap_s else self._work_s / self._gap_s
        return min(others + int((others + waiting) * load / (1 - load)), MOST_OTHERS)

    def size(self, model: int, stage: int, waiting: int, others: int, spare_s: float) -> int:
        """Return how many begin of those who wait for a stage.

        Args:
            model: Number of the network.
            stage: The stage.
            waiting: How many wait for it, one at least.
            others: How many wait for anything else.
            spare_s: Seconds until the one that is next has to be through the stage; company does not make it
                late.
        """
        near = min(waiting, 2 * self._size)
        count = self._sized(model, stage, near, self._with_coming(others + waiting - near, near))
        seconds = self._seconds[model][stage]
        if seconds[1] <= spare_s:
            while seconds[count] > spare_s:
                count -= 1
        return count

    def waits_for(
        self, model: int, stage: int, waiting: int, behind: Sequence[int], others: int, spare_s: float
    ) -> int:
        """Return the stage that runs first, so that those behind may catch up: an earlier one, or ``stage``.

        Args:
            model: Number of the network.
            stage: That of the one that is next.
            waiting: How many wait for it, one at least.
            behind: How many wait for each stage before, [stage].
            others: How many wait for anything else.
            spare_s: Seconds until the one that is next has to be through the stage; waiting does not make it
                late.
        """
        here, late = min(waiting, self._size), self._seconds[model][stage][1] <= spare_s
        best, found = 0.0, stage
        for earlier, count in enumerate(behind):
            if not count or here == self._size:
                continue
            rest = others + waiting - here + sum(behind) - min(count, self._size)
            joining = min(count, self._size)
            all_others = self._with_coming(rest, here + joining)
            more, seconds = self._merged(self._place, model, stage, here, earlier, joining, all_others)
            if more < best and not (late and seconds > spare_s):
                best, found = more, earlier
        return found

    def _sized_anew(self, model: int, stage: int, waiting: int, others: int) -> int:
        """Return the first of the batches by which all who wait are through soonest, in sum.

        While a batch runs all pay for it who are not through before; of equals the larger is taken.
        """
        seconds = self._seconds[model][stage]
        least, first = [0.0], [0]
        for left in range(1, waiting + 1):
            costs = [
                (seconds[size] * (left + others) + least[left - size], -size)
                for size in range(1, min(self._size, left) + 1)
            ]
            cost, size = min(costs)
            least.append(cost)
            first.append(-size)
        return first[waiting]

    def _merged_anew(
        self, place: int, model: int, stage: int, here: int, earlier: int, count: int, others: int
    ) -> tuple[float, float]:
        """Return seconds of completion that catching up adds in sum, and seconds until all are through.

        Those who leave before they catch up do not count: whether they come first is for the policy to say.

        Args:
            place: Number of what is known of the networks.
            model: Number of the network.
            stage: Where some wait.
            here: How many.
            earlier: Where those wait that may catch up.
            count: How many.
            others: How many wait beside.
        """
        left, behind = float(count), 0.0
        for before in range(earlier, stage):
            behind += self._expected(model, before, left)
            left *= self._reaches[place][model][before]
        joining = min(left, self._size - here)
        alone = self._expected(model, stage, float(here))
        together = self._expected(model, stage, here + joining)
        saved = alone + self._expected(model, stage, joining) - together
        return here * (behind + together - alone) - (left + others) * saved, behind + together

    def _expected(self, model: int, stage: int, count: float) -> float:
        """Return seconds of a batch of a mean size, between those of whole ones."""
        seconds, whole = self._seconds[model][stage], int(count)
        part = count - whole
        return seconds[whole] + (part * (seconds[whole + 1] - seconds[whole]) if part else 0.0)


def _grown(seconds: list[float], size: int) -> list[float]:
    """Return seconds of batches of none, one, … ``size``."""
    known = len(seconds) - 1
    for more in range(known + 1, size + 1):
        seconds.append(seconds[known] + seconds[more - known])
    return seconds[: size + 1]
