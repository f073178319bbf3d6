"""What a partial schedule is likely to end at."""

from __future__ import annotations

from collections.abc import Sequence

from targets.objective import Objective
from targets.schedule.search.candidates import Candidates
from targets.schedule.state import State


class Estimate:
    """Ranks partial schedules, and judges complete ones."""

    def __init__(self, candidates: Candidates, objective: Objective, ratios: Sequence[float]) -> None:
        self.network = candidates.network
        self.objective = objective
        self.ratios = ratios
        least = {index: self._cheapest(candidates, index) for index in self.network.order}
        self._tail = self._tails({index: cycles for index, (cycles, _) in least.items()})
        self._rest_pj, self._rest_cycles = self._rests({index: pj for index, (_, pj) in least.items()})

    @staticmethod
    def _cheapest(candidates: Candidates, index: int) -> tuple[int, float]:
        found = [candidates.cost(index, choice, 0) for choice in candidates.whole(index)]
        return (
            min((cost.latency_cycles for cost in found), default=0),
            min((cost.energy_pj for cost in found), default=0.0),
        )

    def _tails(self, least: dict[int, int]) -> dict[int, int]:
        """Return the cycles from the start of each layer to the end of its stage, uncut and without moves."""
        network = self.network
        tail: dict[int, int] = {}
        for index in reversed(network.order):
            after = [
                tail[reader]
                for output in network.layer(index).outputs
                for reader in network.consumers.get(output.name, ())
                if network.stage_of[reader] == network.stage_of[index]
            ]
            tail[index] = least[index] + max(after, default=0)
        return tail

    def _rests(self, least: dict[int, float]) -> tuple[list[float], list[int]]:
        """Return the least energy behind each position of the order, and the cycles of later stages."""
        order, stage_of = self.network.order, self.network.stage_of
        energy = [0.0] * (len(order) + 1)
        for position in range(len(order) - 1, -1, -1):
            energy[position] = energy[position + 1] + least[order[position]]
        longest: dict[int, int] = {}
        for index in order:
            longest[stage_of[index]] = max(longest.get(stage_of[index], 0), self._tail[index])
        return energy, [sum(c for stage, c in longest.items() if stage > stage_of[index]) for index in order]

    def partial(self, state: State, position: int) -> float:
        """Return what a schedule of the first ``position`` layers is likely to end at."""
        cycles = state.end
        if position < len(self.network.order):
            cycles = self._stage_end(state, position) + self._rest_cycles[position]
        energy = state.energy_pj + self._rest_pj[position]
        # Exits that have been passed count as they are, the others as if all left at the last.
        passed = len(state.stage_ends)
        ratios = (*self.ratios[:passed], sum(self.ratios[passed:]))
        return self.objective.expected(ratios, (*state.stage_ends, cycles), (*state.stage_energies, energy))

    def _stage_end(self, state: State, position: int) -> int:
        """Return when the stage of the next layer is likely to end."""
        network = self.network
        index = network.order[position]
        stage = network.stage_of[index]
        begin = state.floor if len(state.stage_ends) >= stage else state.end
        cycles = max(state.end, begin + self._tail[index])
        for name, _, ready in state.copies.ready():
            for reader in network.consumers.get(name, ()):
                if network.position[reader] >= position and network.stage_of[reader] == stage:
                    cycles = max(cycles, max(begin, ready) + self._tail[reader])
        return cycles

    def value(self, state: State) -> float:
        """Return the expected cost of a complete schedule."""
        return self.objective.expected(self.ratios, state.stage_ends, state.stage_energies)
