from __future__ import annotations

import itertools

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile.quantization.wishes import SchemeWish
from eecompile.run.prepare import cost_of
from eecompile.search.backbones.family import mounts_of_blocks
from eecompile.search.backbones.final_head import add_final_heads
from eecompile.search.backbones.registry import backbone_family
from eecompile.search.worth.integers import Numbers
from eecompile.search.worth.part_costs import PartCosts, part_costs, peak_bytes
from passes.exits.chain import keep_exits
from passes.exits.exit_chains import add_chained_exits
from passes.exits.insert_exits import InsertExits, add_rival_heads
from passes.exits.recognise import classifier_exits
from passes.heads.designs import parse_head
from passes.state import state_of
from targets.contract.registry import load_target
from targets.evaluation.report import CostReport
from targets.evaluation.scheduling import Wishes
from targets.objective import EDP
from targets.schedule.machine import OUTER
from tests.eecompile.training.small import network

FINALS = (parse_head("linear"), None, parse_head("mlp"))


def closed_with_several() -> gs.Graph:
    """A supernet with two heads on each of two mounts, and three final heads."""
    graph = backbone_family("resnet").graph((1, 1, 8, 8), 3, {"width": 4, "blocks": 1})
    InsertExits(mounts_of_blocks(graph), "linear")(graph)
    add_rival_heads(graph, [parse_head("mlp")])
    add_final_heads(graph, FINALS)
    return graph


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


@pytest.mark.parametrize("target", ["diana", "gap9"])
def test_sums_with_final_heads_are_what_networks_cost(target: str) -> None:
    """Networks with one of two heads, or none, on two mounts, closed with each of three final heads."""
    accelerator = load_target(target)

    def cost(graph: gs.Graph) -> CostReport:
        return cost_of(graph, accelerator, EDP, wishes=Wishes("layers"))

    graph = Numbers(accelerator, EDP).assigned(closed_with_several(), SchemeWish())
    found = part_costs(graph, cost, FINALS)
    names = [item.name for item in state_of(graph).exits]
    finals = [names[4], names[6], names[5]]  # the classifier is what the supernet is closed with
    assert found.mounts == (0, 0, 1, 1) and len(found.statics) == 3
    some = itertools.product((None, 1), (None, 2))
    for kept, final in itertools.product(some, range(len(FINALS))):
        chosen = [k for k in kept if k is not None]
        report = cost(keep_exits(graph, [names[k] for k in chosen], finals[final]))
        for name, key in (("macs", "macs"), ("latency", "latency_cycles"), ("energy", "energy_pj")):
            expected = [getattr(path.cost, key) for path in report.exits]
            assert found.figures[name].paths(chosen, found.mounts, final) == pytest.approx(expected, rel=1e-9)
        if target == "gap9":
            stores = report.schedule.memories.items()
            needed = sum(profile.peak_bits for store, profile in stores if store != OUTER) / 8
            assert found.memory_of(chosen, final) == pytest.approx(needed)
    assert found.worst["macs"] == max(cost.macs for cost in found.statics) > found.static.macs


@pytest.mark.parametrize("target", ["diana", "gap9"])
def test_sums_with_heads_that_read_the_exit_before_are_what_networks_cost(target: str) -> None:
    """Each pair has its own cost: all chains over three mounts, with plain exits between them or not."""
    accelerator = load_target(target)

    def cost(graph: gs.Graph) -> CostReport:
        return cost_of(graph, accelerator, EDP, wishes=Wishes("layers"))

    graph = backbone_family("resnet").graph((1, 1, 8, 8), 3, {"width": 4, "blocks": 2, "stages": 2})
    classifier_exits(graph)
    heads = [parse_head(text) for text in ("linear", "conv{reuse=logits}", "mlp{reuse=features}")]
    add_chained_exits(graph, dict.fromkeys(mounts_of_blocks(graph), heads))
    graph = Numbers(accelerator, EDP).assigned(graph, SchemeWish())
    found, exits = part_costs(graph, cost), state_of(graph).exits[:-1]
    names = [item.name for item in exits]
    reads = [names.index(item.reads) if item.reads else None for item in exits]
    assert found.mounts == (0, 1, 1, 1, *[2] * 9)
    chains = [(1, 10), (0, 2, 7), (0, 3, 8), (0, 2), (0, 1, 9), (0, 3, 4), (0, 6), (0, 3, 12)]
    for kept in [some for some in chains if all(reads[k] in (None, *some) for k in some)]:
        report = cost(keep_exits(graph, [names[k] for k in kept]))
        for name, key in (("macs", "macs"), ("latency", "latency_cycles"), ("energy", "energy_pj")):
            expected = [getattr(path.cost, key) for path in report.exits]
            assert found.figures[name].paths(kept, found.mounts, 0) == pytest.approx(expected, rel=1e-9)
        if target == "gap9":
            assert found.memory_of(kept) == pytest.approx(peak_bytes(report))


def test_they_come_back_from_a_file() -> None:
    accelerator = load_target("diana")
    found = part_costs(network(), lambda graph: cost_of(graph, accelerator, EDP))
    again = PartCosts.from_json(found.to_json())
    assert (again.mounts, again.statics) == (found.mounts, found.statics)
    assert (again.memory, again.final_memory) == (found.memory, found.final_memory)
    for name, costs in found.figures.items():
        assert np.array_equal(costs.stages, again.figures[name].stages)
        assert np.array_equal(costs.heads, again.figures[name].heads)
