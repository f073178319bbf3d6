from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from eecompile import api
from passes.errors import NoSolutionError
from passes.model.graph import from_model
from passes.registry import parse_pipeline
from targets.contract.placement import Placement
from targets.cost.layer_cost import LayerCost
from targets.evaluation.report import evaluate
from targets.max78000.target import Max78000Target
from targets.network.layer import Layer
from targets.network.workload import ExitPath, Workload
from targets.schedule.check.checker import problems
from targets.testing.conformance import TargetConformance, sample_layer
from tests.passes.net_builder import NetBuilder
from tests.shared_files import shared
from tests.targets.graphs import lowered, residual
from tests.targets.max78000.test_constraints import product
from tests.targets.max78000.test_jobs import conv, padded
from tests.targets.networks import linear_layer, square

CHIP = Max78000Target()
FOLDER = Path(__file__).parents[3] / "targets" / "max78000"
EXAMPLE = Path(__file__).parents[3] / "examples" / "digits_resnet.onnx"
PICOJOULE_PER_CYCLE = 46.5e-3 / 50e6 * 1e12


class TestAtTheFirstPoint(TargetConformance):
    target = CHIP


class TestAtTheSlowPoint(TargetConformance):
    target = Max78000Target(point="25MHz")


def placed(layer: Layer) -> LayerCost:
    result = CHIP.place(layer)
    assert isinstance(result, Placement), str(result)
    return result.cost


def one_after_another(*layers: Layer) -> Workload:
    named = tuple(replace(layer, name=f"layer_{i}") for i, layer in enumerate(layers))
    return Workload(named, (ExitPath("final", "", tuple(range(len(named))), 0, False),), ())


def test_a_convolution_costs_the_vendors_cycles_at_the_mean_power() -> None:
    cost = placed(linear_layer(padded(square(64, 3, 32, 3))))
    assert cost.compute_cycles == cost.latency_cycles == 67981 - 1, "ai8x-synthesis, izer/test/test_cycles.py"
    assert cost.energy_pj == pytest.approx(67980 * PICOJOULE_PER_CYCLE)
    assert cost.utilization == pytest.approx(64 * 3 * 9 * 1024 / 576 / 67980) and cost.known == "published"


def test_weights_of_any_width_take_the_same_cycles() -> None:
    layer = conv()
    assert layer.weight is not None
    costs = {placed(replace(layer, weight=replace(layer.weight, bits=bits))) for bits in (1, 2, 4, 8)}
    assert len(costs) == 1


def test_thinning_out_is_a_job_of_its_own_and_needs_room() -> None:
    wide = conv(oy=16, ox=16, stride_y=2, stride_x=2)
    assert placed(wide).compute_cycles == placed(conv()).compute_cycles + 16 * 16 * 3
    assert CHIP.workspace_bits(wide, "cnn") == 8 * 32 * 32 * 16
    assert CHIP.workspace_bits(wide, "host") == CHIP.workspace_bits(conv(), "cnn") == 0


def test_a_decision_is_of_the_host_with_the_start_of_what_follows() -> None:
    softmax = sample_layer("Softmax")
    decision = placed(replace(softmax, exit_name="exit_0"))
    assert decision.job_cycles == 2000 and placed(softmax).job_cycles == 0
    assert decision.host_cycles == 1024 * (50 + 2) and placed(softmax).host_cycles == 1024 * 50
    assert decision.energy_pj == pytest.approx((1024 * 52 + 2000) * 6.66e-3 / 50e6 * 1e12)


@pytest.mark.parametrize("form", ["float", "lowered"])
def test_a_residual_network_has_its_tensors_in_data_memory_and_no_weights(form: str) -> None:
    graph = residual() if form == "float" else lowered(residual())
    parse_pipeline("fuse-layers{before=16}")(graph)
    report = evaluate(graph, CHIP)
    found = {layer.layer.name: layer.cost.latency_cycles for layer in report.layers}
    # A row of zeros and one that fill the line buffers, 30 cycles each, then eight of 22 and 64 outputs.
    assert found["conv_0"] == found["conv_1"] == 30 + 30 + 8 * (22 + 64)
    assert found["add_0"] == 64 * (2 * 2 + 8)
    assert found["gemm_1"] == 64 + 1 + 12
    network = report.planned.network
    assert problems(network, report.planned.schedule) == []
    assert set(network.beyond) == {f"{name}.weights" for name in ("conv_0", "conv_1", "gemm_0", "gemm_1")}
    stays = report.planned.schedule.stays
    assert not any(stay.tensor in network.beyond and stay.bits for stay in stays)


