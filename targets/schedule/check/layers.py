"""Whether the tiles of a schedule compute the layers: what they write, read, cost and take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from passes.operator_sets import GLOBAL_POOLS, WINDOW_POOLS
from targets.network.layer import Layer
from targets.schedule.check.data import end_of, place_of, uncovered
from targets.schedule.machine import OUTER
from targets.schedule.network import Network, Read
from targets.schedule.regions import Extent, Region, extent_of
from targets.schedule.result import Run, Schedule, Stay, Uses
from targets.schedule.tiles import POINTWISE, Axis, Cut, Tile, tiles_of


def layer_problems(network: Network, schedule: Schedule) -> Iterator[str]:
    """Yield what is wrong with the tiles: every layer is computed once, at its cost, on a core that may."""
    runs_of: dict[int, list[Run]] = {index: [] for index in network.order}
    for run in schedule.runs:
        runs_of[run.layer].append(run)
    names = [run.name for run in schedule.runs]
    if len(set(names)) < len(names):
        yield f"several tiles are called '{max(names, key=names.count)}'"
    for index, runs in runs_of.items():
        yield from _cover_problems(network.layer(index), runs)
    buffers: dict[str, list[Stay]] = {}
    for stay in schedule.stays:
        buffers.setdefault(stay.tensor, []).append(stay)
    for run in schedule.runs:
        yield from _read_problems(network, run)
        yield from _cost_problems(network, run, buffers.get(f"{run.name}.buffers", ()))


def _cover_problems(layer: Layer, runs: Sequence[Run]) -> Iterator[str]:
    whole = extent_of(layer.outputs[0]).whole
    outputs = [run.output for run in runs]
    for hole in uncovered(whole, outputs)[:1]:
        yield f"no tile of '{layer.name}' computes {hole}"
    if any(not output.within(whole) for output in outputs):
        yield f"a tile of '{layer.name}' computes more than {whole}"
    if any(a.meet(b) is not None for i, a in enumerate(outputs) for b in outputs[:i]):
        yield f"two tiles of '{layer.name}' compute the same"
    if sorted(run.cut for run in runs) != [(number, len(runs)) for number in range(len(runs))]:
        yield f"the tiles of '{layer.name}' are not numbered from 0 to {len(runs) - 1}"


def _read_problems(network: Network, run: Run) -> Iterator[str]:
    """Yield which operands a tile does not read, or not enough of."""
    layer = network.layer(run.layer)
    names = ["I"] * len(layer.inputs)
    if network.second_operand.get(run.layer):
        names[1:] = ["W"] * len(names[1:])
    read = [(r.operand, r.tensor) for r in run.reads]
    if read != [(name, operand.name) for name, operand in zip(names, layer.inputs, strict=True)]:
        yield f"'{run.name}' reads {read}, not all inputs of its layer"
        return
    for operand, got in zip(layer.inputs, run.reads, strict=True):
        yield from _part_problems(run, layer, got, extent_of(operand))
    if layer.weight is None and layer.constant is None:
        if run.weights is not None:
            yield f"'{run.name}' reads weights that '{layer.name}' does not have"
        return
    wanted = Region(0, 1, 0, 1) if layer.weight is None else Region(run.output.c0, run.output.c1, 0, 1)
    if run.weights is None or not wanted.within(run.weights):
        yield f"'{run.name}' computes {run.output} without the weights of these channels"


def _part_problems(run: Run, layer: Layer, got: Read, extent: Extent) -> Iterator[str]:
    if not got.region.within(extent.whole):
        yield f"'{run.name}' reads {got.region} of '{got.tensor}', which is only {extent.whole}"
    wanted = _needed(layer, run.output, extent)
    if wanted is not None and not wanted.within(got.region):
        yield f"'{run.name}' reads {got.region} of '{got.tensor}' but needs {wanted}"


def _needed(layer: Layer, output: Region, extent: Extent) -> Region | None:
    """Return the least part of an input that ``output`` depends on; ``None`` if it is all padding."""
    if layer.op_type in POINTWISE and output != extent_of(layer.outputs[0]).whole:
        return output
    dims, windowed = layer.dims, layer.op_type in ("Conv", *WINDOW_POOLS)
    if dims is None or not (windowed or layer.op_type in GLOBAL_POOLS) or dims.b > 1:
        return extent.whole
    groups = [channel // dims.k for channel in (output.c0, output.c1 - 1)]
    c0, c1 = (groups[0] * dims.c, (groups[1] + 1) * dims.c) if dims.g > 1 else (0, extent.channels)
    if not windowed or extent.rows == 1:
        return Region(c0, c1, 0, extent.rows)
    touched = [
        row
        for y in range(output.y0, output.y1)
        for f in range(dims.fy)
        if 0 <= (row := y * dims.stride_y - dims.pad_top + f * dims.dilation_y) < extent.rows
    ]
    return Region(c0, c1, min(touched), max(touched) + 1) if touched else None


def _cost_problems(network: Network, run: Run, buffers: Sequence[Stay]) -> Iterator[str]:
    layer, costs = network.layer(run.layer), network.costs
    if run.core not in costs.cores(layer):
        yield f"'{run.name}' runs on {run.core}, which cannot run '{layer.name}'"
        return
    tile = _tile(layer, run)
    if tile is None or tile.output != run.output:
        yield f"'{run.name}' computes {run.output}, which is not tile {run.cut} of '{layer.name}'"
        return
    option = costs.option(tile.layer, run.core, run.held)
    if option is None:
        yield f"'{run.name}' has no mapping on {run.core} with {sorted(run.held)} held"
        return
    said = (run.cost.latency_cycles, run.cost.energy_pj)
    real = (option.cost.latency_cycles, option.cost.energy_pj)
    if said != real:
        yield f"'{run.name}' costs {real} cycles and pJ on {run.core}, not {said}"
    if run.end - run.start != run.cost.latency_cycles:
        yield f"'{run.name}' takes {run.end - run.start} cycles, not {run.cost.latency_cycles}"
    expected = [*costs.resources(run.core, run.cost), *network.machine.runs_take]
    operands = {"O", *(read.operand for read in run.reads), *(["W"] if run.weights is not None else [])}
    if any(place_of(network, run, operand) == OUTER for operand in operands):
        expected += network.machine.streaming.get(run.core, ())
    yield from missing_uses(f"'{run.name}'", run.uses, expected)
    for store, bits in option.buffers:
        own = [s for s in buffers if s.store == store and s.start <= run.start and end_of(s) >= run.end]
        if sum(stay.bits for stay in own) < bits:
            yield f"'{run.name}' streams without {bits} bits of room in {store}"


def missing_uses(what: str, uses: Uses, expected: Sequence[tuple[str, float]]) -> Iterator[str]:
    """Yield of which resources ``uses`` have less than ``expected``."""
    for resource in dict.fromkeys(name for name, _ in expected):
        taken, wanted = (sum(a for name, a in u if name == resource) for u in (uses, expected))
        if taken < wanted:
            yield f"{what} takes {taken} of {resource}, not {wanted}"


def _tile(layer: Layer, run: Run) -> Tile | None:
    """Return the tile a run says it is."""
    number, count = run.cut
    whole = extent_of(layer.outputs[0]).whole
    axis: Axis = "" if count == 1 else "K" if run.output.c1 - run.output.c0 < whole.c1 else "OY"
    try:
        return tiles_of(layer, Cut(axis, count))[number]
    except (ValueError, IndexError):
        return None
