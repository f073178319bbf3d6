"""The numbers of GAP9's cost model that cycles are fitted with: which, to what, and how.

A number that only one kind of layer of the log knows is set so that the median of its layers is met. The
others are fitted together, by least squares of relative errors in which a layer that nothing explains counts
little.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from targets.gap9.chain import ChainLayer, Places, places, run_layer
from targets.gap9.parameter_sets import values
from targets.gap9.target import Gap9Target
from targets.network.layer import Layer
from tools.gap9.layer_log import IMAGE, LogLayer
from tools.gap9.measured import HIGH, measured_cycles

POINTWISE, DEPTHWISE = "ne16.cycles_more_per_pointwise_pass", "ne16.cycles_more_per_depthwise_pass"
DENSE = "cluster.cycles_over_match"
OWN_KINDS = {
    "cluster.cycles_per_added_element": "Add",
    "cluster.cycles_per_requantized_element": "QuantizeLinear",
    "cluster.cycles_per_renamed_element": "Cast",
    "cluster.cycles_per_moved_element": "Transpose",
    "cluster.cycles_per_pooled_element": "GlobalAveragePool",
    "cluster.cycles_per_exponential": "Softmax",
}
"""Numbers that one operator of the log alone knows."""
ON_CLUSTER = (
    "cluster.cycles_per_depthwise_channel",
    "cluster.cycles_per_depthwise_product",
    "cluster.cycles_per_depthwise_input",
)
EXTERNAL = ("l3.bandwidth_bytes_per_cycle", "cluster.cycles_per_external_run")
SHARED = (POINTWISE, DEPTHWISE, DENSE)
"""Numbers that whole networks know too."""


TOLERANCE = 0.03
"""Relative errors far beyond count less and less."""
ROUNDS, STEP = 12, 0.02
LEAST = 1e-3


@dataclass(frozen=True)
class Case:
    """Layers with the cycles they were measured to take together."""

    layers: tuple[Layer, ...]
    where: Places
    cycles: float


def network_cases(networks: Mapping[str, Sequence[Layer]]) -> list[Case]:
    """Return a case per network; the two operating points are the same number of cycles."""
    target = Gap9Target()
    return [
        Case(tuple(layers), places(target, layers), measured_cycles(name, HIGH))
        for name, layers in networks.items()
    ]


def log_cases(log: Sequence[LogLayer]) -> list[Case]:
    """Return a case per measured layer of a log."""
    where = places(Gap9Target(), [one.layer for one in log], {IMAGE})
    return [Case((one.layer,), where, float(one.row.measured)) for one in log if one.row.measured]


def chain_of(target: Gap9Target, case: Case) -> tuple[ChainLayer, ...]:
    """Return what the layers of a case cost."""
    return tuple(run_layer(target, layer, case.where) for layer in case.layers)


def cycles(target: Gap9Target, case: Case) -> int:
    """Return predicted cycles of a case."""
    return sum(one.cost.latency_cycles for one in chain_of(target, case))


def fit_cycles(
    networks: Sequence[Case], log: Sequence[Case], networks_alone: bool = False
) -> dict[str, float]:
    """Return all numbers that cycles are fitted with.

    Args:
        networks: Whole networks.
        log: Layers of the log.
        networks_alone: What networks know too is fitted to them alone.
    """
    found: dict[str, float] = {}
    for key, op_type in OWN_KINDS.items():
        own = [case for case in log if case.layers[0].op_type == op_type]
        found[key] = _median_met(key, own, found)
    depthwise = [c for c in log if _is(c, depthwise=True) and _kernel(c) != (3, 3)]
    found |= least_squares(ON_CLUSTER, depthwise, found)
    outside = [c for c in log if _outside(c)]
    inside = [c for c in log if c.layers[0].op_type == "Conv" and not _outside(c) and c not in depthwise]
    for _ in range(2):
        found |= least_squares(EXTERNAL, outside, found)
        first = [c for c in outside if c.layers[0].inputs[0].name == IMAGE]
        layers = [] if networks_alone else [*inside, *first]
        found |= least_squares(SHARED, [*networks, *layers], found)
    return found


def _is(case: Case, depthwise: bool) -> bool:
    dims = case.layers[0].dims
    return dims is not None and case.layers[0].op_type == "Conv" and dims.depthwise == depthwise


def _kernel(case: Case) -> tuple[int, int]:
    dims = case.layers[0].dims
    return (dims.fy, dims.fx) if dims is not None else (0, 0)


def _outside(case: Case) -> bool:
    layer = case.layers[0]
    streams = layer.op_type == "Gemm" and case.where.weights_outside
    return streams or any(t.name in case.where.tensors.names for t in (*layer.inputs, *layer.outputs))


def _target(values: Mapping[str, float]) -> Gap9Target:
    return Gap9Target().with_values(values, "fitted here")


def _median_met(key: str, cases: Sequence[Case], others: Mapping[str, float]) -> float:
    """Return the value of ``key`` at which half of the cases are predicted too high and half too low."""

    def ratio(value: float) -> float:
        target = _target({**others, key: value})
        return statistics.median(cycles(target, case) / case.cycles for case in cases)

    return _rises_to_one(ratio, LEAST, 100.0)


def _rises_to_one(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function that rises is 1, between ``low`` and ``high``."""
    for _ in range(40):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if function(middle) < 1 else (low, middle)
    return math.sqrt(low * high)


def least_squares(
    keys: Sequence[str], cases: Sequence[Case], others: Mapping[str, float]
) -> dict[str, float]:
    """Return values of ``keys`` of least squared relative errors, by Gauss and Newton on logarithms.

    An error e counts as 1 / sqrt(1 + (e / TOLERANCE)^2) of what it would in plain least squares.
    """
    start = {key: figure for key, figure in values(Gap9Target().arch).items() if key in keys} | {
        key: value for key, value in others.items() if key in keys
    }
    rest = {key: value for key, value in others.items() if key not in keys}
    now = np.array([start[key] for key in keys])

    def errors(numbers: np.ndarray) -> np.ndarray:
        target = _target({**rest, **dict(zip(keys, map(float, numbers), strict=True))})
        return np.array([math.log(cycles(target, case) / case.cycles) for case in cases])

    def misfit(found: np.ndarray) -> float:
        return float(np.sum(np.sqrt(1 + (found / TOLERANCE) ** 2) - 1))

    found = errors(now)
    for _ in range(ROUNDS):
        slopes = np.array(
            [
                (errors(now * (1 + STEP * (np.arange(len(keys)) == i))) - found) / STEP
                for i in range(len(keys))
            ]
        ).T
        counts = (1 + (found / TOLERANCE) ** 2) ** -0.25
        step, *_ = np.linalg.lstsq(slopes * counts[:, None], -found * counts, rcond=1e-9)
        scale = 1.0
        while scale > 1e-3:
            there = np.maximum(now * np.exp(np.clip(scale * step, -1, 1)), LEAST)
            nearer = errors(there)
            if misfit(nearer) < misfit(found):
                break
            scale /= 2
        else:
            break
        gain = misfit(found) - misfit(nearer)
        now, found = there, nearer
        if gain < 1e-9:
            break
    return dict(zip(keys, map(float, now), strict=True))
