"""What exits and thresholds would have been chosen had MACs stood for cost: what a cost model is worth.

The choice is by MACs, or by their square as a stand-in for energy times latency; what it is worth is then
told by the cost model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eecompile.exits.candidates import Candidate, Evaluation, Figures
from eecompile.exits.thresholds import Choice
from passes.errors import NoSolutionError

# Name -> the power of MACs that stands for the cost of a path.
PROXIES = {"MACs": 1, "MACs²": 2}
# With more networks than that to choose from, those with more than two exits are left out.
MANY_NETWORKS = 40


@dataclass(frozen=True)
class ProxyChoice:
    """What a proxy of cost chooses.

    Attributes:
        proxy: What stood for cost.
        candidate: The exits.
        figures: What they are by the cost model.
    """

    proxy: str
    candidate: Candidate
    figures: Figures


def proxy_choices(
    evaluation: Evaluation, networks: Sequence[Candidate], min_gain: float | None, speculate: bool = False
) -> tuple[ProxyChoice, ...]:
    """Return what each proxy chooses among ``networks``; nothing where none keeps the constraints.

    Args:
        evaluation: Of networks with some of the exits.
        networks: What may be chosen.
        min_gain: What an exit more must save, in points of what static takes of the proxy; ``None``: nothing.
        speculate: The costs of what is chosen are with speculation.
    """
    among = networks if len(networks) <= MANY_NETWORKS else [c for c in networks if len(c.exits) <= 2]
    found = []
    for proxy, power in PROXIES.items():
        static = evaluation.by_macs(Candidate(), power)
        base = 0.0 if static is None else static.cost
        choices: list[tuple[float, Candidate, Choice]] = []
        for candidate in among:
            choice = evaluation.by_macs(candidate, power)
            if choice is None or (min_gain is not None and _leaves_one_out(candidate, choice)):
                continue
            value = choice.cost + (min_gain or 0.0) / 100 * base * len(candidate.exits)
            choices.append((value, candidate, choice))
        for _, candidate, choice in sorted(choices, key=lambda one: one[0]):
            try:
                figures = evaluation.with_thresholds(candidate, choice.thresholds, speculate)
            except NoSolutionError:  # the target cannot run it: the next cheapest
                continue
            found.append(ProxyChoice(proxy, candidate, figures))
            break
    return tuple(found)


def _leaves_one_out(candidate: Candidate, choice: Choice) -> bool:
    pairs = zip(candidate.exits, choice.thresholds, strict=True)
    return any(threshold == item.rule.never for item, threshold in pairs)
