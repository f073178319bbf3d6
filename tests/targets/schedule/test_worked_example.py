"""The schedule that docs/scheduling.md works out by hand: one convolution on two cores behind one bus."""

from __future__ import annotations

import pytest

from targets.cost.layer_cost import LayerCost
from targets.network.layer import Layer, LoopDims, Operand
from targets.network.workload import ExitPath, Workload
from targets.schedule.check.checker import problems
from targets.schedule.machine import OUTER, Machine, Route, Store, Word
from targets.schedule.network import ALL_HELD, Held, Network, Option, network_of
from targets.schedule.plan import LayerChoice, Resident, Segment, finished, simulate
from targets.schedule.regions import Region
from targets.schedule.tiles import WHOLE, Cut

PAGE = "docs/scheduling.md, section 14"
WORD = Word(32)
STORES = {"a.sram": 40_960, "b.sram": 40_960}
ROWS, CHANNELS = Cut("OY", 2), Cut("K", 2)


class Products:
    """Costs of 64 products per cycle."""

    def cores(self, layer: Layer) -> tuple[str, ...]:  # noqa: ARG002
        """Return both cores."""
        return ("a", "b")

    def alike(self, core: str) -> str:  # noqa: ARG002
        """Return one name for both."""
        return "a"

    def option(self, tile: Layer, core: str, held: Held) -> Option:  # noqa: ARG002
        """Return the cost of a tile."""
        return Option(LayerCost(tile.macs // 64, 0, 0, 0, 0.0, 1.0, 1, "placeholder"))

    def resources(self, core: str, cost: LayerCost) -> tuple[tuple[str, float], ...]:  # noqa: ARG002
        """Return the core."""
        return ((core, 1.0),)


def example() -> Network:
    """Return a 1 x 1 convolution from 32 to 32 channels on 8 x 8 pixels."""
    dims = LoopDims(1, 1, 32, 32, 8, 8, 1, 1, 8, 8)
    image, output = Operand("image", (1, 32, 8, 8), 8), Operand("result", (1, 32, 8, 8), 8)
    layer = Layer("conv", "Conv", (), 65_536, dims, (image,), (output,), Operand("", (32, 32, 1, 1), 8))
    stores = {name: Store(name, size, WORD, WORD) for name, size in STORES.items()}
    stores[OUTER] = Store(OUTER, None, WORD, WORD)
    way = (Route((("bus", 32.0),), 32),)
    machine = Machine(
        {"a": 1, "b": 1, "bus": 32},
        stores,
        {(core, operand): f"{core}.sram" for core in "ab" for operand in "WIO"},
        {(one, other): way for one in stores for other in stores if one != other},
    )
    exits = (ExitPath("final", "", (0,), 65_536, False),)
    return network_of(Workload((layer,), exits, (), frozenset({"result"})), machine, Products(), {})


@pytest.mark.parametrize(
    ("cut", "kept", "cycles"),
    [
        (WHOLE, False, 2304), (CHANNELS, False, 2688), (ROWS, False, 1792),
        (WHOLE, True, 2048), (CHANNELS, True, 1792), (ROWS, True, 1280),
    ],
)  # fmt: skip
def test_cycles_of_the_page(cut: Cut, kept: bool, cycles: int) -> None:
    network = example()
    cores = ("a", "b")[: cut.parts]
    parts = {"a": Region(0, 32, 0, 1), "b": Region(0, 32, 0, 1)}
    if cut == CHANNELS:
        parts = {"a": Region(0, 16, 0, 1), "b": Region(16, 32, 0, 1)}
    places = tuple((f"{core}.sram", parts[core]) for core in cores)
    resident: Resident = {"conv.weights": places} if kept else {}
    plan = (Segment((0,), (LayerChoice(cores, cut, ALL_HELD),)),)
    schedule = finished(simulate(network, plan, resident), resident)
    assert not problems(network, schedule)
    assert schedule.latency_cycles == cycles, PAGE


def test_what_happens_when_on_the_page() -> None:
    plan = (Segment((0,), (LayerChoice(("a", "b"), ROWS, ALL_HELD),)),)
    schedule = finished(simulate(example(), plan))
    assert [(run.core, run.start, run.end) for run in schedule.runs] == [
        ("a", 512, 1024),
        ("b", 1024, 1536),
    ], PAGE
    assert [(m.tensor, m.start, m.end) for m in schedule.moves] == [
        ("conv.weights", 0, 256), ("image", 256, 512), ("conv.weights", 512, 768), ("image", 768, 1024),
        ("result", 1024, 1280), ("result", 1536, 1792),
    ], PAGE  # fmt: skip
