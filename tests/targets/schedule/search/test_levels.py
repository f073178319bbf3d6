"""More freedom is never worse, whatever the network and the chip."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from random import Random

import pytest

from passes.errors import NoSolutionError
from passes.model.graph import load
from passes.registry import parse_pipeline
from targets.contract.target import Target
from targets.described.target import EngineTarget
from targets.description.mapping import MappingRule
from targets.edge_tpu_quad.target import EdgeTpuQuadTarget
from targets.evaluation.scheduling import Planned, Wishes, schedule_workload
from targets.network.layer import Layer, Operand
from targets.network.workload import ExitPath, Workload, build_workload
from targets.objective import EDP, OBJECTIVES, Objective, uniform
from targets.schedule.check.checker import problems
from tests.shared_files import shared
from tests.targets.networks import loops
from tests.targets.small_arch import small_arch

KINDS = ("mac_array", "mac_array", "simd")
RULE = MappingRule("default", {"D1": {"K": 4}, "D2": {"C": 4}})
CHIPS: dict[str, Target] = {
    "edge_tpu_quad": EdgeTpuQuadTarget(lpf_limit=3),
    "two cores": EngineTarget(architecture=small_arch(kinds=KINDS), rules=(RULE,), lpf_limit=3),
    "two cores with little room": EngineTarget(
        architecture=small_arch(1 << 16, KINDS), rules=(RULE,), lpf_limit=3
    ),
}
# Networks that are always looked at, and those only a long run has time for.
SEEDS = [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 10))]
WISHES = {
    (mode, keep): Wishes(mode, keep_weights=keep)
    for mode in ("layers", "split", "fused")
    for keep in (False, True)
}
# Of each pair, the second may do more.
MORE = (
    *(((mode, False), (mode, True)) for mode in ("layers", "split", "fused")),
    (("layers", True), ("fused", True)),
    *(
        ((less, keep), (more, keep))
        for less, more in pairwise(("layers", "split", "fused"))
        for keep in (False, True)
    ),
)


@cache
def workload(seed: int) -> Workload:
    """Return up to nine layers: convolutions of all kinds, some with an addition over them, and a head."""
    random = Random(seed)
    layers: list[Layer] = []
    size, width = random.choice([8, 12]), random.choice([3, 8, 16])
    image = Operand("x", (1, width, size, size), 8)
    while len(layers) < random.randint(4, 8):
        entry, made = image, (len(layers) - 1,) if layers else ()
        kernel, stride = random.choice([1, 3, 3]), random.choice([1, 1, 1, 2]) if image.shape[2] > 4 else 1
        groups = width if random.random() < 0.3 else 1
        out = width if groups > 1 else random.choice([8, 16, 24, 32, 64])
        side = -(-image.shape[2] // stride)
        dims = loops(out, width, side, side, kernel, kernel, stride, groups)
        image = Operand(f"t{len(layers)}", (1, out, side, side), 8)
        weight = Operand("w", (out, width // groups, kernel, kernel), 8)
        layers.append(
            Layer(f"l{len(layers)}", "Conv", (), dims.iterations, dims, (entry,), (image,), weight,
                  Operand("b", (out,), 16), producers=made)
        )  # fmt: skip
        width = out
        if made and entry.shape == image.shape and random.random() < 0.6:
            before, image = image, Operand(f"t{len(layers)}", image.shape, 8)
            layers.append(
                Layer(f"l{len(layers)}", "Add", (), 0, None, (entry, before), (image,),
                      producers=(made[0], len(layers) - 1))
            )  # fmt: skip
    path = ExitPath("final", "", tuple(range(len(layers))), sum(layer.macs for layer in layers), False)
    return Workload(tuple(layers), (path,), (), frozenset({image.name}))


def value(planned: Planned, objective: Objective) -> float:
    schedule = planned.schedule
    energies = [schedule.energy_until(stage) for stage in range(len(schedule.stage_end_cycles))]
    return objective.expected(uniform(len(energies)), schedule.stage_end_cycles, energies)


def values_of(
    network: Workload, target: Target, objective: Objective, keys: Iterable[tuple[str, bool]] = tuple(WISHES)
) -> dict[tuple[str, bool], float]:
    """Return what is reached with each freedom, infinity where nothing fits; no more freedom may be worse."""
    values = dict.fromkeys(keys, math.inf)
    for key in values:
        try:
            planned = schedule_workload(network, target, objective, wishes=WISHES[key])
        except NoSolutionError:
            continue
        assert problems(planned.network, planned.schedule) == []
        values[key] = value(planned, objective)
    assert math.isfinite(values["fused", True])
    assert [pair for pair in MORE if set(pair) <= set(values) and values[pair[1]] > values[pair[0]]] == [], (
        values
    )
    return values


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("seed", SEEDS)
def test_more_freedom_is_never_worse(seed: int, chip: str) -> None:
    objective = OBJECTIVES[seed % len(OBJECTIVES)]
    values_of(workload(seed), CHIPS[chip].for_objective(objective), objective)


def test_the_default_is_never_worse_than_whole_layers_on_mobilenet() -> None:
    target = EdgeTpuQuadTarget().for_objective(EDP)
    graph = load(shared("models", "mobilenetv1_025_vww.onnx"))
    parse_pipeline(target.pipeline(quantized=False))(graph)
    keys = (("layers", True), ("fused", True))
    values = values_of(build_workload(graph, target.precision), target, EDP, keys)
    assert values["fused", True] * 1e-12 <= 0.806725, (
        "whole layers reached it when cuts had 0.911673 J cycles"
    )
