"""DIANA's mode of schedules in which groups of layers run row by row, on several cores at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from targets.contract.closed_form import ClosedFormCosts
from targets.cost.layer_cost import LayerCost
from targets.diana import odimo, power
from targets.diana.analog_array import CELL_BITS, common_unroll, footprint, stacked
from targets.diana.fused import (
    ANALOG_WEIGHTS,
    CORES,
    DIGITAL_WEIGHTS,
    L1,
    FusedCosts,
    FusedRun,
    RowAssumptions,
    RowCost,
    array_loops,
    fused_machine,
    with_array_sizes,
)
from targets.diana.whole_layers import WholeLayers
from targets.network.layer import Layer
from targets.network.workload import Workload
from targets.schedule.machine import TURNS, Machine
from targets.schedule.network import Held, Network, Option, network_of
from targets.schedule.result import Move, Run, Schedule

# What a row, or a move, takes of the turns: so many may go on at once, but nothing beside a whole layer.
SHARE_OF_TURNS = 1 / 64


class DianaRows:
    """Rows on DIANA; see :class:`targets.schedule.search.rows.RowModel`.

    Layers that run alone cost what they do where all do, and the host waits for them.

    Attributes:
        caution: What users should know of figures with rows.

    Args:
        target: The chip, with its cost model and the factor on host costs.
        assumed: What is assumed of rows.
    """

    caution = (
        "layers run row by row under assumptions that were fitted to the one measured segment; others that "
        "can be defended gave 0.74 to 1.47 times its cycles (docs/results/diana_segment.md)"
    )

    def __init__(self, target: WholeLayers, assumed: RowAssumptions) -> None:
        self._target, self._assumed = target, assumed
        self._columns = 1

    def network(self, workload: Workload) -> Network:
        """Return ``workload`` with rows for what is held, and whole layers for what is not."""
        loops = array_loops(workload)
        columns = min([common_unroll(loops), *map(odimo.analog_unroll, loops)])
        self._columns = max(1, min(columns, self._assumed.columns or columns))
        run = FusedRun(self._target, self._columns, counts_stride=self._assumed.counts_stride)
        network = network_of(workload, _machine(run, workload), RowCosts(run), {})
        return with_array_sizes(network, run)

    def together(self, layers: Sequence[Layer]) -> bool:
        """Whether the analog array holds all of ``layers`` that run in it."""
        loops = [layer.dims for layer in layers if layer.dims is not None and _is_ternary(layer)]
        return stacked([footprint(dims, self._columns) for dims in loops])

    def energy_pj(self, runs: Sequence[Run], moves: Sequence[Move]) -> float:
        """Return the power of what is at work at each moment, times its time."""
        return sum(power.shared_energies(self._target.arch, runs, moves))

    def settled(self, schedule: Schedule) -> Schedule:
        """Return ``schedule`` with the energy of the chip shared among its runs."""
        return power.settled(self._target.arch, schedule)


def _is_ternary(layer: Layer) -> bool:
    return layer.weight is not None and layer.weight.bits == CELL_BITS


def _machine(run: FusedRun, workload: Workload) -> Machine:
    """Return the machine of rows, with the host for whole layers, and turns between these and rows."""
    machine, arch = fused_machine(run, workload), run.target.arch
    capacities = dict(machine.capacities) | dict.fromkeys((core.name for core in arch.cores), 1.0)
    return replace(machine, capacities=capacities | {TURNS: 1.0}, moves_take=((TURNS, SHARE_OF_TURNS),))


class RowCosts:
    """Costs of rows where all is held, and of whole layers with their trips to L2 where nothing is.

    See :class:`targets.schedule.network.CoreCosts`.
    """

    def __init__(self, run: FusedRun) -> None:
        self._arch = run.target.arch
        self._rows = FusedCosts(run)
        self._whole = ClosedFormCosts(run.target)

    def cores(self, layer: Layer) -> tuple[str, ...]:
        """Return the cores that run rows of ``layer``, then those that run it whole alone."""
        return tuple(dict.fromkeys((*self._rows.cores(layer), *self._whole.cores(layer))))

    def alike(self, core: str) -> str:
        """Return ``core``: no two are alike."""
        return core

    def option(self, tile: Layer, core: str, held: Held) -> Option | None:
        """Return the cost of a whole layer where nothing is held, of rows where all is."""
        if not held:
            option = self._whole.option(tile, core, held)
            return option and option._replace(buffers=(*option.buffers, *self._emptied(core)))
        return self._rows.option(tile, core, held) if core in CORES else None

    def _emptied(self, core: str) -> tuple[tuple[str, int], ...]:
        """Return the memories a whole layer has for itself, as its pieces are cut for; the host has none."""
        if core not in CORES:
            return ()
        weights = {"digital": (DIGITAL_WEIGHTS,), "analog": (ANALOG_WEIGHTS,)}
        return tuple((name, 8 * self._arch.size_bytes(name)) for name in (L1, *weights.get(core, ())))

    def resources(self, core: str, cost: LayerCost) -> tuple[tuple[str, float], ...]:
        """Return what a run takes; nothing runs beside a whole layer, for which the host waits."""
        if isinstance(cost, RowCost):
            return ((core, 1.0), (TURNS, SHARE_OF_TURNS))
        return (*self._whole.resources(core, cost), (TURNS, 1.0))
