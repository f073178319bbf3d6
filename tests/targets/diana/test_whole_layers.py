from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.contract.placement import Placement, Refusal
from targets.diana.target import DianaTarget
from targets.evaluation.report import evaluate
from targets.network.layer import Layer, Operand
from targets.objective import EDP, Objective
from targets.testing.conformance import sample_layer
from tests.targets.graphs import graph_of
from tests.targets.networks import linear_layer, loops, square

DIANA = DianaTarget()


def refusal(layer: Layer) -> Refusal:
    result = DIANA.place(layer)
    assert isinstance(result, Refusal)
    return result


def placed(layer: Layer, objective: Objective = EDP) -> Placement:
    result = DIANA.place(layer, objective)
    assert isinstance(result, Placement)
    return result


def conv(**changes: int) -> Layer:
    dims = replace(square(16, 16, 16, 3), **changes)
    return linear_layer(dims)


def test_an_ordinary_convolution_runs_on_the_digital_core() -> None:
    placement = placed(conv())
    assert placement.core == "digital"
    assert [(r.core, r.rule) for r in placement.declined] == [("analog", "Weights are ternary")]
    cost = placement.cost
    assert cost.compute_cycles == 16 * 263, "MATCH: 16*9 + 2*16*3 + 23 cycles per row"
    assert cost.dma_cycles == (4096 + 4096 + 16 * 144 + 64) // 16 + 3 * 70
    assert cost.job_cycles == 300 and cost.host_cycles == 0
    expected_pj = 24.96 * cost.latency_cycles / 260e6 * 1e9
    assert cost.energy_pj == pytest.approx(expected_pj), "ODiMO: the digital core draws 24.96 mW"


def test_ternary_weights_open_the_analog_core() -> None:
    layer = conv()
    assert layer.weight is not None
    ternary = replace(layer, weight=replace(layer.weight, bits=2))
    placement = placed(ternary)
    assert placement.core == "analog"
    assert [r.rule for r in placement.declined] == ["Weights and inputs are int8"]
    # C=16 counts as 64 channels, so u=4; 256 pixels / 4 * 18.2 cycles, plus 8 cycles for each of 144 rows.
    assert placement.cost.compute_cycles == math.ceil(64 * 18.2) + 8 * 144
    active = 28.74 * placement.cost.compute_cycles + 24.96 * (placement.cost.dma_cycles + 300)
    assert placement.cost.energy_pj == pytest.approx(active / 260e6 * 1e9), (
        "ODiMO: the analog core draws 28.74 mW"
    )


def test_a_convolution_without_a_core_is_refused_not_put_on_the_host() -> None:
    assert "host" not in {r.core for r in refusal(conv(fy=2, fx=2)).reasons}


def test_adds_of_equal_shape_run_on_simd_others_on_the_host() -> None:
    equal = sample_layer("Add", channels=64, size=16)
    candidates = {c.core for c in placed(equal).candidates}
    assert candidates == {"digital", "simd", "host"} and placed(equal).core == "simd"
    wide = replace(equal, inputs=(equal.inputs[0], Operand("b", (1, 64, 1, 1), 8)))
    assert placed(wide).core == "host"
    assert {r.rule for r in placed(wide).declined} == {"It adds two computed tensors of equal shape"}


@pytest.mark.parametrize("model", ["match", "odimo", "engine"])
def test_parts_are_put_side_by_side_for_nothing_and_other_tensors_copied(model: str) -> None:
    parts = (Operand("a", (1, 16, 8, 8), 8), Operand("b", (1, 16, 8, 8), 8))
    layer = Layer("join", "Concat", (), 0, None, parts, (Operand("c", (1, 32, 8, 8), 8),), in_place=True)
    found = DianaTarget(model).place(layer)
    assert isinstance(found, Placement)
    assert (found.core, found.cost.latency_cycles, found.cost.energy_pj) == ("simd", 0, 0.0)
    copied = DianaTarget(model).place(replace(layer, in_place=False))
    assert isinstance(copied, Placement)
    assert (copied.core, copied.cost.latency_cycles) == ("host", 4 * 32 * 64)


def test_a_free_host_attracts_no_layers() -> None:
    layer = sample_layer("Add", channels=64, size=16)
    free_host = DianaTarget(host_scale=0.0).place(layer)
    assert isinstance(free_host, Placement)
    assert free_host.core == "simd" and free_host.cost.job_cycles == 0