@pytest.mark.parametrize(
    ("layers", "told", "hint"),
    [
        (
            [linear_layer(padded(square(64, 64, 8, 3)))] * 13,
            "its weights need 832 words of 72 bits of a processor's weight memory, there are 768",
            "use narrower weights",
        ),
        ([product(4, 512)] * 5, "it has 2,560 biases, there is room for 2,048", "leave biases away"),
        (
            [replace(product(4, 4), bias=None)] * 33,
            "up to exit 'final' it has 33 layers, there may be 32 at a time",
            "each stage is a network of its own",
        ),
    ],
)
def test_what_all_layers_together_have_too_little_of(layers: list[Layer], told: str, hint: str) -> None:
    assert CHIP.shortages(one_after_another(*layers[:-1])) == ()
    (shortage,) = CHIP.shortages(one_after_another(*layers))
    assert shortage.sentence == told and hint in shortage.hint


def test_layers_count_for_each_stage() -> None:
    workload = one_after_another(*[replace(product(4, 4), bias=None)] * 40)
    paths = tuple(ExitPath(name, "", tuple(range(end)), 0, end < 40) for name, end in (("a", 20), ("b", 40)))
    assert CHIP.shortages(replace(workload, exits=paths)) == ()


def test_a_network_whose_weights_do_not_fit_is_refused_and_fits_with_fewer_bits() -> None:
    net = NetBuilder((1, 64, 8, 8))
    x = "x"
    for _ in range(13):
        x = net.conv(x, 64, 64, 3)
    graph = from_model(net.model(x))
    parse_pipeline(CHIP.pipeline(quantized=False))(graph)
    with pytest.raises(NoSolutionError, match="does not fit max78000: its weights need 832 words"):
        evaluate(graph, CHIP)
    narrow = replace(CHIP.precision, weight=4)
    assert evaluate(graph, CHIP, bits=narrow).refusals == ()


def test_a_tensor_at_stride_one_needs_room_beside_its_input() -> None:
    """64 x 64 x 64 lie in the data memories while they are thinned out, beside as much and a quarter."""
    net = NetBuilder((1, 64, 64, 64))
    graph = from_model(net.model(net.conv("x", 64, 64, 3, strides=[2, 2])))
    parse_pipeline(CHIP.pipeline(quantized=False))(graph)
    with pytest.raises(NoSolutionError, match="in data at once"):
        evaluate(graph, CHIP)


def test_exits_of_the_example_are_stages_of_the_accelerator() -> None:
    report = api.cost(EXAMPLE, "max78000", exits=2)
    cores = {layer.layer.name: layer.core for layer in report.layers}
    assert {name for name, core in cores.items() if core == "host"} == {
        "exit_0.decide", "exit_1.decide", "final.softmax"
    }  # fmt: skip
    cycles = [path.cost.latency_cycles for path in report.exits]
    assert cycles == sorted(cycles)


def test_resnet8_costs_what_the_results_page_says() -> None:
    report = api.cost(shared("models", "resnet8_cifar10.onnx"), "max78000")
    page = (FOLDER.parents[1] / "docs" / "results" / "max78000.md").read_text(encoding="utf-8")
    assert f"| ResNet8 | max78000 | {report.total.latency_cycles:,} |" in page
    # The longest of its twelve jobs, 3 x 3 at stride 2, is computed at stride 1.
    assert max(layer.cost.latency_cycles for layer in report.layers) == 35980


def test_the_validation_holds_what_is_predicted() -> None:
    from tools.experiments.max78000 import MEASURED_POWERS, predicted_cycles, spread
    from tools.experiments.max78000_counts import CYCLES_PER_US, PUBLISHED

    held = yaml.safe_load((FOLDER / "validation.yaml").read_text(encoding="utf-8"))
    assert len(held["networks"]) == len(PUBLISHED) + len(MEASURED_POWERS)
    for entry in held["networks"]:
        assert entry["point"] in {p.name for p in CHIP.arch.operating_points}
        assert entry["cost_model"] in CHIP.cost_models
    for power, entry in zip(MEASURED_POWERS, held["networks"][len(PUBLISHED) :], strict=True):
        assert (entry["network"], entry["source"]) == (power.network, power.source)
        assert entry["energy_pj"] == {"measured": power.measured_pj, "predicted": power.predicted_pj}
        assert entry["fitted"], "the power of hardware.yaml is their mean"
    for published, entry in zip(PUBLISHED, held["networks"], strict=False):
        assert entry["network"].split(" ")[0] == published.name
        assert entry["latency_cycles"] == {
            "measured": published.time_us * CYCLES_PER_US, "predicted": predicted_cycles(published)
        }  # fmt: skip
        assert not entry["fitted"]
        assert f"{published.time_us:,} us" in entry["source"]
    low, high = spread()
    assert (held["spread"]["energy"]["low"], held["spread"]["energy"]["high"]) == (low, high)
    for power in MEASURED_POWERS:
        assert low * power.predicted_pj <= power.measured_pj <= high * power.predicted_pj
