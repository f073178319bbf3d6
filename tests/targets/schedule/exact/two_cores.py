"""Problems of two cores that are solved by hand: what layers cost is given, what moves takes whole cycles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from targets.cost.layer_cost import LayerCost
from targets.network.layer import Layer, LoopDims, Operand
from targets.network.workload import ExitPath, Workload
from targets.schedule.machine import OUTER, Machine, Route, Store, Word
from targets.schedule.network import Held, Network, Option, network_of
from targets.schedule.plan import LayerChoice, Plan, Segment
from targets.schedule.tiles import WHOLE, Cut


@dataclass(frozen=True)
class FixedCosts:
    """Cycles per layer for a whole layer, a share of them for a tile; as much energy in pJ.

    Attributes:
        cycles: By layer.
        only: The cores of layers that not all of them run.
        slower: By core, how many times as long it takes.
        buffers: By layer, what it keeps in stores beside its operands.
    """

    cycles: Mapping[str, int]
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    slower: Mapping[str, int] = field(default_factory=dict)
    buffers: Mapping[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)

    def cores(self, layer: Layer) -> tuple[str, ...]:
        return self.only.get(layer.name, ("a", "b"))

    def alike(self, core: str) -> str:  # noqa: ARG002
        return "a"

    def option(self, tile: Layer, core: str, held: Held) -> Option | None:  # noqa: ARG002
        cycles = self.cycles[tile.name] * tile.outputs[0].shape[2] // 8 * self.slower.get(core, 1)
        cost = LayerCost(cycles, 0, 0, 0, float(cycles), 1.0, 1, "placeholder")
        return Option(cost, self.buffers.get(tile.name, ()))

    def resources(self, core: str, cost: LayerCost) -> tuple[tuple[str, float], ...]:  # noqa: ARG002
        return ((core, 1.0),)


def image(name: str) -> Operand:
    """Return 8 rows of 64 bits."""
    return Operand(name, (1, 1, 8, 8), 8)


def elementwise(name: str, source: str, target: str, producers: tuple[int, ...] = ()) -> Layer:
    return Layer(name, "Relu", (), 0, None, (image(source),), (image(target),), producers=producers)


def window(name: str, source: str, target: str, producers: tuple[int, ...] = ()) -> Layer:
    """Return a convolution by 3 rows, padded by 1, that keeps the size; its weights have 24 bits."""
    dims = LoopDims(1, 1, 1, 1, 8, 8, 3, 1, 8, 8, pad_top=1, pad_bottom=1)
    return Layer(
        name, "Conv", (), dims.iterations, dims, (image(source),), (image(target),),
        Operand("", (1, 1, 3, 1), 8), producers=producers,
    )  # fmt: skip


def two_cores(link_bits: float, size_bits: int | None, *, shared: bool = False) -> Machine:
    """Return two cores with a store each, or one for both, joined by a link and by a fast way off chip."""
    free = Word(64)
    names = ("both", "both") if shared else ("left", "right")
    stores = {name: Store(name, size_bits, free, free) for name in names}
    stores[OUTER] = Store(OUTER, None, free, free)
    off_chip = (Route((("port", 1.0),), 512.0),)
    routes = {pair: off_chip for name in names for pair in ((OUTER, name), (name, OUTER))}
    if not shared:
        link = (Route((("link", 1.0),), link_bits),)
        routes |= {("left", "right"): link, ("right", "left"): link}
    places = {(core, op): store for core, store in zip(("a", "b"), names, strict=True) for op in "WIO"}
    capacities = {"a": 1.0, "b": 1.0, "port": 1.0, "link": 1.0}
    return Machine(capacities, stores, places, routes)


def network(
    machine: Machine, layers: tuple[Layer, ...], costs: FixedCosts, *outputs: str, early: tuple[int, ...] = ()
) -> Network:
    """Return ``layers`` as a network whose first exit, if there are two, needs the layers ``early``."""
    paths = [ExitPath("early", "", early, 0, True)] if early else []
    paths.append(ExitPath("final", "", tuple(range(len(layers))), 0, False))
    workload = Workload(layers, tuple(paths), (), frozenset(outputs))
    return network_of(workload, machine, costs, {})


def plan(network_: Network, cut: Cut = WHOLE) -> Plan:
    return tuple(Segment((i,), (LayerChoice(("a",) * cut.parts, cut),)) for i in network_.order)


def independent(machine: Machine) -> Network:
    layers = (elementwise("l", "x", "p"), elementwise("m", "y", "q"))
    return network(machine, layers, FixedCosts({"l": 100, "m": 60}), "p", "q")


def chain(machine: Machine, costs: FixedCosts) -> Network:
    """Return two layers one behind the other, called ``l`` and ``m``, from ``x`` over ``p`` to ``q``."""
    layers = (elementwise("l", "x", "p"), elementwise("m", "p", "q", (0,)))
    return network(machine, layers, costs, "q")
