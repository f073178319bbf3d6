"""DIANA at work on rows of several layers: tensors stay in L1, only the ends of a segment cross to L2."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from targets.cost.layer_cost import LayerCost, scaled
from targets.description.architecture import Architecture
from targets.diana import constraints, match, odimo
from targets.diana.analog_array import CELL_BITS, Footprint, footprint
from targets.diana.target import DianaTarget
from targets.network.layer import Layer, LoopDims
from targets.network.workload import Workload
from targets.schedule.machine import OUTER, Machine, Route, Store, Word
from targets.schedule.network import ALL_HELD, Held, Network, Option, network_of, weights_name
from targets.schedule.regions import Extent

CORES = ("analog", "digital", "pooling", "simd")
L1, DIGITAL_WEIGHTS, ANALOG_WEIGHTS = "l1", "digital_weights", "analog_weights"


@dataclass(frozen=True)
class FusedRun:
    """How rows of several layers are taken to run.

    Attributes:
        target: The chip, with its cost model and the factor on host costs.
        unroll: Output columns the analog array computes at once, the same for all layers in it.
        host_waits: The host waits for every run and every transfer, so that nothing overlaps. Else it only
            starts runs, which holds up their core, and cores and DMA work side by side; that it may have to
            start two at once is left out.
    """

    target: DianaTarget
    unroll: int
    host_waits: bool = False

    def __post_init__(self) -> None:
        """Check the cost model; raises ValueError for ``engine``, whose mappings are of whole layers."""
        if self.target.cost_model == "engine":
            raise ValueError("fused rows are costed by the closed forms: match or odimo")


def fused_network(run: FusedRun, workload: Workload) -> Network:
    """Return ``workload`` as a scheduler sees it that fuses its layers.

    Weights of the analog core have the size they take in the array, in L2 too: they are written from an image
    of it.
    """
    analog = {layer.name: array_part(layer, run.unroll) for layer in workload.layers if _in_array(layer)}
    machine = fused_machine(run, max((part.columns for part in analog.values()), default=0))
    network = network_of(workload, machine, FusedCosts(run), {})
    sizes = {
        weights_name(layer): _by_channel(analog[layer.name].bits, layer)
        for layer in workload.layers
        if layer.name in analog
    }
    return replace(network, extents={**network.extents, **sizes})


def array_part(layer: Layer, unroll: int) -> Footprint:
    """Return what a convolution takes of the analog array; raises ValueError for other layers."""
    if layer.dims is None or not _in_array(layer):
        raise ValueError(f"'{layer.name}' has no ternary weights for the analog array")
    return footprint(layer.dims, unroll)


def _in_array(layer: Layer) -> bool:
    return layer.weight is not None and layer.weight.bits == CELL_BITS


def _by_channel(bits: int, layer: Layer) -> Extent:
    channels = layer.outputs[0].shape[1]
    return Extent(channels, 1, 1, math.ceil(bits / channels))


def fused_machine(run: FusedRun, array_columns: int) -> Machine:
    """Return L1 for the tensors of all cores, a memory for the weights of each array, and the DMA to L2.

    Args:
        run: How it is taken to run.
        array_columns: Width of what is written into the analog array; a row takes 8 cycles however wide.
    """
    arch = run.target.arch
    if arch.dma is None:
        raise ValueError(f"{arch.name} needs a DMA in its description")
    stores = {name: _store(arch, name) for name in (L1, DIGITAL_WEIGHTS, ANALOG_WEIGHTS)}
    stores[OUTER] = _store(arch, run.target.outer_memory)
    operand_stores = {(core, operand): L1 for core in CORES for operand in "IO"}
    operand_stores |= {("digital", "W"): DIGITAL_WEIGHTS, ("analog", "W"): ANALOG_WEIGHTS}
    bits_per_cycle = 8 * arch.dma.bandwidth_bytes_per_cycle.value
    call_cycles = int(arch.dma.cycles_per_call.value)
    dma = (arch.dma.name, 1.0)
    copying = (Route((dma,), bits_per_cycle, setup_cycles=call_cycles),)
    row_bits_per_cycle = max(array_columns, 1) * CELL_BITS / odimo.ANALOG_WRITE_CYCLES_PER_ROW
    # The array computes nothing while it is written.
    writing = (Route((dma, ("analog", 1.0)), row_bits_per_cycle, setup_cycles=call_cycles),)
    routes = {(OUTER, L1): copying, (L1, OUTER): copying, (OUTER, DIGITAL_WEIGHTS): copying}
    shared = (("host", 1.0),) if run.host_waits else ()
    resources = (*CORES, arch.dma.name, *(name for name, _ in shared))
    routes[OUTER, ANALOG_WEIGHTS] = writing
    capacities = dict.fromkeys(resources, 1.0)
    return Machine(capacities, stores, operand_stores, routes, runs_take=shared, moves_take=shared)


def _store(arch: Architecture, name: str) -> Store:
    return Store(name, 8 * arch.size_bytes(name), Word(1), Word(1))


class FusedCosts:
    """What rows of a layer cost that lie in L1; see :class:`targets.schedule.network.CoreCosts`."""

    def __init__(self, run: FusedRun) -> None:
        self._run = run
        self._target = run.target

    def cores(self, layer: Layer) -> tuple[str, ...]:
        """Return the cores whose rules ``layer`` meets; that tensors fit L2 is none where they stay in L1."""
        arch = self._target.arch
        found = []
        for core in CORES:
            rules = self._target.support(core).get(layer.op_type)
            if rules is not None and all(
                r(layer, arch) for r in rules if r is not constraints.tensors_fit_l2
            ):
                found.append(core)
        return tuple(found)

    def alike(self, core: str) -> str:
        """Return ``core``: no two are alike."""
        return core

    def option(self, tile: Layer, core: str, held: Held) -> Option | None:
        """Return compute and the start of one job; what is not held would be no part of a fused run."""
        if held != ALL_HELD:
            return None
        target = self._target
        compute_cycles, ideal_cycles = self._cycles(tile, core)
        job_cycles = scaled(target.arch.core("host").rate("cycles_per_job"), target.host_scale)
        energy_pj = target.active_energy_pj(core, compute_cycles) + target.active_energy_pj(
            "host", job_cycles
        )
        return Option(
            LayerCost(
                compute_cycles=compute_cycles,
                dma_cycles=0,
                host_cycles=0,
                job_cycles=job_cycles,
                energy_pj=energy_pj,
                utilization=ideal_cycles / (compute_cycles + job_cycles),
                bound_cycles=ideal_cycles,
                known="published" if tile.macs else "placeholder",
            )
        )

    def resources(self, core: str, cost: LayerCost) -> tuple[tuple[str, float], ...]:  # noqa: ARG002
        """Return the core; where the host waits, the machine has every run take it too."""
        return ((core, 1.0),)

    def _cycles(self, tile: Layer, core: str) -> tuple[int, int]:
        """Return cycles of the arithmetic, and those of the core at its peak."""
        target = self._target
        if not tile.macs or tile.dims is None:
            return target.elementwise_cycles(tile, core)
        if core == "analog":
            compute_cycles = analog_cycles(tile.dims, self._run.unroll)
        elif target.cost_model == "odimo":
            compute_cycles = odimo.digital_compute_cycles(tile.dims) + odimo.digital_transfer_cycles(
                tile.dims
            )
        else:
            compute_cycles = match.digital_compute_cycles(tile.dims)
        return compute_cycles, math.ceil(tile.macs / target.arch.core(core).rate("macs_per_cycle"))


def analog_cycles(dims: LoopDims, unroll: int) -> int:
    """Return cycles of a convolution that computes ``unroll`` columns per pass, its weights in the array.

    Source: ODiMO as implemented in PLiNIO, which takes the largest unroll that a layer alone can have.
    """
    alone = odimo.analog_unroll(dims)
    if unroll > alone:
        raise ValueError(f"at most {alone} columns at once fit the array, not {unroll}")
    return math.ceil(odimo.analog_compute_cycles(dims) * alone / unroll)
