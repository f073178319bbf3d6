"""How many channels each group keeps: the least loss for a cost that only the schedule knows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from passes.errors import NoSolutionError

STEPS = 8
"""A group is looked at in so many steps at least, where it has as many channels."""
# By which power of what is left a channel counts more. ResNet8 on gap9, latency -30 %, trained on 40,000
# images behind it (seed 0): 49.4 % of 611 val images are right with 0, 67.1 with 1, 71.7 with 2.
CROWDING = 2
_RETRIES = 6
_EXCHANGES = 40  # that are scheduled at most before the search ends
_SLACK = 1e-9

Counts = Mapping[str, int]
CostOf = Callable[[Counts], float]


@dataclass(frozen=True)
class PrunableGroup:
    """A group of channels and what its channels are worth.

    Attributes:
        name: Of the group.
        losses: What the removal of each channel alone adds to the loss, rising: the first goes first.
    """

    name: str
    losses: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def step(self) -> int:
        """Channels of a step: the largest power of two of which it has `STEPS`; 1 for small groups."""
        return 1 << max(0, int(math.log2(max(1, len(self) // STEPS))))

    @property
    def counts(self) -> tuple[int, ...]:
        """How many may stay, falling: all, and multiples of a step, one at least."""
        multiples = range((len(self) - 1) // self.step * self.step, 0, -self.step)
        return (len(self), *multiples)

    def loss(self, count: int) -> float:
        """Return what is added to the loss where ``count`` channels stay.

        More than the sum: the fewer are left, the more each of them carries.
        """
        going = enumerate(self.losses[: len(self) - count])
        return sum(alone * (len(self) / (len(self) - gone)) ** CROWDING for gone, alone in going)


@dataclass(frozen=True)
class PruningPlan:
    """What stays of each group, and what that costs.

    Attributes:
        counts: Name of the group -> channels that stay.
        cost: By the schedule, in what the goal is in.
        loss: What is added to the loss, by the ranking.
        tried: Schedules that were made.
    """

    counts: Counts
    cost: float
    loss: float
    tried: int = 0


def plan_counts(
    groups: Sequence[PrunableGroup],
    cost: CostOf,
    goal: float,
    exact: CostOf | None = None,
    given: float | None = None,
) -> PruningPlan:
    """Return how many channels stay of each group, so that ``exact`` is ``goal`` at most.

    The cost of a group by its count is found first, the others whole; counts that cost no less than larger
    ones are never taken, so that channels go by what a core computes at once. Then, step by step, the group
    and count that adds least to the loss per cost saved: the saving of each alone bounds the one beside
    what is gone already, so that few have to be scheduled anew. At last groups get back what the goal allows.

    Args:
        groups: What may go.
        cost: A quick schedule of the network with so many channels; infinite where it cannot be run.
        goal: What ``exact`` may be at most.
        exact: The whole schedule, where that is another one: the goal of the quick one follows it.
        given: Of what a goal that cannot be reached is told as a share; ``None``: of all channels.

    Raises:
        NoSolutionError: It costs more with the fewest channels; says how little can be reached.
    """
    quick = _Remembered(cost)
    if exact is None:
        found = _Search(groups, quick).plan(goal, given)
        return replace(found, tried=quick.made)
    whole = _Remembered(exact)
    start = {group.name: len(group) for group in groups}
    search, best = _Search(groups, quick), None
    least = whole(search.fewest)
    if least > goal * (1 + _SLACK):
        raise unreachable(given or whole(start), least)
    bound = goal * quick(start) / whole(start)
    for _ in range(_RETRIES):
        bound = max(bound, quick(search.fewest))
        tried = search.plan(bound)
        real = whole(tried.counts)
        if real <= goal * (1 + _SLACK) and (best is None or tried.loss < best.loss):
            best = replace(tried, cost=real)
        nearer = tried.cost * goal / real
        if math.isclose(nearer, bound, rel_tol=1e-3) or (best is not None and nearer <= bound):
            break
        bound = nearer if real > goal else (bound + nearer) / 2
    if best is None:
        counts = search.fewest
        best = PruningPlan(counts, least, sum(g.loss(counts[g.name]) for g in groups))
    return replace(best, tried=quick.made + whole.made)


def unreachable(whole: float, least: float) -> NoSolutionError:
    """Return the error of a goal below what the fewest channels cost."""
    return NoSolutionError(
        f"pruning can save {100 * (1 - least / whole):.1f} % at most on this schedule: then every group of "
        "channels has as few as are taken away at once",
        "ask for less in `prune`",
    )


class _Remembered:
    """A cost that is found out once for the same counts."""

    def __init__(self, cost: CostOf) -> None:
        self._cost, self._known = cost, dict[tuple[tuple[str, int], ...], float]()

    def __call__(self, counts: Counts) -> float:
        key = tuple(sorted(counts.items()))
        if key not in self._known:
            self._known[key] = self._cost(counts)
        return self._known[key]

    @property
    def made(self) -> int:
        return len(self._known)


class _Search:
    def __init__(self, groups: Sequence[PrunableGroup], cost: _Remembered) -> None:
        self._groups, self._cost = {group.name: group for group in groups}, cost
        self._whole = {group.name: len(group) for group in groups}
        self._alone = {group.name: self._curve(group) for group in groups}
        self.fewest = {name: min(curve) for name, curve in self._alone.items()}

    def _curve(self, group: PrunableGroup) -> dict[int, float]:
        """Return count -> cost with the other groups whole, for counts that cost less than all above."""
        kept: dict[int, float] = {}
        for count in group.counts:
            cost = self._cost({**self._whole, group.name: count})
            if not kept or cost < min(kept.values()):
                kept[count] = cost
        return kept

    def plan(self, goal: float, given: float | None = None) -> PruningPlan:
        """Return the counts of least loss that were found within ``goal`` by the quick schedule."""
        counts, now = dict(self._whole), self._cost(self._whole)
        while now > goal * (1 + _SLACK):
            found = self._step(counts, now, goal)
            if found is None:
                raise unreachable(given or self._cost(self._whole), now)
            counts[found[0]] = found[1]
            now = self._cost(counts)
        self._give_back(counts, goal)
        while self._exchange(counts, goal):
            self._give_back(counts, goal)
        loss = sum(group.loss(counts[name]) for name, group in self._groups.items())
        return PruningPlan(counts, self._cost(counts), loss)

    def _step(self, counts: dict[str, int], now: float, goal: float) -> tuple[str, int] | None:
        """Return the group and the count that add least to the loss per cost saved that is asked for."""

        def price(name: str, count: int, saved: float) -> tuple[float, str, int]:
            added = self._groups[name].loss(count) - self._groups[name].loss(counts[name])
            useful = min(saved, now - goal)
            return (added / useful if useful > 0 else math.inf), name, -count

        hoped = {
            (name, count): price(name, count, curve[counts[name]] - alone)
            for name, curve in self._alone.items()
            for count, alone in curve.items()
            if count < counts[name]
        }
        seen: set[tuple[str, int]] = set()
        while hoped:
            (name, count), best = min(hoped.items(), key=lambda item: item[1])
            if math.isinf(best[0]):
                return None
            if (name, count) in seen:
                return name, count
            seen.add((name, count))
            hoped[name, count] = price(name, count, now - self._cost({**counts, name: count}))
        return None

    def _give_back(self, counts: dict[str, int], goal: float) -> None:
        """Let groups have more channels where the goal is still kept, those that miss them most first."""
        while True:
            more = [
                (self._groups[name].loss(count) - self._groups[name].loss(counts[name]), name, count)
                for name, curve in self._alone.items()
                for count in curve
                if count > counts[name]
            ]
            for _, name, count in sorted(more):
                if self._cost({**counts, name: count}) <= goal * (1 + _SLACK):
                    counts[name] = count
                    break
            else:
                return

    def _exchange(self, counts: dict[str, int], goal: float) -> bool:
        """Let one group have more, another fewer channels where less is lost; return whether one did."""
        now = self._cost(counts)
        found: list[tuple[float, str, int, str, int]] = []
        for (gets, more), (gives, fewer) in itertools.permutations(self._alone.items(), 2):
            for count, other in itertools.product(more, fewer):
                if count <= counts[gets] or other >= counts[gives]:
                    continue
                added = self._groups[gives].loss(other) - self._groups[gives].loss(counts[gives])
                lost = added + self._groups[gets].loss(count) - self._groups[gets].loss(counts[gets])
                # alone a group saves more than beside what is gone already
                if lost < -_SLACK and now - (fewer[counts[gives]] - fewer[other]) <= goal * (1 + _SLACK):
                    found.append((lost, gets, count, gives, other))
        for _, gets, count, gives, other in sorted(found)[:_EXCHANGES]:
            if self._cost({**counts, gets: count, gives: other}) <= goal * (1 + _SLACK):
                counts.update({gets: count, gives: other})
                return True
        return False
