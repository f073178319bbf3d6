"""The first segment of ResNet18 as DIANA runs it fused row by row: its layers, and their fastest schedule.

The 7x7 convolution on the digital core, max-pooling, and the two residual blocks of stage 1 with their 3x3
convolutions on the analog core, on an image of 224 x 224. Variants: as it is; with a 1x1 convolution on the
skip of the first block, on the analog or on the digital core.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import onnx

from passes.model.graph import from_model
from passes.registry import parse_pipeline
from targets.diana.analog_array import CELL_BITS
from targets.diana.fused import ANALOG_WEIGHTS, CORES, DIGITAL_WEIGHTS, L1, FusedRun, fused_network
from targets.diana.target import DianaTarget
from targets.network.layer import Bits, Layer
from targets.network.workload import Workload, build_workload
from targets.schedule.check.checker import problems
from targets.schedule.network import Network, weights_name
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import LayerChoice, Resident, Segment, finished, simulate
from targets.schedule.regions import extent_of
from targets.schedule.result import Schedule
from targets.schedule.tiles import Cut
from targets.schedule.view.memory_profile import memory_profiles

VARIANTS = ("plain", "analog", "digital")
ROWS = (1, 2, 4, 8)
CORE_OF = {"MaxPool": "pooling", "Add": "simd"}

# Shapes alone: no weight has a value.
_SEGMENT = """
<ir_version: 10, opset_import: ["" : 21]>
segment (float[1,3,224,224] image) => (float[1,64,56,56] block2)
<float[64,3,7,7] stem_w, float[64,64,3,3] w1, float[64,64,3,3] w2, float[64,64,3,3] w3, float[64,64,3,3] w4,
 float[64,64,1,1] skip_w> {
  [stem] c0 = Conv<pads=[3,3,3,3], strides=[2,2]>(image, stem_w)
  [stem_relu] r0 = Relu(c0)
  [pool] pooled = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2]>(r0)
  [conv1] c1 = Conv<pads=[1,1,1,1]>(pooled, w1)
  [relu1] r1 = Relu(c1)
  [conv2] c2 = Conv<pads=[1,1,1,1]>(r1, w2)
  SKIP
  [relu2] block1 = Relu(s1)
  [conv3] c3 = Conv<pads=[1,1,1,1]>(block1, w3)
  [relu3] r3 = Relu(c3)
  [conv4] c4 = Conv<pads=[1,1,1,1]>(r3, w4)
  [add2] s2 = Add(c4, block1)
  [relu4] block2 = Relu(s2)
}
"""
_SKIPS = {
    False: "[add1] s1 = Add(c2, pooled)",
    True: "[skip] k = Conv(pooled, skip_w)\n  [add1] s1 = Add(c2, k)",
}


def segment(variant: str) -> Workload:
    """Return the layers of a variant at 8 bits, with ternary weights for what the analog core runs."""
    graph = from_model(onnx.parser.parse_model(_SEGMENT.replace("SKIP", _SKIPS[variant != "plain"])))
    parse_pipeline(DianaTarget().pipeline(quantized=False))(graph)
    workload = build_workload(graph, Bits(logits=8))
    return replace(workload, layers=tuple(_ternary(layer, variant) for layer in workload.layers))


def _ternary(layer: Layer, variant: str) -> Layer:
    if layer.weight is None or "stem" in layer.origin or ("skip" in layer.origin and variant == "digital"):
        return layer
    return replace(layer, weight=replace(layer.weight, bits=CELL_BITS))


class Rows(NamedTuple):
    """Rows per tile: of the first convolution, and of the layers behind it."""

    stem: int
    others: int


def plan(network: Network, rows: Rows) -> Segment:
    """Return all layers fused, each on the core the segment was described with."""
    choices = []
    for index in network.order:
        layer = network.layer(index)
        core = CORE_OF.get(layer.op_type) or network.costs.cores(layer)[0]
        parts = extent_of(layer.outputs[0]).rows // (rows.stem if "stem" in layer.origin else rows.others)
        choices.append(LayerChoice((core,) * parts, Cut("OY", parts)))
    return Segment(network.order, tuple(choices))


@dataclass(frozen=True)
class Found:
    """The fastest schedule of a variant among the heights of tiles."""

    rows: Rows
    network: Network
    schedule: Schedule

    @property
    def busy_cycles(self) -> Mapping[str, int]:
        """Cycles in which each core is taken, jobs included, the DMA moves and the host starts jobs."""
        runs, moves = self.schedule.runs, self.schedule.moves
        busy = {core: sum(r.end - r.start for r in runs if r.core == core) for core in CORES}
        busy["dma"] = sum(move.end - move.start for move in moves)
        return busy | {"host": sum(run.cost.job_cycles for run in runs)}

    @property
    def l1_bytes(self) -> int:
        """The most that lies in L1, input rows fetched ahead included."""
        return memory_profiles(self.schedule, self.network.machine)[L1].peak_bits // 8


def fastest(run: FusedRun, workload: Workload, heights: Iterable[Rows], loaded: bool = False) -> Found:
    """Return the fastest valid schedule; raises ValueError if no height fits the memories.

    Args:
        run: How rows are taken to run.
        workload: The segment.
        heights: Rows per tile that are tried.
        loaded: All weights are in the memories of their cores before the first cycle.
    """
    network = fused_network(run, workload)
    resident = in_place(network) if loaded else {}
    best: Found | None = None
    for rows in heights:
        try:
            schedule = finished(simulate(network, [plan(network, rows)], resident), resident)
        except NoRoomError:
            continue
        if best is None or schedule.latency_cycles < best.schedule.latency_cycles:
            best = Found(rows, network, schedule)
    if best is None:
        raise ValueError("no height of tiles fits the memories")
    if wrong := problems(network, best.schedule):
        raise ValueError(f"the schedule is not valid: {wrong[0]}")
    return best


def in_place(network: Network) -> Resident:
    """Return all weights as they lie in the memories of the cores that run their layers."""
    found = {}
    for index in network.order:
        layer = network.layer(index)
        if layer.weight is not None:
            store = ANALOG_WEIGHTS if layer.weight.bits == CELL_BITS else DIGITAL_WEIGHTS
            name = weights_name(layer)
            found[name] = ((store, network.extents[name].whole),)
    return found
