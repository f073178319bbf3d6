"""What networks with some of the exits that were tried cost: each is scheduled once, most are not at all.

The schedule of a network with several exits is close to the sum of its parts: the path to a mount, and what
each head on the way adds. Parts are read off schedules of networks with one exit, so that ``n`` exits take
``n + 1`` schedules, and all subsets are then known but for what their layers win or lose from each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_graphsurgeon as gs

from eecompile.exits.recycling import network_with
from passes.errors import NoSolutionError
from passes.state import state_of
from targets.evaluation.paths import Cost
from targets.evaluation.report import CostReport

# From a network, the shares of inputs that leave at each of its exits (``None``: equal ones), and whether the
# next stage may start while a head decides.
NetworkCost = Callable[[gs.Graph, Sequence[float] | None, bool], CostReport]

Kept = tuple[int, ...]
Shares = tuple[float, ...]


class SubsetCosts:
    """Costs of subsets of the exits that were tried, by their positions among them.

    Args:
        graph: The lowered network with all exits that were tried.
        reads: For each of them, the position of the earlier one whose head its own reads, if it reads one:
            it is in no network without that one.
        cost: Costs a network on the target.
        weights: What each exit of a network with some of them takes over from the one before it.
    """

    def __init__(
        self,
        graph: gs.Graph,
        reads: Sequence[int | None],
        cost: NetworkCost,
        weights: Callable[[Kept], Sequence[float]] = lambda _: (),
    ) -> None:
        self._graph = graph
        self._names = [e.name for e in state_of(graph).exits[:-1]]
        self._reads = tuple(reads)
        self._cost = cost
        self._weights = weights
        self._known: dict[tuple[Kept, Shares | None, bool], CostReport] = {}
        self._refused: dict[Kept, NoSolutionError] = {}

    def of(self, kept: Kept, ratios: Shares | None = None, speculate: bool = False) -> CostReport:
        """Return the costs of a network, scheduled for ``ratios``, or equal shares; found out once.

        Raises:
            NoSolutionError: The target cannot run it.
        """
        key = (kept, ratios, speculate)
        if (refusal := self.refusal(kept)) is not None:
            raise refusal
        if key not in self._known:
            names = [self._names[k] for k in kept]
            network = network_with(self._graph, names, self._weights(kept))
            try:
                self._known[key] = self._cost(network, ratios, speculate)
            except NoSolutionError as error:
                self._refused[kept] = error
                raise
        return self._known[key]

    def refusal(self, kept: Kept) -> NoSolutionError | None:
        """Return why the target cannot run a network, if that was found out: of it, or of one exit of it."""
        parts = (kept, *(self.with_read(k) for k in kept))
        return next((self._refused[part] for part in parts if part in self._refused), None)

    def is_scheduled(self, kept: Kept) -> bool:
        """Return whether the network has been scheduled for equal shares."""
        return (kept, None, False) in self._known

    def with_read(self, position: int) -> Kept:
        """Return an exit and all that its head reads, shallow to deep."""
        read = self._reads[position]
        return (*(() if read is None else self.with_read(read)), position)

    def is_closed(self, kept: Kept) -> bool:
        """Return whether each exit is there together with the one it reads."""
        return all(self._reads[k] is None or self._reads[k] in kept for k in kept)

    def estimated(self, kept: Kept) -> tuple[Cost, ...]:
        """Return the cost of each exit path as the sum of its parts, the final one last.

        Raises:
            NoSolutionError: The target cannot run one of them.
        """
        paths: list[Cost] = []
        heads = _ZERO
        for position in kept:
            alone = self.of(self.with_read(position)).exits
            own = [self._head(k) for k in self.with_read(position)[:-1]]
            # The heads that it reads are in its path already.
            before = _sum([alone[-2].cost, *(_scaled(head, -1) for head in own)])
            paths.append(_sum([before, heads]))
            heads = _sum([heads, self._head(position)])
        paths.append(_sum([self.of(()).total, heads]))
        return tuple(paths)

    def _head(self, position: int) -> Cost:
        """Return what the head of an exit adds to paths behind it; schedules are not perfect: at least 0."""
        chain = self.with_read(position)
        added = _sum([self.of(chain).total, _scaled(self.of(chain[:-1]).total, -1)])
        return Cost.at_clock(
            max(0, round(added.macs)), max(0, round(added.latency_cycles)), max(0.0, added.energy_pj), None
        )


_ZERO = Cost.at_clock(0, 0, 0.0, None)


def _scaled(cost: Cost, factor: int) -> Cost:
    return Cost.at_clock(
        factor * round(cost.macs), factor * round(cost.latency_cycles), factor * cost.energy_pj, None
    )


def _sum(costs: Sequence[Cost]) -> Cost:
    """Return the cost of all of it, one after the other."""
    return Cost.at_clock(
        round(sum(cost.macs for cost in costs)),
        round(sum(cost.latency_cycles for cost in costs)),
        sum(cost.energy_pj for cost in costs),
        None,
    )
