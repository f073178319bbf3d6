"""How long the server needs behind a cut: by a schedule, by a number, or by a clock on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.run.accelerator import open_target
from eecompile.run.prepare import cost_of
from eecompile.split.device_costs import CutPlace, DeviceCosts
from eecompile.split.parts import CutParts
from passes.errors import InputError
from passes.exits.chain import ancestors, keep_exits
from passes.state import state_of
from targets.objective import LATENCY

ServerTime = Callable[[CutPlace], float]
_RUNS = 30


def scheduled(lowered: gs.Graph, float_graph: gs.Graph, target: str) -> ServerTime:
    """Return the seconds of the layers behind a cut in the schedule of the network on ``target``.

    Raises:
        InputError: No such target, or one without a clock.
        NoSolutionError: It cannot run the network.
    """
    accelerator, _ = open_target(target, "", None)
    report = cost_of(keep_exits(float_graph, []), accelerator, LATENCY)
    point = accelerator.operating_point
    hertz = None if point is None else point.clock_hz.value
    if hertz is None:
        raise InputError(
            f"the server's target '{target}' has no clock, so its cycles are no time",
            "give seconds with `server_time` instead",
        )
    origins = state_of(lowered).origins
    total = report.total.latency_cycles / (sum(one.cost.latency_cycles for one in report.layers) or 1)

    def seconds(place: CutPlace) -> float:
        before = ancestors([lowered.tensors()[place.tensor]])
        done = {name for node in before for name in origins.get(node, ())}
        left = [
            one.cost.latency_cycles
            for one in report.layers
            if not one.layer.origin or not {*one.layer.origin} & done
        ]
        return sum(left) * total / hertz

    return seconds


def told(whole_s: float, costs: DeviceCosts) -> ServerTime:
    """Return the part of ``whole_s``, of the whole network, by multiply-accumulates behind a cut."""
    return lambda place: whole_s * costs.share_after(place.layers)


def measured(parts: Callable[[CutPlace], CutParts]) -> ServerTime:
    """Return the median seconds that the part behind a cut takes in onnxruntime here, one image at a time."""

    def seconds(place: CutPlace) -> float:
        sides, image = parts(place), np.zeros(place.shape, place.dtype)
        sides.logits(image)
        taken = []
        for _ in range(_RUNS):
            begun = time.perf_counter()
            sides.logits(image)
            taken.append(time.perf_counter() - begun)
        return median(taken)

    return seconds
