from __future__ import annotations

from pathlib import Path

import pytest

from passes.errors import InputError
from targets import edge_tpu_quad
from targets.contract.placement import Placement
from targets.description.architecture import parse_architecture
from targets.edge_tpu_quad.target import EdgeTpuQuadTarget
from targets.evaluation.report import evaluate
from targets.network.layer import LoopDims
from targets.objective import LATENCY
from targets.testing.conformance import TargetConformance, sample_layer
from tests.targets.graphs import residual
from tests.targets.networks import linear_layer

QUAD = EdgeTpuQuadTarget()
SOURCE = "the authors' artefact of arXiv 2512.04705"


class TestQuad(TargetConformance):
    target = QUAD


def test_the_numbers_are_those_of_the_paper() -> None:
    cores = [core for core in QUAD.arch.cores if core.kind == "mac_array"]
    arrays = [core.array for core in cores if core.array is not None]
    assert [array.units for array in arrays] == [1024] * 4, SOURCE
    assert {array.operation_energy_pj for array in arrays} == {0.04}, SOURCE
    sizes = {name: level.size_bits for name, level in cores[0].memories.items()}
    assert sizes["weight_sram"] == 32 * 1024 * 8 and sizes["activation_sram"] == 2 * 1024 * 1024 * 8, SOURCE
    dram = QUAD.arch.offchip["dram"]
    assert (dram.read_energy_pj, dram.ports[0].bandwidth_bits_per_cycle) == (1000, 64), SOURCE
    pooling, simd = QUAD.arch.core("pooling").array, QUAD.arch.core("simd").array
    assert pooling is not None and pooling.units == 72, "3 x 3 x 8, not the core of 9 units beside it"
    assert simd is not None and simd.units == 64, SOURCE
    assert QUAD.arch.clock_hz is None and len(QUAD.arch.links) == 14, SOURCE


def test_every_number_is_listed_with_its_source() -> None:
    figures = QUAD.arch.figures()
    assert figures["offchip.dram.read_energy_pj"].value == 1000
    assert figures["cores[4].array.dimensions.D3"].known == "published"
    assert all("2512.04705" in figure.source for figure in figures.values())


def test_the_four_cores_are_equal() -> None:
    first, *others = [QUAD.arch.hierarchy(f"core_{i}") for i in range(4)]
    assert all(other == first for other in others)


def test_an_array_dimension_that_only_memories_off_chip_serve_is_refused() -> None:
    text = (Path(edge_tpu_quad.__file__).parent / "hardware.yaml").read_text()
    with pytest.raises(InputError, match=r"cores\[0\].memories: none serves array dimension 'D1'"):
        parse_architecture(text.replace("served_dimensions: [D1, ", "served_dimensions: ["), "quad.yaml")


def test_convolutions_use_the_whole_array_and_others_their_own_core() -> None:
    conv = QUAD.place(sample_layer("Conv", channels=64, size=16), LATENCY)
    assert isinstance(conv, Placement) and conv.core == "core_0"
    assert conv.cost.compute_cycles == 64 * 64 * 9 * 256 // 1024, "64 channels divide the array"
    report = evaluate(residual(), QUAD)
    kinds = {
        layer.layer.op_type: {QUAD.arch.core(core).kind for core in layer.cores} for layer in report.layers
    }
    assert kinds == {
        "Conv": {"mac_array"},
        "Gemm": {"mac_array"},
        "Add": {"simd"},
        "MaxPool": {"pooling"},
        "GlobalAveragePool": {"pooling"},
        "Softmax": {"simd"},
    }
    assert report.total.latency_s is None and report.total.edp_j_cycles > 0


@pytest.mark.parametrize(("rules", "holds"), [("exact", True), ("zigzag", False)])
def test_a_layer_takes_as_long_as_its_weights_need_to_come(rules: str, holds: bool) -> None:
    """1,690 x 512 weights of 8 bits over a port of 64 bits: 108,160 cycles."""
    layer = linear_layer(LoopDims(1, 1, 512, 1690, 1, 1, 1, 1, 1, 1), "Gemm")
    cost = QUAD.counted_by(rules).for_objective(LATENCY).cost(layer, "core_0")
    assert cost.detail is not None and cost.detail.bound_cycles == 1690 * 512 * 8 / 64
    assert (cost.latency_cycles >= cost.detail.bound_cycles) is holds
