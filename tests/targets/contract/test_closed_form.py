from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from passes.model.graph import load
from passes.registry import parse_pipeline
from targets.contract.closed_form import ClosedFormCosts, closed_form_machine
from targets.contract.placement import Placement
from targets.contract.target import Target
from targets.diana.target import DianaTarget
from targets.evaluation.scheduling import no_room
from targets.network.layer import Layer, Operand
from targets.network.workload import ExitPath, Workload, build_workload
from targets.schedule.machine import OUTER
from targets.schedule.network import ALL_HELD, Network, network_of
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import LayerChoice, Plan, Segment, simulate
from targets.schedule.state import State
from tests.shared_files import shared
from tests.targets.graphs import residual
from tests.targets.networks import linear_layer, square

DIANA = DianaTarget()


def seen(workload: Workload, target: Target = DIANA) -> Network:
    machine = target.machine()
    return network_of(workload, machine, target.costs(machine, workload), {})


def cheapest(network: Network, target: Target = DIANA) -> Plan:
    """Return each layer whole on its cheapest core."""
    cores = []
    for index in network.order:
        placed = target.place(network.layer(index))
        assert isinstance(placed, Placement)
        cores.append(placed.core)
    return tuple(Segment((i,), (LayerChoice((c,)),)) for i, c in zip(network.order, cores, strict=True))


def chain(*layers: Layer) -> Workload:
    numbered = tuple(
        replace(layer, name=f"layer_{i}", producers=(i - 1,) if i else ()) for i, layer in enumerate(layers)
    )
    return Workload(numbered, (ExitPath("final", "", tuple(range(len(layers))), 0, False),), ())


def add(first: str, second: str, result: str, channels: int, size: int) -> Layer:
    shape = (1, channels, size, size)
    inputs = (Operand(first, shape, 8), Operand(second, shape, 8))
    return Layer("add", "Add", (), 0, None, inputs, (Operand(result, shape, 8),))


@pytest.mark.parametrize("model", ["match", "odimo", "engine"])
def test_layers_follow_one_another_at_the_cost_of_the_target(model: str) -> None:
    target = DianaTarget(model)
    workload = build_workload(residual(softmax=True), target.precision)
    network = seen(workload, target)
    state = simulate(network, cheapest(network, target))
    placed = {layer.name: target.place(layer) for layer in workload.layers}
    for path, end in zip(workload.exits, state.stage_ends, strict=True):
        costs = [placed[workload.layers[i].name] for i in path.layers]
        assert end == sum(p.cost.latency_cycles for p in costs if isinstance(p, Placement))
    assert state.energy_pj == pytest.approx(
        sum(p.cost.energy_pj for p in placed.values() if isinstance(p, Placement))
    )
    assert not list(state.moves), "trips are part of a layer's cost"


@pytest.mark.parametrize(("model", "cycles"), [("match", 162_623), ("odimo", 109_284), ("engine", 96_684)])
def test_resnet8_keeps_its_published_figures(model: str, cycles: int) -> None:
    target = DianaTarget(model)
    graph = load(shared("models", "resnet8_cifar10.onnx"))
    parse_pipeline(target.pipeline(quantized=False))(graph)
    network = seen(build_workload(graph, target.precision), target)
    assert simulate(network, cheapest(network, target)).end == cycles, "the figure in DIANA's README"


def test_runs_take_their_core_the_dma_and_the_waiting_host() -> None:
    costs = ClosedFormCosts(DIANA)
    layer = linear_layer(square(16, 16, 16, 3))
    assert costs.cores(layer) == ("digital",)
    cost = DIANA.cost(layer, "digital")
    assert costs.resources("digital", cost) == (("digital", 1.0), ("dma", 1.0), ("host", 1.0))
    without = replace(cost, dma_cycles=0)
    assert costs.resources("digital", without) == (("digital", 1.0), ("host", 1.0)), "it waits busily"
    assert costs.resources("host", without) == (("host", 1.0),)


def test_rules_hold_for_parts_of_layers() -> None:
    costs = ClosedFormCosts(DIANA)
    layer = linear_layer(square(16, 16, 16, 3))
    option = costs.option(layer, "digital", ALL_HELD)
    assert option is not None and option.cost == DIANA.cost(layer, "digital")
    assert costs.option(layer, "analog", ALL_HELD) is None, "its weights are not ternary"


