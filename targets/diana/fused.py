"""DIANA at work on rows of several layers: tensors stay in L1, only the ends of a group cross to L2."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from targets.cost.layer_cost import LayerCost, ceil_div, scaled
from targets.description.architecture import Architecture
from targets.diana import constraints, match, odimo
from targets.diana.analog_array import CELL_BITS, Footprint, footprint
from targets.diana.tiling import BIAS_BYTES, CHANNEL_BLOCK
from targets.diana.whole_layers import WholeLayers
from targets.network.layer import Layer, LoopDims
from targets.network.workload import Workload
from targets.schedule.machine import OUTER, Machine, Route, Store, Word
from targets.schedule.network import ALL_HELD, Held, Network, Option, network_of, weights_name
from targets.schedule.regions import Extent

CORES = ("analog", "digital", "pooling", "simd")
L1, DIGITAL_WEIGHTS, ANALOG_WEIGHTS = "l1", "digital_weights", "analog_weights"


@dataclass(frozen=True)
class RowAssumptions:
    """What is assumed of rows and known of nobody; each with its argument in docs/results/diana_segment.md.

    Attributes:
        columns: Output columns the analog array computes at once, the same for all layers in it; ``None``
            for as many as leave room for all of them.
        counts_stride: The digital core fetches a row of a window in words of 16 bytes, so that windows with a
            stride take more than the two that MATCH counts.
    """

    columns: int | None = None
    counts_stride: bool = True


@dataclass(frozen=True)
class FusedRun:
    """How rows of several layers are taken to run.

    Attributes:
        target: The chip, with its cost model and the factor on host costs.
        unroll: Output columns the analog array computes at once, the same for all layers in it.
        host_waits: The host waits for every run and every transfer, so that nothing overlaps. Else it only
            starts runs, which holds up their core, and cores and DMA work side by side; that it may have to
            start two at once is left out.
        counts_stride: See :class:`RowAssumptions`.
    """

    target: WholeLayers
    unroll: int
    host_waits: bool = False
    counts_stride: bool = True

    def __post_init__(self) -> None:
        """Check the cost model; raises ValueError for ``engine``, whose mappings are of whole layers."""
        if self.target.cost_model == "engine":
            raise ValueError("fused rows are costed by the closed forms: match or odimo")


@dataclass(frozen=True)
class RowCost(LayerCost):
    """What rows of a layer cost while all they read and write lies in L1."""


def fused_network(run: FusedRun, workload: Workload) -> Network:
    """Return ``workload`` as a scheduler sees it that fuses its layers."""
    network = network_of(workload, fused_machine(run, workload), FusedCosts(run), {})
    return with_array_sizes(network, run)


def with_array_sizes(network: Network, run: FusedRun) -> Network:
    """Return ``network`` where weights have the size they are stored in.

    Those of the analog core take what they do in its array, in L2 too: they are written from an image of it.
    Those of the digital core are padded to 16 output channels, as where layers run whole.
    """
    sizes = {}
    for layer in network.workload.layers:
        if _in_array(layer):
            sizes[weights_name(layer)] = _by_channel(array_part(layer, run.unroll).bits, layer)
        elif layer.op_type == "Conv" and layer.dims is not None and not layer.dims.depthwise:
            sizes[weights_name(layer)] = _by_channel(8 * _padded_bytes(layer, layer.dims), layer)
    return replace(network, extents={**network.extents, **sizes})


def array_part(layer: Layer, unroll: int) -> Footprint:
    """Return what a convolution takes of the analog array; raises ValueError for other layers."""
    if layer.dims is None or not _in_array(layer):
        raise ValueError(f"'{layer.name}' has no ternary weights for the analog array")
    return footprint(layer.dims, unroll)


def array_loops(workload: Workload) -> list[LoopDims]:
    """Return the loops of the convolutions that the analog array holds."""
    return [layer.dims for layer in workload.layers if layer.dims is not None and _in_array(layer)]


def _is_depthwise(layer: Layer) -> bool:
    return layer.macs > 0 and layer.dims is not None and layer.dims.depthwise


def _in_array(layer: Layer) -> bool:
    ternary = layer.weight is not None and layer.weight.bits == CELL_BITS
    return ternary and layer.op_type == "Conv" and layer.dims is not None and layer.dims.g == 1


def _padded_bytes(layer: Layer, dims: LoopDims) -> int:
    """Return the bytes of weights and biases of the digital core, whose array takes 16 channels at a time."""
    channels = ceil_div(dims.g * dims.k, CHANNEL_BLOCK) * CHANNEL_BLOCK
    return channels * (dims.c * dims.fy * dims.fx + (BIAS_BYTES if layer.bias else 0))


def _by_channel(bits: int, layer: Layer) -> Extent:
    channels = layer.outputs[0].shape[1]
    return Extent(channels, 1, 1, math.ceil(bits / channels))


def fused_machine(run: FusedRun, workload: Workload) -> Machine:
    """Return L1 for the tensors of all cores, a memory for the weights of each array, and the DMA to L2.

    Writing a row of the analog array takes 8 cycles however wide it is; bits are moved at the speed at which
    the narrowest part of the workload takes that, so that wider ones take no less.
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
    columns = [footprint(dims, run.unroll).columns for dims in array_loops(workload)]
    row_bits_per_cycle = min(columns, default=1) * CELL_BITS / odimo.ANALOG_WRITE_CYCLES_PER_ROW
    # The array computes nothing while it is written.
    writing = (Route((dma, ("analog", 1.0)), row_bits_per_cycle, setup_cycles=call_cycles),)
    routes = {(OUTER, L1): copying, (L1, OUTER): copying, (OUTER, DIGITAL_WEIGHTS): copying}
    shared = (("host", 1.0),) if run.host_waits else ()
    resources = (*CORES, arch.dma.name, *(name for name, _ in shared))
    routes[OUTER, ANALOG_WEIGHTS] = writing
    capacities = dict.fromkeys(resources, 1.0)
    return Machine(
        capacities, stores, operand_stores, routes, runs_take=shared, moves_take=shared,
        word_bits=run.target.word_bits,
    )  # fmt: skip


