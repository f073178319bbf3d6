from __future__ import annotations

import onnx_graphsurgeon as gs
import pytest

from eecompile.exits.candidates import Candidate, Evaluation
from eecompile.exits.choice import networks_of
from eecompile.exits.proxies import proxy_choices
from eecompile.exits.thresholds import Limit
from passes.confidence import MAX_SOFTMAX
from targets.objective import EDP
from tests.eecompile.exits.test_choice import RIVALS, answers, cost, rivals

__all__ = ["rivals"]


def test_a_proxy_chooses_by_macs_and_is_then_costed(rivals: gs.Graph) -> None:
    asked = Evaluation(rivals, RIVALS, answers(40, 3, 2, 1, 0), Limit(2.0, True), EDP, cost)
    networks = list(networks_of(asked))
    for choice, power in zip(proxy_choices(asked, networks, 2.0), (1, 2), strict=True):
        figures = choice.figures
        macs = [path.cost.macs**power for path in figures.costs.exits]
        spent = sum(ratio * value for ratio, value in zip(figures.ratios, macs, strict=True))
        static = asked.evaluate(Candidate()).costs.total.macs ** power
        rated = [
            (found.cost + 0.02 * static * len(c.exits), c)
            for c in networks
            if (found := asked.by_macs(c, power)) is not None
            and all(t != MAX_SOFTMAX.never for t in found.thresholds)
        ]
        assert min(value for value, _ in rated) == pytest.approx(
            spent + 0.02 * static * len(choice.candidate.exits)
        )
        assert figures.costs.ratios == figures.ratios, "scheduled and costed for the shares that leave"
