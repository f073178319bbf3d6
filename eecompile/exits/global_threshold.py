"""One threshold for all exits: the best of all subsets of exits and of all thresholds, exactly.

With a falling threshold an image only ever moves to an earlier exit, so the cost of a subset falls with it,
and lost and gained images change only where some image moves. Subsets are discarded in two steps:

1. The thresholds are cut into blocks. In a block an image either stays at its exit or moves, which both ends
   of the block tell. So its cost is at least that at its lower end, its lost images are at least those that
   stay and are lost, and its gained ones at most those that stay and are gained, and those that move and that
   the final exit gets wrong. All subsets that agree on their first mounts are bounded at once: which images
   are left at an exit is a row of bits, and what leaves there is counted by population counts.
2. What may still be cheaper than the best known is swept, the least bound first: an image is at an exit from
its
   own confidence there up to the largest of those before, so sums over images at every threshold are
   differences of prefix sums, for all thresholds at once.

Costs are sums of parts (stages and heads), or products of such sums (energy times latency).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.additive_costs import AdditiveCosts
from eecompile.exits.allowed import Allows, cheapest_allowed, most_lost, neighbour_mean
from passes.confidence import ConfidenceRule
from passes.errors import InputError

Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Words = NDArray[np.uint64]

BLOCKS = 48
# Subsets that are bounded at once: their bits stay in the cache of a core.
_WIDTH = 800
_EPSILON = 1e-9


@dataclass(frozen=True)
class GlobalProblem:
    """What is chosen from: exits on mounts, final heads, and one threshold.

    Attributes:
        confidence: [exits, n] of early exits, shallow to deep; not a number: never leaves.
        correct: [exits, n] whether each is right.
        mounts: Of each exit the number of its mount, not falling; a subset has one exit per mount at most.
        finals: [finals, n] whether each final head is right.
        static: [n] whether the network without exits is right, against which drops are.
        costs: What paths cost.
        allows: From (lost, gained), arrays of counts, to which of them are within the limit. More lost images
            are never allowed where fewer are not.
        most_drop: Largest mean of lost - gained over neighbouring thresholds, in images.
        reach: How many thresholds to either side are neighbours.
        reads: Of each exit the one whose head its own reads, if it reads one: it comes only with that.
        exact: From kept exits and final head to the cost of each path, where it is not the sum of parts;
            those must bound it from below.
    """

    confidence: NDArray[np.float32]
    correct: Bools
    mounts: tuple[int, ...]
    finals: Bools
    static: Bools
    costs: AdditiveCosts
    allows: Allows
    most_drop: float
    reach: int
    reads: tuple[int | None, ...] | None = None
    exact: Callable[[tuple[int, ...], int], Sequence[float]] | None = None

    def __post_init__(self) -> None:
        if list(self.mounts) != sorted(self.mounts):
            raise ValueError("exits must be given from shallow to deep")

    @property
    def options(self) -> tuple[tuple[int | None, ...], ...]:
        """Return for each mount what may be there: nothing, or one of its exits."""
        return tuple(
            (None, *(k for k, at in enumerate(self.mounts) if at == mount))
            for mount in range(len(self.costs.stages) - 1)
        )

    @property
    def subsets(self) -> int:
        """How many networks there are."""
        return math.prod(len(o) for o in self.options) * len(self.finals)


@dataclass(frozen=True)
class GlobalSolution:
    """The best network and threshold.

    Attributes:
        kept: Its early exits.
        final: Its final head.
        threshold: An image leaves at the first exit whose confidence is at least this; ``None``: at none.
        cost: Mean over the images.
        swept: Of how many subsets all thresholds were looked at; the others cannot be better.
    """

    kept: tuple[int, ...]
    final: int
    threshold: np.float32 | None
    cost: float
    swept: int


def check_independent(rules: Sequence[ConfidenceRule]) -> None:
    """Refuse rules by which the confidence of an exit depends on which others are kept.

    Raises:
        InputError: One of the confidence rules is such.
    """
    for rule in rules:
        if rule.reads_before:
            raise InputError(
                f"the confidence '{rule.name}' of an exit depends on the exits before it that are kept",
                "one threshold over all subsets needs a rule that looks at one exit alone: max_softmax",
            )


def solve_global(problem: GlobalProblem, blocks: int = BLOCKS) -> GlobalSolution:
    """Return the cheapest network and threshold within the limit.

    Raises:
        InputError: No network is within the limit, not even one that no image leaves early.
    """
    return _GlobalSearch(problem).run(blocks)


class _GlobalSearch:
    def __init__(self, problem: GlobalProblem) -> None:
        self._problem = problem
        values = np.where(np.isnan(problem.confidence), -np.inf, problem.confidence)
        falling, rank = np.unique(-values, return_inverse=True)
        self._rank = rank.reshape(values.shape)
        self._values = -falling
        # What is not a number comes last, and no threshold lets it leave.
        self._count = int(np.count_nonzero(np.isfinite(self._values)))
        self._images = len(problem.static)
        static = problem.static.astype(np.int64)
        self._change = problem.correct.astype(np.int64) - static
        self._final_change = problem.finals.astype(np.int64) - static
        self._best: tuple[float, int, tuple[int, ...], int, int] | None = None
        self._swept: set[tuple[tuple[int, ...], int]] = set()

    def run(self, blocks: int) -> GlobalSolution:
        for final in range(len(self._problem.finals)):
            self._greedy(final)
        bounds = _Bounds(self._problem, self._rank, self._count, blocks)
        for bound, kept, final in bounds.below(self._total):
            if bound >= self._total():
                break
            self._sweep(kept, final)
        if self._best is None:
            raise InputError(
                "no network and no threshold is within the limit, not even one that no image leaves early",
                "allow more drop",
            )
        cost, _, kept, final, rank = self._best
        threshold = None if rank < 0 else _between(self._values, rank, self._rank[list(kept)])
        return GlobalSolution(kept, final, threshold, cost / self._images, len(self._swept))

    def _total(self) -> float:
        return math.inf if self._best is None else self._best[0] * (1 - 1e-12)

    def _greedy(self, final: int) -> None:
        """Sweep networks that grow by the exit that makes them cheapest, to know some good ones."""
        kept: tuple[int, ...] = ()
        found = self._sweep(kept, final)
        while True:
            taken = {self._problem.mounts[k] for k in kept}
            more = [
                tuple(sorted((*kept, k)))
                for k in range(len(self._problem.mounts))
                if self._problem.mounts[k] not in taken
            ]
            totals = [self._sweep(subset, final) for subset in more]
            if not totals or min(totals) >= found:
                return
            found, kept = min(totals), more[int(np.argmin(totals))]

    def _sweep(self, kept: tuple[int, ...], final: int) -> float:
        """Return the cost of the best threshold of a network over all images; infinite if there is none."""
        reads = self._problem.reads
        if reads is not None and any(reads[k] is not None and reads[k] not in kept for k in kept):
            return math.inf
        self._swept.add((kept, final))
        steps, cost, lost, gained = self._curves(kept, final)
        drop = (lost - gained).astype(np.float64)
        around = neighbour_mean(drop, self._problem.reach, 0)
        around[0] = drop[0]
        among = around <= self._problem.most_drop + _EPSILON
        found = cheapest_allowed(cost, among, lost, gained, self._problem.allows)
        if found is None:
            return math.inf
        total = float(cost[found])
        key = (total, len(kept), kept, final, int(steps[found]))
        if self._best is None or key < self._best:
            self._best = key
        return total

    def _curves(self, kept: tuple[int, ...], final: int) -> tuple[Ints, Float64, Ints, Ints]:
        """Return for every threshold of a network the rank it lies behind, cost, lost and gained images.

        The first is that which no confidence reaches, behind rank -1.
        """
        problem, rank = self._problem, self._rank[list(kept)]
        paths = problem.costs.paths(kept, problem.mounts, final)
        if problem.exact is not None:
            exact = np.asarray(problem.exact(kept, final), np.float64)
            if (exact < paths * (1 - 1e-9)).any():
                raise ValueError(f"network {kept} costs less than the sum of its parts")
            paths = exact
        changes = np.concatenate([self._change[list(kept)], self._final_change[final][None]])
        # Where an image goes if nothing leaves early; each exit it moves to takes it from the one behind.
        base = np.array([paths[-1] * self._images, np.sum(changes[-1] < 0), np.sum(changes[-1] > 0)])
        sums = np.zeros((3, self._count))
        earlier = np.full(self._images, self._count)
        amounts = np.stack([np.broadcast_to(paths[:, None], changes.shape), changes < 0, changes > 0])
        for number in range(len(kept)):
            here = rank[number]
            stays = here < earlier
            ends = stays & (earlier < self._count)
            for what, amount in enumerate(amounts[:, number] - amounts[:, -1]):
                starting = np.bincount(here[stays], amount[stays], self._count)
                sums[what] += starting - np.bincount(earlier[ends], amount[ends], self._count)
            earlier = np.minimum(earlier, here)
        used = np.bincount(rank.ravel(), minlength=self._count + 1)[: self._count] > 0
        steps = np.concatenate([[-1], np.flatnonzero(used)])
        curves = base[:, None] + np.concatenate([np.zeros((3, 1)), sums.cumsum(axis=1)[:, steps[1:]]], axis=1)
        return steps, curves[0], np.rint(curves[1]).astype(np.int64), np.rint(curves[2]).astype(np.int64)


def _between(values: NDArray[np.float32], rank: int, ranks: Ints) -> np.float32:
    """Return the middle between the value of a rank and the next lower one that is used."""
    lower = ranks[(ranks > rank) & (ranks < np.count_nonzero(np.isfinite(values)))]
    high = values[rank]
    if not lower.size:
        return np.float32(high)
    low = values[int(lower.min())]
    middle = np.float32((float(high) + float(low)) / 2)
    return np.float32(high) if middle <= low else middle


class _Bounds:
    """Bounds of the cost of every subset, from the ends of blocks of thresholds."""

    def __init__(self, problem: GlobalProblem, rank: Ints, count: int, blocks: int) -> None:
        self._problem = problem
        self._rank = rank
        self._edges = np.unique(np.linspace(-1, count - 1, blocks + 1).astype(int))
        self._lost = _packed(problem.static & ~problem.correct)
        self._gained = _packed(~problem.static & problem.correct)
        self._final_lost = _packed(problem.static & ~problem.finals)
        self._final_gained = _packed(~problem.static & problem.finals)
        self._wrong = _packed(~problem.static[None])[0]
        self._wrongs = int(np.count_nonzero(~problem.static))
        most = most_lost(problem.allows, self._wrongs, int(problem.static.sum()))
        # With the gained images that are possible at most, any fewer are possible too.
        self._most = np.maximum.accumulate(most)
        self._reached = np.cumsum(problem.costs.stages, axis=0)

    def below(self, best: Callable[[], float]) -> Iterator[tuple[float, tuple[int, ...], int]]:
        """Yield the networks whose bound is below the best total known, the least bound first."""
        options = self._problem.options
        width, split = 1, len(options)
        while split and width * len(options[split - 1]) <= _WIDTH:
            split -= 1
            width *= len(options[split])
        found: list[tuple[float, tuple[int, ...], int]] = []
        edges = list(zip(self._edges[:-1], self._edges[1:], strict=True))[::-1]
        states = [self._bits(low, high) for low, high in edges]
        rest = options[split:]
        names = [tuple(k for k in chosen if k is not None) for chosen in itertools.product(*rest)]
        for first in itertools.product(*options[:split]):
            prefix = tuple(k for k in first if k is not None)
            bounds = self._of_prefix(first, rest, states, best())
            for final, row in enumerate(bounds):
                for number in np.flatnonzero(row < best()).tolist():
                    found.append((float(row[number]), (*prefix, *names[number]), final))
        yield from sorted(found)

    def _bits(self, before: int, behind: int) -> tuple[Words, Words]:
        return _packed(self._rank <= before), _packed(self._rank <= behind)

    def _of_prefix(
        self,
        first: Sequence[int | None],
        rest: Sequence[Sequence[int | None]],
        states: Sequence[tuple[Words, Words]],
        best: float,
    ) -> Float64:
        """Return a bound for each final head and each subset that begins so, [finals, subsets]."""
        finals, width = len(self._problem.finals), math.prod(len(o) for o in rest)
        bounds = np.full((finals, width), np.inf)
        open_ = np.ones((finals, width), bool)
        choices = [(k,) for k in first] + [tuple(o) for o in rest]
        for before, behind in states:  # from the lowest thresholds, which cost least
            counted = self._count(choices, before, behind)
            for final in range(finals):
                cost, possible = self._ends(counted, final)
                cheap = cost < best
                hit = open_[final] & cheap & possible
                bounds[final, hit] = cost[hit]
                open_[final] &= cheap & ~possible
            if not open_.any():
                break
        else:
            # Nobody leaves early.
            rest_of = self._count(choices, np.zeros_like(states[0][0]), np.zeros_like(states[0][0]))
            for final in range(finals):
                cost, possible = self._ends(rest_of, final)
                hit = open_[final] & possible & (cost < best)
                bounds[final, hit] = cost[hit]
        return bounds

    def _count(self, choices: Sequence[Sequence[int | None]], before: Words, behind: Words) -> _Counted:
        """Walk down the mounts with all choices at once, and count what leaves on the way."""
        parts = self._reached.shape[1]
        everyone = _packed(np.ones((1, len(self._problem.static)), bool))
        state = _Counted(everyone, everyone, np.zeros((1, parts)), *(np.zeros(1) for _ in range(4)))
        for mount, options in enumerate(choices):
            grown = [self._after(state, mount, k, before, behind) for k in options]
            state = grown[0] if len(grown) == 1 else _interleaved(grown)
        return state

    def _after(
        self, state: _Counted, mount: int, exit_: int | None, before: Words, behind: Words
    ) -> _Counted:
        if exit_ is None:
            return state
        leaves, leaves_behind = state.left & before[exit_], state.left_behind & behind[exit_]
        heads = state.heads + self._problem.costs.heads[exit_]
        path = (self._reached[mount] + heads).prod(axis=1)
        stays = leaves & leaves_behind
        return _Counted(
            state.left & ~before[exit_],
            state.left_behind & ~behind[exit_],
            heads,
            state.cost + path * _ones(leaves_behind),
            state.lost + _ones(stays & self._lost[exit_]),
            state.gained + _ones(stays & self._gained[exit_]),
            state.fixed + _ones(stays & self._wrong),
        )

    def _ends(self, counted: _Counted, final: int) -> tuple[Float64, Bools]:
        """Return for each subset the least cost in the block, and whether the limit can hold there."""
        left = counted.left_behind  # at both ends: whoever is left behind the block was left before it
        costs = self._problem.costs
        path = (self._reached[-1] + counted.heads + costs.finals[final]).prod(axis=1)
        cost = counted.cost + path * _ones(left)
        lost = counted.lost + _ones(left & self._final_lost[final])
        moving = self._wrongs - counted.fixed - _ones(left & self._wrong)
        gained = counted.gained + _ones(left & self._final_gained[final]) + moving
        possible: Bools = lost <= self._most[gained.astype(np.int64)]
        return cost, possible


@dataclass(frozen=True)
class _Counted:
    """What has happened before a mount, for many subsets at once.

    Attributes:
        left: [subsets, words] images that are still there at the upper end of the block.
        left_behind: The same at its lower end.
        heads: [subsets, parts] cost of the heads so far.
        cost: [subsets] cost of all images that have left at the lower end.
        lost: [subsets] images that have left at the same exit at both ends, and are lost there.
        gained: The same that are gained.
        fixed: The same that static gets wrong.
    """

    left: Words
    left_behind: Words
    heads: Float64
    cost: Float64
    lost: Float64
    gained: Float64
    fixed: Float64


def _interleaved(grown: Sequence[_Counted]) -> _Counted:
    """Return the states of all choices at a mount, for each state before it side by side."""

    def joined(name: str) -> NDArray[Any]:
        arrays = [getattr(state, name) for state in grown]
        stacked = np.stack(arrays, axis=1)
        return stacked.reshape(-1, *stacked.shape[2:])

    return _Counted(*(joined(name) for name in _Counted.__dataclass_fields__))


def _packed(rows: Bools) -> Words:
    """Return rows of bits as rows of words, [rows, words]."""
    pad = -rows.shape[1] % 64
    padded = np.pad(rows, ((0, 0), (0, pad)))
    words: Words = np.packbits(padded, axis=1).view(np.uint64)
    return words


def _ones(words: Words) -> Float64:
    """Return how many bits are set in each row."""
    # NumPy 1 cannot count bits.
    counts = np.bitwise_count(words) if hasattr(np, "bitwise_count") else _BYTES[words.view(np.uint8)]
    total: Float64 = counts.sum(axis=-1, dtype=np.int64).astype(np.float64)
    return total


_BYTES = np.array([number.bit_count() for number in range(256)], np.uint8)
