from __future__ import annotations

import pytest

from targets.cost import elementwise
from targets.cost.layer_cost import energy_pj, scaled, whole_parts
from targets.network.layer import Layer, LoopDims, Operand
from targets.testing.conformance import sample_layer


def test_host_work_by_hand() -> None:
    assert elementwise.host_cycles(sample_layer("Relu"), 4, 100) == 16 * 64 * 4
    assert elementwise.host_cycles(sample_layer("AveragePool"), 4, 100) == 16 * 16 * 4 * 4, (
        "every window element"
    )
    assert elementwise.host_cycles(sample_layer("GlobalAveragePool"), 4, 100) == 16 * 64 * 4
    assert elementwise.host_cycles(sample_layer("Sigmoid"), 4, 100) == 16 * 64 * 100


def test_a_decision_is_softmax_and_maximum() -> None:
    logits = (Operand("logits", (1, 10), 32),)
    decide = Layer("e.decide", "Softmax", (), 0, None, logits, (Operand("c", (1,), 32),), exit_name="e")
    plain = Layer("final.softmax", "Softmax", (), 0, None, logits, logits)
    assert elementwise.host_cycles(plain, 4, 100) == 1000
    assert elementwise.host_cycles(decide, 4, 100) == 1040


def test_split_and_concat_count_what_they_copy() -> None:
    whole, half = Operand("x", (1, 8), 8), Operand("y", (1, 4), 8)
    assert elementwise.processed_elements(Layer("s", "Split", (), 0, None, (whole,), (half, half))) == 8
    assert elementwise.processed_elements(Layer("c", "Concat", (), 0, None, (half, half), (whole,))) == 8


@pytest.mark.parametrize("op", ["Slice", "Gather", "Split"])
def test_what_picks_counts_what_it_picks(op: str) -> None:
    whole, part = Operand("x", (1, 800), 8), Operand("y", (1, 4), 8)
    layer = Layer("s", op, (), 0, None, (whole,), (part,))
    assert elementwise.processed_elements(layer) == 4
    assert (layer.read_bytes, layer.input_bytes) == (4, 800)
    assert Layer("r", "Relu", (), 0, None, (whole,), (whole,)).read_bytes == 800


@pytest.mark.parametrize(("window", "passes"), [(1, 1), (2, 1), (3, 4), (4, 4), (8, 16)])
def test_pooling_takes_a_pass_per_2x2(window: int, passes: int) -> None:
    dims = LoopDims(1, 4, 1, 1, 3, 17, window, window, 24, 136, 8, 8)
    assert elementwise.pooling_core_cycles(dims, 16) == 4 * 3 * 2 * passes


def test_energy_is_power_times_time() -> None:
    assert energy_pj(24.96, 260_000, 260e6) == pytest.approx(24.96e6), "24.96 mW for 1 ms are 24.96 uJ"


def test_scaling_rounds_up_but_not_rounding_errors() -> None:
    assert scaled(300, 1.1) == 330
    assert scaled(10, 0.25) == 3
    assert scaled(300, 0) == 0


def test_parts_are_rounded_so_that_they_add_up() -> None:
    assert whole_parts((0.4, 0.4, 0.4)) == [1, 0, 1], "their sum, 1.2, takes 2 cycles"
    assert whole_parts((0.1 + 0.2, 2.7)) == [1, 2], "a rounding error takes no cycle"
    assert whole_parts(()) == []
