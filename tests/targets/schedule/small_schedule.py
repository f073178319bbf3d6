"""One small valid schedule: two cores, two stages, cuts, streamed and resident weights."""

from __future__ import annotations

import functools

from targets.network.layer import Layer, LoopDims, Operand
from targets.network.workload import ExitPath, Workload
from targets.schedule.machine import OUTER, Machine, Route, Store, Word
from targets.schedule.network import ALL_HELD, Network, network_of
from targets.schedule.plan import LayerChoice, Resident, Segment, finished, simulate
from targets.schedule.regions import Region
from targets.schedule.result import Schedule
from targets.schedule.tiles import WHOLE, Cut
from tests.targets.schedule.random_machines import HOST, FakeCosts

RESIDENT: Resident = {"late.weights": (("b.sram", Region(0, 6, 0, 1)),)}
STREAMED = frozenset("IO")


def conv(name: str, source: Operand, channels: int, producers: tuple[int, ...], stride: int = 1) -> Layer:
    """Return a 3 x 3 convolution, padded by 1."""
    _, c, height, width = source.shape
    oy, ox = (height - 1) // stride + 1, (width - 1) // stride + 1
    dims = LoopDims(1, 1, channels, c, oy, ox, 3, 3, height, width, stride, stride, 1, 1, 1, 1, 1, 1)
    output = Operand(f"{name}.out", (1, channels, oy, ox), 8)
    weight, bias = Operand("", (channels, c, 3, 3), 8), Operand("", (channels,), 32)
    return Layer(
        name, "Conv", (), dims.iterations, dims, (source,), (output,), weight, bias, producers=producers
    )


def gemm(name: str, source: Operand, classes: int, producers: tuple[int, ...]) -> Layer:
    """Return a fully connected layer on all of an image."""
    dims = LoopDims(1, 1, classes, source.elements, 1, 1, 1, 1, 1, 1)
    weight = Operand("", (classes, source.elements), 8)
    output = Operand(f"{name}.out", (1, classes), 32)
    return Layer(name, "Gemm", (), dims.iterations, dims, (source,), (output,), weight, producers=producers)


def small_machine() -> Machine:
    """Return two cores with a store each, a link between them, a bus to the outer store, and a host."""
    word = Word(32, 1.0, 8)
    stores = {
        name: Store(name, size, word, word)
        for name, size in ((OUTER, None), ("a.sram", 30000), ("b.sram", 30000))
    }
    off = (("bus", 16.0), ("port", 16.0))
    routes: dict[tuple[str, str], tuple[Route, ...]] = {}
    routes |= {(OUTER, s): (Route(off, 16, 0.5),) for s in ("a.sram", "b.sram")}
    routes |= {(s, OUTER): (Route(off, 16, 0.5),) for s in ("a.sram", "b.sram")}
    links = (Route((("link", 8.0),), 8, 0.1), Route((("bus", 32.0),), 32, 0.2, setup_cycles=2))
    routes |= {("a.sram", "b.sram"): links, ("b.sram", "a.sram"): links}
    return Machine(
        {"a": 1, "b": 1, "bus": 32, "port": 16, "link": 8, HOST: 3},
        stores,
        {(core, operand): f"{core}.sram" for core in "ab" for operand in "WIO"},
        routes,
        dict.fromkeys("ab", (("port", 16.0), ("bus", 16.0))),
        ((HOST, 1.0),),
        ((HOST, 1.0),),
    )


@functools.cache
def small_schedule() -> tuple[Network, Schedule]:
    """Return a network of two exits and a valid schedule of it."""
    image = Operand("image", (1, 2, 8, 4), 8)
    rows = conv("rows", image, 4, ())
    channels = conv("channels", rows.outputs[0], 4, (0,), stride=2)
    head = gemm("head", channels.outputs[0], 3, (1,))
    late = conv("late", channels.outputs[0], 6, (1,))
    final = gemm("final", late.outputs[0], 3, (3,))
    confidence = Operand("confidence", (1,), 32)
    decide = Layer("decide", "Softmax", (), 0, None, head.outputs, (confidence,), producers=(2,))
    exits = (ExitPath("early", "", (0, 1, 2, 5), 0, True), ExitPath("last", "", (0, 1, 2, 3, 4, 5), 0, False))
    layers = (rows, channels, head, late, final, decide)
    machine = small_machine()
    outputs = frozenset({"head.out", "final.out"})
    costs = FakeCosts(machine, 1, refusals=False)
    network = network_of(Workload(layers, exits, (), outputs), machine, costs, {})
    plan = (
        Segment((0,), (LayerChoice(("a", "b"), Cut("OY", 2)),)),
        Segment((1,), (LayerChoice(("a", "b"), Cut("K", 2)),)),
        Segment((2,), (LayerChoice(("b",), WHOLE, STREAMED),)),
        Segment((5,), (LayerChoice(("a",), WHOLE, ALL_HELD),)),
        Segment((3,), (LayerChoice(("b",), WHOLE, ALL_HELD),)),
        Segment((4,), (LayerChoice(("a",), WHOLE, ALL_HELD),)),
    )
    return network, finished(simulate(network, plan, RESIDENT), RESIDENT)
