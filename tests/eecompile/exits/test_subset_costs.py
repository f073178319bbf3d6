from __future__ import annotations

from collections.abc import Sequence

import onnx_graphsurgeon as gs
import pytest

from eecompile.exits.subset_costs import SubsetCosts
from targets.evaluation.report import CostReport
from tests.eecompile.exits.test_choice import cost, network

__all__ = ["network"]


def test_a_network_is_costed_once_for_the_same_shares(network: gs.Graph) -> None:
    calls: list[tuple[int, Sequence[float] | None, bool]] = []

    def counted(graph: gs.Graph, ratios: Sequence[float] | None, speculate: bool) -> CostReport:
        calls.append((len(graph.outputs), ratios, speculate))
        return cost(graph, ratios, speculate)

    costs = SubsetCosts(network, (None, None), counted)
    assert not costs.is_scheduled((0,))
    assert costs.of((0,)) is costs.of((0,)) is not costs.of((1,))
    assert costs.is_scheduled((0,)) and not costs.is_scheduled((0, 1))
    assert costs.of((0,), (0.25, 0.75)).ratios == (0.25, 0.75)
    costs.of((0,), (0.25, 0.75))
    costs.estimated((0, 1))  # of the parts, of which only the network without exits is new
    assert calls == [(2, None, False), (2, None, False), (2, (0.25, 0.75), False), (1, None, False)]


@pytest.mark.parametrize("reads", [(None, None), (None, 0)])
def test_parts_add_up_to_the_whole_where_one_core_runs_layer_after_layer(
    network: gs.Graph, reads: tuple[int | None, int | None]
) -> None:
    """An exit that reads another is a part only together with it, and its own head is then what is left."""
    costs = SubsetCosts(network, reads, cost)
    parts, whole = costs.estimated((0, 1)), [path.cost for path in costs.of((0, 1)).exits]
    for part, path in zip(parts, whole, strict=True):
        assert part.macs == path.macs
        assert part.latency_cycles == pytest.approx(path.latency_cycles, rel=1e-3)
        assert part.energy_pj == pytest.approx(path.energy_pj, rel=1e-3)
        assert part.edp_j_cycles == pytest.approx(part.energy_pj * part.latency_cycles * 1e-12)


def test_an_exit_comes_only_with_those_it_reads(network: gs.Graph) -> None:
    chain = SubsetCosts(network, (None, 0, None, 1), cost)
    assert chain.with_read(3) == (0, 1, 3) and chain.with_read(2) == (2,)
    assert [chain.is_closed(kept) for kept in [(), (1,), (0, 1), (1, 3), (0, 1, 3), (2,)]] == [
        True, False, True, False, True, True,
    ]  # fmt: skip