def test_without_an_outer_memory_room_is_endless() -> None:
    machine = closed_form_machine(DIANA.arch)
    assert machine.stores[OUTER].size_bits is None
    assert dict(machine.capacities) == dict.fromkeys(
        ("digital", "analog", "pooling", "simd", "host", "dma"), 1.0
    )


def test_weights_stay_in_l2_and_inputs_until_their_last_use() -> None:
    first = linear_layer(square(16, 16, 16, 3))
    second = replace(first, inputs=first.outputs, outputs=(replace(first.outputs[0], name="z"),))
    network = seen(chain(first, second))
    state = simulate(network, cheapest(network))
    kept = {(stay.tensor, stay.bits // 8) for stay in state.stays if stay.end is None}
    weight_bytes = 16 * 16 * 9 + 16 * 4
    assert kept == {("layer_0.weights", weight_bytes), ("layer_1.weights", weight_bytes)}
    (of_input,) = [stay for stay in state.stays if stay.tensor == "x"]
    assert (of_input.store, of_input.bits, of_input.start) == (OUTER, 8 * 4096, 0)
    assert of_input.end == next(iter(state.runs)).end, "nothing reads it after the first layer"


def test_weights_beyond_l2_do_not_fit_where_no_memory_is_behind_it() -> None:
    first = linear_layer(square(256, 256, 8, 3))
    second = replace(first, inputs=first.outputs, outputs=(replace(first.outputs[0], name="z"),))
    network = seen(chain(first, second))
    with pytest.raises(NoRoomError) as caught:
        simulate(network, cheapest(network))
    assert (DIANA.beyond(network.workload), DIANA.warnings(network.workload)) == ({}, ())
    of_each, tensor = 256 * 256 * 9 + 256 * 4, 256 * 64
    assert caught.value.weight_bits == 8 * of_each
    assert no_room(caught.value, network).message == (
        f"layer 'layer_0' needs {2 * (of_each + tensor):,} bytes in l2 at once: {2 * of_each:,} for the "
        f"weights that lie there and {2 * tensor:,} for tensors; there are 524,288"
    )


def test_tensors_alive_together_beyond_l2_are_infeasible() -> None:
    network = seen(chain(add("x", "x2", "a", 64, 56), add("a", "x", "b", 64, 56)))
    with pytest.raises(NoRoomError) as caught:
        simulate(network, cheapest(network))
    error = no_room(caught.value, network)
    # x, x2 and a at once, 64 x 56 x 56 bytes each; every tensor by itself fits.
    assert "layer 'layer_0' needs 602,112 bytes in l2 at once" in error.message
    assert error.message.endswith("there are 524,288") and "smaller input" in error.hint


def test_inputs_beyond_l2_are_infeasible_at_once() -> None:
    network = seen(chain(add("x", "x2", "a", 64, 72)))
    with pytest.raises(NoRoomError) as caught:
        State(network)
    assert caught.value.bits + caught.value.held_bits == 2 * 8 * 64 * 72 * 72


@dataclass(frozen=True)
class _WithWorkspace(DianaTarget):
    """DIANA whose convolutions need the given bytes of L2 while they run."""

    workspace_bytes: int = 0

    def workspace_bits(self, layer: Layer, core: str) -> int:
        return 8 * self.workspace_bytes if (layer.op_type, core) == ("Conv", "digital") else 0


@pytest.mark.parametrize("workspace_bytes", [0, 513_000, 514_000])
def test_what_a_layer_needs_beside_its_tensors_has_to_fit_too(workspace_bytes: int) -> None:
    target = _WithWorkspace(workspace_bytes=workspace_bytes)
    workload = chain(linear_layer(square(16, 16, 16, 3)))
    network = seen(workload, target)
    if workspace_bytes > 524_288 - 2 * 4096 - 2368:
        with pytest.raises(NoRoomError):
            simulate(network, cheapest(network, target))
        return
    state = simulate(network, cheapest(network, target))
    buffers = [stay.bits for stay in state.stays if stay.tensor not in network.extents]
    assert buffers == ([8 * workspace_bytes] if workspace_bytes else [])
