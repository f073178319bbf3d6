"""DIANA running one whole layer after another: digital, analog, pooling and SIMD core, and a RISC-V host."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from targets.contract.closed_form import ClosedFormTarget
from targets.contract.target import Constraint, CostModel, Demand, Support
from targets.cost import elementwise
from targets.cost.layer_cost import LayerCost, energy_pj, scaled, whole_parts
from targets.description.architecture import Architecture, load_architecture
from targets.description.figure import Known
from targets.description.mapping import NoMappingError
from targets.diana import constraints, match, odimo
from targets.diana.searched import Searched
from targets.diana.tiling import (
    CHANNEL_BLOCK,
    WORD_BYTES,
    Traffic,
    elementwise_traffic,
    linear_traffic,
    padding_bytes,
    stored_bytes,
)
from targets.network.layer import Layer, LoopDims
from targets.network.workload import Workload

_SPREAD = (
    "not measured: no cycle count of a whole network on silicon could be read. Over convolutions and fully "
    "connected layers MATCH gives 1.4 times the cycles of ODiMO on ResNet8 and ResNet20, and 3.4 times on "
    "networks with depthwise layers"
)
_PLACEHOLDERS = (
    "host, job, pooling, SIMD and add costs are placeholders of this project; where the analog core "
    "has no work, only the digital power is published of the cores in use, so that energy is proportional to "
    "latency and EDP to latency squared"
)


# Parts of a convolution write where they lie in the whole. That they can is assumed: parts of whole blocks of
# channels are tensors of their own in L2, one behind the other.
NOTHING_TO_DO = LayerCost(0, 0, 0, 0, 0.0, 0.0, 0, "placeholder")
# So many padded tensors are named.
SHOWN = 4


@functools.cache
def _architecture() -> Architecture:
    return load_architecture(Path(__file__).parent / "hardware.yaml")


@functools.cache
def _searched() -> Searched:
    return Searched(_architecture())


@dataclass(frozen=True)
class _Work:
    """What a core does for one layer, before energy."""

    compute_cycles: int
    traffic: Traffic
    ideal_cycles: int
    known: Known
    dma_cycles: int


@dataclass(frozen=True)
class WholeLayers(ClosedFormTarget):
    """DIANA without rows: transfers, host and compute of a layer add up, as in its public flow."""

    name: ClassVar[str] = "diana"
    cost_models: ClassVar[Mapping[str, CostModel]] = {
        "match": CostModel("MATCH, DIANA digital core and DMA", f"{_SPREAD}; {_PLACEHOLDERS}"),
        "odimo": CostModel(
            "ODiMO as implemented in PLiNIO",
            f"{_SPREAD}; it has no DMA between L2 and L1; {_PLACEHOLDERS}",
        ),
        "engine": CostModel(
            "mapping search of this project (the model of ZigZag 3.8.5) on sizes and bandwidths of MATCH",
            f"{_SPREAD}; transfers run beside compute, which the public flow does not do, and nothing is "
            f"counted for starting the array, so it is optimistic; {_PLACEHOLDERS}",
        ),
    }
    schemes: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "digital": ("int8-pow2",),
        "analog": ("ternary-analog",),
        "pooling": ("int8-pow2",),
        "simd": ("int8-pow2",),
        "host": ("int8-pow2",),
    }
    rules: ClassVar[Mapping[str, Support]] = constraints.SUPPORT
    hints: ClassVar[Mapping[Constraint, str]] = constraints.HINTS
    demands: ClassVar[Mapping[Constraint, Demand]] = constraints.DEMANDS
    channel_block: ClassVar[int] = CHANNEL_BLOCK
    outer_memory: ClassVar[str] = "l2"
    word_bits: ClassVar[int] = 8 * WORD_BYTES

    @property
    def arch(self) -> Architecture:
        """The description in ``hardware.yaml``."""
        return self.changed or _architecture()

    @functools.cached_property
    def _searched(self) -> Searched:
        return _searched() if self.changed is None else Searched(self.changed)

    def warnings(self, workload: Workload) -> tuple[str, ...]:
        """Tell which tensors are padded."""
        tensors = {t.name: t for layer in workload.layers for t in (*layer.inputs, *layer.outputs)}
        padding = {name: stored_bytes([t]) - t.size_bytes for name, t in tensors.items()}
        padded = [name for name, more in padding.items() if more]
        if not padded:
            return super().warnings(workload)
        names = f"{', '.join(padded[:SHOWN])}{' …' if len(padded) > SHOWN else ''}"
        return (
            *super().warnings(workload),
            f"tensors padded to whole words of {WORD_BYTES} bytes, {sum(padding.values())} bytes in all "
            f"that are stored and moved: {names}",
        )

    def cost(self, layer: Layer, core: str) -> LayerCost:
        """Return cycles and energy of ``layer`` on ``core``; see README.md for the formulas' sources."""
        if core == "host":
            cost = self._host_cost(layer)
        elif layer.in_place:
            return NOTHING_TO_DO
        elif self._is_searched(layer):
            cost = self._engine_cost(layer, core)
        else:
            cost = self._closed_cost(layer, core)
        return replace(cost, padding_bytes=padding_bytes(layer))

    def _closed_cost(self, layer: Layer, core: str) -> LayerCost:
        work = self._work(layer, core)
        host = self.arch.core("host")
        job_cycles = scaled(work.traffic.jobs * host.rate("cycles_per_job"), self.host_scale)
        latency = work.compute_cycles + work.dma_cycles + job_cycles
        # ODiMO's analog formula counts large kernels as one pass and so can beat the array.
        ideal = min(work.ideal_cycles, latency)
        energy = (
            self.active_energy_pj(core, work.compute_cycles)
            + self.active_energy_pj("digital", work.dma_cycles)
            + self.active_energy_pj("host", job_cycles)
        )
        return LayerCost(
            compute_cycles=work.compute_cycles,
            dma_cycles=work.dma_cycles,
            host_cycles=0,
            job_cycles=job_cycles,
            energy_pj=energy,
            utilization=ideal / latency,
            bound_cycles=max(ideal, self._bound_transfer(layer, core)),
            known=work.known,
        )

    def _is_searched(self, layer: Layer) -> bool:
        return self.cost_model == "engine" and layer.macs > 0 and layer.dims is not None

    def declines(self, layer: Layer, core: str) -> str:
        """Return why no mapping of the engine fits the memories; empty if one does, or for other models."""
        if self._is_searched(layer):
            try:
                self._searched.solution(layer, core)
            except NoMappingError as error:
                return error.message[:1].upper() + error.message[1:]
        return ""

    def _engine_cost(self, layer: Layer, core: str) -> LayerCost:
        found = self._searched.solution(layer, core)
        load, compute, stall, store = whole_parts(
            (found.onload_cycles, found.compute_cycles, found.stall_cycles, found.offload_cycles)
        )
        # Mappings are of the loops; the padding behind the tensors comes along.
        if self.arch.dma is not None:
            load += math.ceil(padding_bytes(layer) / self.arch.dma.bandwidth_bytes_per_cycle.value)
        jobs = self._searched.jobs(layer, core)
        job_cycles = scaled(jobs * self.arch.core("host").rate("cycles_per_job"), self.host_scale)
        moved = self.active_energy_pj("digital", load + stall + store)
        return LayerCost(
            compute_cycles=compute,
            dma_cycles=0,
            host_cycles=0,
            job_cycles=job_cycles,
            energy_pj=self.active_energy_pj(core, compute)
            + moved
            + self.active_energy_pj("host", job_cycles),
            utilization=min(1.0, found.ideal_cycles / (load + compute + stall + store + job_cycles)),
            bound_cycles=math.floor(min(found.bound_cycles, found.latency_cycles)),
            known="published",
            stall_cycles=stall,
            load_cycles=load,
            store_cycles=store,
            detail=found,
        )

    def _host_cost(self, layer: Layer) -> LayerCost:
        host = self.arch.core("host")
        full = elementwise.host_cycles(
            layer, host.rate("cycles_per_element"), host.rate("cycles_per_exponential")
        )
        cycles = scaled(full, self.host_scale)
        return LayerCost(
            compute_cycles=0,
            dma_cycles=0,
            host_cycles=cycles,
            job_cycles=0,
            energy_pj=self.active_energy_pj("host", cycles),
            utilization=1.0 if cycles else 0.0,
            bound_cycles=cycles,
            known="placeholder",
        )

    def _work(self, layer: Layer, core: str) -> _Work:
        if layer.macs and layer.dims is not None:
            return self._analog(layer, layer.dims) if core == "analog" else self._digital(layer, layer.dims)
        traffic = elementwise_traffic(layer, self.arch.size_bytes("l1"))
        compute, ideal = self.elementwise_cycles(layer, core)
        return _Work(compute, traffic, ideal, "placeholder", self._transfer(traffic))

    def elementwise_cycles(self, layer: Layer, core: str) -> tuple[int, int]:
        """Return cycles of pooling and element-wise work on ``core``, and those of the core at its peak."""
        if core == "pooling" and layer.dims is not None:
            columns = int(self.arch.core(core).rate("columns_per_cycle"))
            ideal = math.ceil(layer.dims.iterations / (columns * elementwise.POOL_WINDOW**2))
            return elementwise.pooling_core_cycles(layer.dims, columns), ideal
        rate = "add_elements_per_cycle" if core == "digital" else "elements_per_cycle"
        compute = elementwise.lane_cycles(layer, self.arch.core(core).rate(rate))
        return compute, compute

    def _digital(self, layer: Layer, dims: LoopDims) -> _Work:
        traffic = linear_traffic(layer, self.arch.size_bytes("l1"), self.arch.size_bytes("digital_weights"))
        if traffic is None:
            raise ValueError(f"layer '{layer.name}' does not fit the digital core; place() refuses it")
        ideal = math.ceil(layer.macs / self.arch.core("digital").rate("macs_per_cycle"))
        if self.cost_model == "odimo":
            transfer = odimo.digital_transfer_cycles(dims)
            return _Work(odimo.digital_compute_cycles(dims), traffic, ideal, "published", transfer)
        # Parked partial sums go through the port of L1.
        parked = math.ceil(traffic.partial_sum_bytes / self.arch.memory("l1").bandwidth_bytes_per_cycle.value)
        compute = match.digital_compute_cycles(dims) + parked
        return _Work(compute, traffic, ideal, "published", self._transfer(traffic))

    def _analog(self, layer: Layer, dims: LoopDims) -> _Work:
        """Both cost models use ODiMO's formula here: MATCH has none for the analog core."""
        traffic = elementwise_traffic(layer, self.arch.size_bytes("l1"))
        compute = math.ceil(odimo.analog_compute_cycles(dims)) + odimo.analog_weight_cycles(dims)
        ideal = math.ceil(layer.macs / self.arch.core("analog").rate("macs_per_cycle"))
        transfer = 0 if self.cost_model == "odimo" else self._transfer(traffic)
        return _Work(compute, traffic, ideal, "published", transfer)

    def _transfer(self, traffic: Traffic) -> int:
        dma = self.arch.dma
        if dma is None:
            return 0
        bandwidth, per_call = dma.bandwidth_bytes_per_cycle.value, dma.cycles_per_call.value
        return match.transfer_cycles(traffic.size_bytes, traffic.calls, bandwidth, per_call)

    def _bound_transfer(self, layer: Layer, core: str) -> int:
        """Return cycles to move every operand once, unpadded and without calls."""
        dma = self.arch.dma
        if dma is None or (self.cost_model == "odimo" and layer.macs):
            return 0
        weight_bytes = layer.weight_bytes if core == "digital" else 0
        size_bytes = layer.input_bytes + layer.output_bytes + weight_bytes
        return math.ceil(size_bytes / dma.bandwidth_bytes_per_cycle.value)

    def active_energy_pj(self, core: str, cycles: int) -> float:
        """Return the active power of ``core`` times ``cycles``, in pJ."""
        clock_hz, power_mw = self.arch.clock_hz, self.arch.core(core).active_power_mw
        if clock_hz is None or power_mw is None:
            raise ValueError(f"energy is power times time: {core} needs a power and the chip a clock")
        return energy_pj(power_mw.value, cycles, clock_hz)
