"""Networks of small images whose schedules can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from targets.cost.layer_cost import LayerCost
from targets.network.layer import Layer, LoopDims, Operand
from targets.network.workload import ExitPath, Workload
from targets.schedule.machine import OUTER, Machine, Route, Store, Word
from targets.schedule.network import ALL_HELD, Held, Network, Option, network_of
from targets.schedule.plan import LayerChoice, Plan, Segment

# Of an image: 4 channels of 8 rows, 64 bits a row of all channels.
SHAPE, ELEMENTS, IMAGE_BITS = (1, 4, 8, 2), 64, 512
# Of a convolution: 4 x 4 weights of 8 bits.
WEIGHT_BITS = 128
# Cycles an image, and the weights of a convolution, take on the bus.
IMAGE_CYCLES, WEIGHT_CYCLES = 8, 2


def image(name: str) -> Operand:
    """Return a tensor of :data:`SHAPE`."""
    return Operand(name, SHAPE, 8)


def pointwise(name: str, *sources: str, op: str = "") -> Layer:
    """Return a layer that works on each element of one image, or of two; it writes ``<name>.out``."""
    op = op or ("Relu" if len(sources) == 1 else "Add")
    return Layer(name, op, (), 0, None, tuple(map(image, sources)), (image(f"{name}.out"),))


def conv(name: str, source: str) -> Layer:
    """Return a 1 x 1 convolution of an image; it writes ``<name>.out``."""
    dims = LoopDims(1, 1, 4, 4, 8, 2, 1, 1, 8, 2)
    weight = Operand("", (4, 4, 1, 1), 8)
    return replace(pointwise(name, source, op="Conv"), macs=dims.iterations, dims=dims, weight=weight)


def never(tile: Layer, core: str, held: Held) -> bool:  # noqa: ARG001
    """Refuse nothing."""
    return False


@dataclass(frozen=True)
class TableCosts:
    """Cycles per layer, of which a tile takes its share, and those of starting it; as much energy in pJ.

    Attributes:
        cycles: Of whole layers, by name.
        names: The cores.
        factors: How many times the cycles a core takes; cores of one factor are alike.
        energies_pj: Energy per cycle of a core, where it is not 1.
        buffers: What tiles of a layer take besides, by its name.
        only: The cores that run a layer, where not all do.
        refuses: Whether no mapping of a tile fits.
        starting: Cycles of any tile beyond its share.
    """

    cycles: Mapping[str, int]
    names: tuple[str, ...] = ("a", "b")
    factors: Mapping[str, int] = field(default_factory=dict)
    energies_pj: Mapping[str, float] = field(default_factory=dict)
    buffers: Mapping[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refuses: Callable[[Layer, str, Held], bool] = never
    starting: int = 0

    def cores(self, layer: Layer) -> tuple[str, ...]:
        """Return the cores that run a layer."""
        return self.only.get(layer.name, self.names)

    def alike(self, core: str) -> str:
        """Return the first core of the same factor."""
        return next(c for c in self.names if self.factors.get(c, 1) == self.factors.get(core, 1))

    def option(self, tile: Layer, core: str, held: Held) -> Option | None:
        """Return the cost of a tile."""
        if self.refuses(tile, core, held):
            return None
        share = self.cycles[tile.name] * self.factors.get(core, 1) * tile.output_elements // ELEMENTS
        cycles = share + self.starting
        energy_pj = cycles * self.energies_pj.get(core, 1.0)
        cost = LayerCost(cycles, 0, 0, 0, energy_pj, 1.0, 1, "placeholder")
        return Option(cost, self.buffers.get(tile.name, ()))

    def resources(self, core: str, cost: LayerCost) -> tuple[tuple[str, float], ...]:  # noqa: ARG002
        """Return the core."""
        return ((core, 1.0),)


def bus_machine(
    cores: Sequence[str] = ("a", "b"), size_bits: int | None = None, outer_bits: int | None = None
) -> Machine:
    """Return cores with a store each, ``<core>.sram``, on a bus for one image in :data:`IMAGE_CYCLES`.

    A word of 64 bits costs 10 pJ off chip, 1 pJ in the store of a core, and nothing on the bus.
    """
    names = [f"{core}.sram" for core in cores]
    stores = {name: Store(name, size_bits, Word(64, 1.0), Word(64, 1.0)) for name in names}
    stores[OUTER] = Store(OUTER, outer_bits, Word(64, 10.0), Word(64, 10.0))
    way = (Route((("bus", 64.0),), 64.0),)
    return Machine(
        dict.fromkeys(cores, 1.0) | {"bus": 64.0},
        stores,
        {(core, operand): f"{core}.sram" for core in cores for operand in "WIO"},
        {(one, other): way for one in stores for other in stores if one != other},
        dict.fromkeys(cores, (("bus", 64.0),)),
    )


def network(
    layers: Sequence[Layer],
    costs: TableCosts,
    machine: Machine | None = None,
    stages: Sequence[Sequence[str]] | None = None,
    outputs: Sequence[str] = (),
) -> Network:
    """Return the network of ``layers``, by name in ``stages``; without these there is one exit behind all."""
    maker = {t.name: i for i, layer in enumerate(layers) for t in layer.outputs}
    numbered = tuple(
        replace(layer, producers=tuple(sorted({maker[t.name] for t in layer.inputs if t.name in maker})))
        for layer in layers
    )
    index = {layer.name: i for i, layer in enumerate(layers)}
    paths, members = [], set[int]()
    for number, names in enumerate(stages if stages is not None else [[layer.name for layer in layers]]):
        members |= {index[name] for name in names}
        paths.append(ExitPath(f"exit{number}", "", tuple(sorted(members)), 0, False))
    workload = Workload(numbered, tuple(paths), (), frozenset(outputs))
    second = {i: layer.op_type == "Add" for i, layer in enumerate(layers)}
    return network_of(workload, machine or bus_machine(costs.names), costs, second)


def one_by_one(made: Network, cores: Sequence[str], held: Held = ALL_HELD) -> Plan:
    """Return the plan that puts each layer whole on a core, in order."""
    return tuple(
        Segment((index,), (LayerChoice((core,), held=held),))
        for index, core in zip(made.order, cores, strict=True)
    )


def three_exits(cycles: Sequence[int]) -> tuple[Network, Plan]:
    """Return three stages of a layer and a head, of so many cycles, on a, b and a again.

    The layer of a stage reads that of the stage before, and hands its result on to its head and the next.
    """
    names = ["s0", "head0", "s1", "head1", "s2", "head2"]
    sources = ["x", "s0.out", "s0.out", "s1.out", "s1.out", "s2.out"]
    layers = [pointwise(name, source) for name, source in zip(names, sources, strict=True)]
    costs = TableCosts(dict(zip(names, cycles, strict=True)))
    made = network(layers, costs, stages=[names[:2], names[2:4], names[4:]])
    return made, one_by_one(made, "aabbaa")