@pytest.mark.parametrize("model", ["match", "engine"])
@pytest.mark.parametrize(
    ("layer", "core", "padding"),
    [
        (linear_layer(square(3, 3, 15, 3)), "digital", 2),  # 675 bytes in and out
        (linear_layer(square(2, 64, 1, 1), "Gemm"), "digital", 2),
        (linear_layer(square(10, 6, 1, 1), "Gemm"), "digital", 4),
        (linear_layer(square(5, 1, 9, 3)), "digital", 3 + 3),  # 81 bytes in, 405 out
        (linear_layer(loops(4, 1, 7, 10, 3, 3)), "digital", 2),
        (linear_layer(loops(3, 3, 7, 7, 3, 3, groups=3)), "digital", 1 + 1),
        (sample_layer("MaxPool", channels=3, size=33), "pooling", None),
        (sample_layer("Add", channels=3, size=33), "simd", None),
        (conv(), "digital", 0),
    ],
)
def test_tensors_are_padded_to_whole_words_and_that_is_paid_for(
    layer: Layer, core: str, padding: int | None, model: str
) -> None:
    placement = DianaTarget(model).place(layer)
    assert isinstance(placement, Placement) and placement.core == core
    tensors = (*layer.inputs, *layer.outputs)
    more = sum(-t.size_bytes % 4 for t in tensors)
    assert placement.cost.padding_bytes == more
    assert padding is None or more == padding
    if model == "match":
        whole = [replace(t, name=t.name, shape=(1, t.size_bytes + -t.size_bytes % 4)) for t in tensors]
        inputs, outputs = tuple(whole[: len(layer.inputs)]), tuple(whole[len(layer.inputs) :])
        wider = DianaTarget(model).cost(replace(layer, inputs=inputs, outputs=outputs), core)
        assert wider.padding_bytes == 0
        assert wider.dma_cycles == placement.cost.dma_cycles


def test_padding_moves_and_fills_l2() -> None:
    layer = linear_layer(square(16, 16, 9, 3))
    odd = replace(layer, outputs=(Operand("y", (1, 16 * 81 - 15), 8),))
    even = replace(layer, outputs=(Operand("y", (1, 16 * 81 - 12), 8),))
    assert placed(odd).cost.dma_cycles == placed(even).cost.dma_cycles
    assert placed(odd).cost.padding_bytes == 3
    l2 = DIANA.arch.size_bytes("l2")
    pool = sample_layer("MaxPool", channels=4, size=4)
    fits, full = (replace(pool, inputs=(Operand("x", (1, 1, 1, l2 + n), 8),)) for n in (0, 1))
    assert isinstance(DIANA.place(fits), Placement)
    assert f"needs {l2 + 4:,} bytes" in str(DIANA.place(full))


def test_a_schedule_stores_padding_and_the_report_tells_of_it() -> None:
    graph = graph_of(
        "n (float[1,3,7,7] x) => (float[1,3,7,7] y) <float[3,3,3,3] w, float[3,3,3,3] v> {"
        "a = Conv<pads=[1,1,1,1]>(x, w) b = Relu(a) y = Conv<pads=[1,1,1,1]>(b, v) }"
    )
    report = evaluate(graph, DIANA)
    assert [layer.cost.padding_bytes for layer in report.layers] == [2, 1]  # 147 bytes; the last are int32
    extents = report.planned.network.extents
    assert extents["x"].bits_of(extents["x"].whole) == 148 * 8
    assert [row["padding_bytes"] for row in report.to_json()["layers"]] == [2, 1]
    (warning,) = report.warnings
    assert warning == (
        "tensors padded to whole words of 4 bytes, 2 bytes in all that are stored and moved: x, b"
    )


@pytest.mark.parametrize("model", ["match", "odimo"])
def test_energy_is_proportional_to_latency_without_the_analog_core(model: str) -> None:
    target = DianaTarget(model)
    assert "energy is proportional to latency" in target.cost_models[model].known_error
    for layer in (conv(), sample_layer("Add"), sample_layer("MaxPool"), sample_layer("Softmax")):
        placement = target.place(layer)
        assert isinstance(placement, Placement)
        for candidate in placement.candidates:
            cost = candidate.cost
            assert cost.energy_pj == pytest.approx(cost.latency_cycles * 24.96 / 260e6 * 1e9)


def test_odimo_has_no_dma_for_products_but_placeholders_stay() -> None:
    odimo = DianaTarget("odimo")
    cost = odimo.cost(conv(), "digital")
    assert (cost.compute_cycles, cost.dma_cycles) == (16 * 9 * 16, 256 * 32 // 8)
    assert odimo.cost(sample_layer("Add"), "simd") == DIANA.cost(sample_layer("Add"), "simd")


@given(
    st.integers(1, 16).map(lambda n: 4 * n),
    st.integers(1, 16).map(lambda n: 4 * n),
    st.integers(1, 32),
    st.sampled_from((1, 3, 5, 7)),
    st.booleans(),
    st.sampled_from(("match", "odimo")),
    st.sampled_from((0.0, 1.0, 4.0)),
)
def test_costs_respect_their_bounds(
    k: int, c: int, size: int, kernel: int, depthwise: bool, model: str, host_scale: float
) -> None:
    layer = linear_layer(square(c, c, size, kernel, groups=c) if depthwise else square(k, c, size, kernel))
    cost = DianaTarget(model, host_scale).cost(layer, "digital")
    assert 0 < cost.bound_cycles <= cost.latency_cycles
    assert 0 < cost.utilization <= 1
    assert cost.latency_cycles * 256 >= layer.macs
