from __future__ import annotations

import itertools

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile.run.prepare import cost_of
from eecompile.search.worth.part_costs import PartCosts, part_costs
from passes.exits.chain import keep_exits
from passes.state import state_of
from targets.contract.registry import load_target
from targets.evaluation.report import CostReport
from targets.evaluation.scheduling import Wishes
from targets.objective import EDP
from tests.eecompile.training.small import network


@pytest.mark.parametrize("target", ["diana", "gap9"])
def test_sums_are_what_networks_cost(target: str) -> None:
    """Every network with one of two heads, or none, on each of two mounts, scheduled by itself."""
    accelerator = load_target(target)

    def cost(graph: gs.Graph) -> CostReport:
        return cost_of(graph, accelerator, EDP, wishes=Wishes("layers"))

    graph = network(rivals=True)
    found = part_costs(graph, cost)
    names = [item.name for item in state_of(graph).exits[:-1]]
    assert found.mounts == (0, 0, 1, 1)
    for kept in itertools.product((None, 0, 1), (None, 2, 3)):
        chosen = [k for k in kept if k is not None]
        report = cost(keep_exits(graph, [names[k] for k in chosen]))
        for name, key in (
            ("macs", "macs"),
            ("latency", "latency_cycles"),
            ("energy", "energy_pj"),
            ("edp", "edp_j_cycles"),
        ):
            expected = [getattr(path.cost, key) for path in report.exits]
            assert found.figures[name].paths(chosen, found.mounts, 0) == pytest.approx(expected, rel=1e-9)
    assert found.static == cost(keep_exits(graph, [])).total


def test_they_come_back_from_a_file() -> None:
    accelerator = load_target("diana")
    found = part_costs(network(), lambda graph: cost_of(graph, accelerator, EDP))
    again = PartCosts.from_json(found.to_json())
    assert (again.mounts, again.static, again.memory) == (found.mounts, found.static, found.memory)
    for name, costs in found.figures.items():
        assert np.array_equal(costs.stages, again.figures[name].stages)
        assert np.array_equal(costs.heads, again.figures[name].heads)
