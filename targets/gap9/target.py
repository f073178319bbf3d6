"""GAP9: the convolution engine NE16 and a cluster of RISC-V cores that runs everything else."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from targets.contract.closed_form import ClosedFormTarget
from targets.contract.target import Constraint, CostModel, Support
from targets.cost.elementwise import EXPONENTIAL, processed_elements
from targets.cost.layer_cost import LayerCost, energy_pj, scaled
from targets.description.architecture import Architecture, Dma, load_architecture
from targets.description.figure import Known
from targets.gap9 import constraints
from targets.gap9.cluster import linear_cycles
from targets.gap9.ne16 import layer_work
from targets.gap9.transfers import Transfers, elementwise_transfers, linear_transfers
from targets.network.layer import Layer

_KNOWN_ERROR = (
    "latency within 7 % and energy within 3 % of ResNet8 and DS-CNN as measured (MLPerf Tiny v1.0) at both "
    "operating points, but these are what three numbers were fitted to; fitted to one of them, they predict "
    "latency and energy of the other within 12 %. Cluster costs are placeholders of this project"
)


@functools.cache
def _architecture() -> Architecture:
    return load_architecture(Path(__file__).parent / "hardware.yaml")


@dataclass(frozen=True)
class _Work:
    """What the cores do for a layer, before transfers.

    Attributes:
        ne16_cycles: NE16 computes.
        cluster_cycles: The cluster computes.
        gather_cycles: The cluster gathers taps for NE16.
        ideal_cycles: The core at its peak.
        known: How these are known.
    """

    ne16_cycles: int
    cluster_cycles: float
    gather_cycles: float
    ideal_cycles: float
    known: Known


@dataclass(frozen=True)
class Gap9Target(ClosedFormTarget):
    """GAP9 at 370 MHz and 0.8 V, or 240 MHz and 0.65 V; layers follow one another."""

    name: ClassVar[str] = "gap9"
    cost_models: ClassVar[Mapping[str, CostModel]] = {
        "plinio": CostModel(
            "NE16 by PLiNIO; DMA and the cluster by this project, on sizes and bandwidths of MATCH",
            _KNOWN_ERROR,
        ),
    }
    schemes: ClassVar[Mapping[str, str]] = {"ne16": "int8-channel", "cluster": "int8-channel"}
    outer_memory: ClassVar[str] = "l2"
    inner_memory: ClassVar[str] = "l1"
    spill_memory: ClassVar[str] = "l3"

    @property
    def arch(self) -> Architecture:
        """The description in ``hardware.yaml``."""
        return _architecture()

    def support(self, core: str) -> Support:
        """Return the operators of ``core`` and their rules."""
        self.arch.core(core)
        return constraints.SUPPORT[core]

    def hint(self, constraint: Constraint) -> str:
        """Return what helps against a broken rule; what NE16 declines runs on the cluster."""
        return constraints.HINTS.get(constraint, "")

    def demand(self, constraint: Constraint, layer: Layer) -> str:
        """Return demand and bound for L2."""
        if constraint is not constraints.tensors_fit_l2:
            return ""
        need, bound = constraints.largest_tensor_bytes(layer), self.arch.size_bytes("l2")
        return f" (needs {need:,} bytes, there are {bound:,})"

    def pipeline(self, quantized: bool) -> str:
        """Return the passes for this target; ``quantize`` needs calibrated ranges on the graph."""
        integer = "quantize,fold-qdq," if quantized else ""
        return f"canonicalize,fold-batchnorm,{integer}fuse-layers"

    def cost(self, layer: Layer, core: str) -> LayerCost:
        """Return cycles and energy of ``layer`` on ``core``; see README.md for the model."""
        work = self._work(layer, core)
        linear = layer.dims is not None and layer.weight is not None
        l1_bytes = self.arch.size_bytes("l1")
        cuts = linear_transfers(layer, l1_bytes) if linear else ()
        cuts = cuts or elementwise_transfers(layer, l1_bytes)
        # Like placement, cuts are compared at the nominal host cost, so that scaling it moves nothing.
        nominal = replace(self, host_scale=1.0)
        chosen = min(cuts, key=lambda cut: nominal._cut_cost(layer, core, work, cut).latency_cycles)
        return self._cut_cost(layer, core, work, chosen)

    def _work(self, layer: Layer, core: str) -> _Work:
        ne16, cluster = self.arch.core("ne16"), self.arch.core("cluster")
        gather_per_cycle = cluster.rate("elements_per_cycle")
        if core == "ne16" and layer.dims is not None and layer.weight is not None:
            bits = layer.weight.bits
            found = layer_work(layer.dims, bits, gather_per_cycle)
            peak = max(ne16.rate("bit_macs_per_cycle") / bits, ne16.rate("pointwise_macs_per_cycle"))
            gather = found.column_elements / gather_per_cycle
            return _Work(found.cycles, 0, gather, layer.macs / peak, "published")
        if layer.macs and layer.dims is not None:
            ideal = layer.macs / cluster.rate("macs_per_cycle")
            return _Work(0, linear_cycles(layer.dims), 0, ideal, "published")
        if layer.macs:
            cycles = layer.macs / cluster.rate("unrolled_macs_per_cycle")
            return _Work(0, cycles, 0, cycles, "placeholder")
        cycles = processed_elements(layer) / gather_per_cycle
        if layer.op_type in EXPONENTIAL:
            cycles += processed_elements(layer) * cluster.rate("cycles_per_exponential")
        return _Work(0, cycles, 0, cycles, "placeholder")

    def _cut_cost(self, layer: Layer, core: str, work: _Work, cut: Transfers) -> LayerCost:
        """Return the cost with the first tile loaded before the work and all others moved beside it."""
        per_call = _dma(self.arch).cycles_per_call.value
        host_cycles = scaled(work.cluster_cycles, self.host_scale)
        beside = self._moved(cut.later_bytes) + scaled(cut.later_calls * per_call, self.host_scale)
        load_cycles = self._moved(cut.first_bytes)
        stall_cycles = max(0, beside - work.ne16_cycles - host_cycles)
        job_cycles = scaled(cut.first_calls * per_call + work.gather_cycles, self.host_scale)
        latency = load_cycles + work.ne16_cycles + host_cycles + stall_cycles + job_cycles
        bound = max(
            work.ideal_cycles, self._moved(layer.read_bytes + layer.weight_bytes + layer.output_bytes)
        )
        return LayerCost(
            compute_cycles=work.ne16_cycles,
            dma_cycles=load_cycles,
            host_cycles=host_cycles,
            job_cycles=job_cycles,
            energy_pj=self._energy(core, latency, layer.macs),
            utilization=min(1.0, work.ideal_cycles / latency),
            bound_cycles=min(math.ceil(bound), latency),
            known=work.known,
            stall_cycles=stall_cycles,
        )

    def _moved(self, size_bytes: int) -> int:
        return math.ceil(size_bytes / _dma(self.arch).bandwidth_bytes_per_cycle.value)

    def _energy(self, core: str, cycles: int, macs: int) -> float:
        """Return power times time, and on NE16 that of its products beside."""
        clock_hz, power_mw = self.arch.clock_hz, self.arch.core(core).active_power_mw
        if clock_hz is None or power_mw is None:
            raise ValueError(f"energy is power times time: {core} needs a power and the chip a clock")
        products_pj = macs * self.arch.core(core).rate("energy_pj_per_mac") if core == "ne16" else 0.0
        return energy_pj(power_mw.value, cycles, clock_hz) + products_pj


def _dma(arch: Architecture) -> Dma:
    if arch.dma is None:
        raise ValueError(f"{arch.name} needs a DMA in its description")
    return arch.dma