def _store(arch: Architecture, name: str) -> Store:
    return Store(name, 8 * arch.size_bytes(name), Word(1), Word(1))


class FusedCosts:
    """What rows of a layer cost that lie in L1; see :class:`targets.schedule.network.CoreCosts`."""

    def __init__(self, run: FusedRun) -> None:
        self._run = run
        self._target = run.target

    def cores(self, layer: Layer) -> tuple[str, ...]:
        """Return the cores whose rules ``layer`` meets; that tensors fit L2 is none where they stay in L1.

        None runs rows of a depthwise layer: it runs channel by channel, and its weights come with each.
        """
        arch = self._target.arch
        found = []
        for core in () if _is_depthwise(layer) else CORES:
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
        """Return compute and the start of one job; what is not held would be no part of a fused run.

        The energy is that of the core alone; what cores take side by side is known once all is scheduled
        (``targets.diana.power``).
        """
        if held != ALL_HELD or _is_depthwise(tile):
            return None
        if tile.in_place:
            return Option(RowCost(0, 0, 0, 0, 0.0, 0.0, 0, "placeholder"))
        target = self._target
        compute_cycles, ideal_cycles = self._cycles(tile, core)
        job_cycles = scaled(target.arch.core("host").rate("cycles_per_job"), target.host_scale)
        energy_pj = target.active_energy_pj(core, compute_cycles) + target.active_energy_pj(
            "host", job_cycles
        )
        return Option(
            RowCost(
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
            fetches = match.row_fetches(tile.dims) if self._run.counts_stride else match.ROW_FETCHES
            compute_cycles = match.digital_compute_cycles(tile.dims, fetches)
        ideal_cycles = math.ceil(tile.macs / target.arch.core(core).rate("macs_per_cycle"))
        return compute_cycles, min(ideal_cycles, compute_cycles)


def analog_cycles(dims: LoopDims, unroll: int) -> int:
    """Return cycles of a convolution that computes ``unroll`` columns per pass, its weights in the array.

    Source: ODiMO as implemented in PLiNIO, which takes the largest unroll that a layer alone can have.
    """
    alone = odimo.analog_unroll(dims)
    if unroll > alone:
        raise ValueError(f"at most {alone} columns at once fit the array, not {unroll}")
    return math.ceil(odimo.analog_compute_cycles(dims) * alone / unroll)
