from __future__ import annotations

import pytest

from targets.cost.model.nest import LoopNest, Window
from targets.cost.model.nest_of_layer import nest_of
from targets.network.layer import Bits
from targets.network.workload import build_workload
from tests.targets.graphs import graph_of, lowered, residual

BITS = Bits(weight=4, activation=8, accumulator=24, logits=8)


def nest(text: str, op_type: str) -> LoopNest:
    """Return the nest of the last layer of this type in a graph from ``x`` to ``y``."""
    workload = build_workload(graph_of(f"n {text}"), BITS)
    return nest_of([layer for layer in workload.layers if layer.op_type == op_type][-1])


def relevant(found: LoopNest) -> dict[str, str]:
    """Return the loops that index each operand, those that run once left out, in the order of the nest."""
    names = dict(found.relevant)
    return {
        op: " ".join(n for n, size in found.loops if n in names[op] and size > 1) for op in found.operands
    }


CONVOLUTIONS = {
    "grouped, strided": (
        "(float[1,4,10,6] x) => (float[1,8,5,3] y) <float[8,2,3,5] w> "
        "{ y = Conv<group=2, strides=[2,2], pads=[1,2,1,2]>(x, w) }",
        {"K": 4, "G": 2, "OX": 3, "OY": 5, "C": 2, "FX": 5, "FY": 3},
        (Window("OX", "FX", 2, 1, 6), Window("OY", "FY", 2, 1, 10)),
        {"O": "K G OX OY", "W": "K G C FX FY", "I": "G C"},
    ),
    "depthwise": (
        "(float[1,8,9,9] x) => (float[1,8,9,9] y) <float[8,1,3,3] w> "
        "{ y = Conv<group=8, pads=[1,1,1,1]>(x, w) }",
        {"G": 8, "OX": 9, "OY": 9, "FX": 3, "FY": 3},
        (Window("OX", "FX", 1, 1, 9), Window("OY", "FY", 1, 1, 9)),
        {"O": "G OX OY", "W": "G FX FY", "I": "G"},
    ),
    "one axis, dilated": (
        "(float[1,4,20] x) => (float[1,6,16] y) <float[6,4,3] w> { y = Conv<dilations=[2]>(x, w) }",
        {"K": 6, "OX": 16, "C": 4, "FX": 3},
        (Window("OX", "FX", 1, 2, 20), Window("OY", "FY", 1, 1, 1)),
        {"O": "K OX", "W": "K C FX", "I": "C"},
    ),
}


@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolutions(case: tuple[str, dict[str, int], tuple[Window, ...], dict[str, str]]) -> None:
    text, loops, windows, indexed = case
    found = nest(text, "Conv")
    assert {name: size for name, size in found.loops if size > 1} == loops
    assert found.windows == windows
    assert relevant(found) == indexed
    assert dict(found.bits) == {"W": 4, "I": 8, "O": 24, "O_final": 8}


PRODUCTS = {
    "gemm": (
        "(float[1,12] x) => (float[1,7] y) <float[7,12] w> { y = Gemm<transB=1>(x, w) }",
        {"C": 12, "K": 7},
        {"O": "K", "I": "C", "W": "C K"},
        4,
    ),
    "rows with constant weights": (
        "(float[1,16,24] x) => (float[1,16,40] y) <float[24,40] w> { y = MatMul(x, w) }",
        {"C": 24, "D": 16, "K": 40},
        {"O": "D K", "I": "C D", "W": "C K"},
        4,
    ),
    "batch with a computed right operand": (
        "(float[1,3,49,32] x) => (float[1,3,49,49] y) "
        "{ a = Relu(x) b = Transpose<perm=[0,1,3,2]>(x) y = MatMul(a, b) }",
        {"C": 32, "D": 49, "K": 49, "B": 3},
        {"O": "D K B", "I": "C D B", "W": "C K B"},
        8,
    ),
}


@pytest.mark.parametrize("case", PRODUCTS.values(), ids=PRODUCTS)
def test_matrix_products(case: tuple[str, dict[str, int], dict[str, str], int]) -> None:
    text, loops, indexed, weight_bits = case
    found = nest(text, "Gemm" if "Gemm" in text else "MatMul")
    assert {name: size for name, size in found.loops if size > 1} == loops
    assert relevant(found) == indexed and found.windows == ()
    assert dict(found.bits) == {"W": weight_bits, "I": 8, "O": 24, "O_final": 8}


def test_pooling_has_no_weights_and_no_wide_sums() -> None:
    found = nest(
        "(float[1,4,9,9] x) => (float[1,4,4,4] y) { y = MaxPool<kernel_shape=[3,3], strides=[2,2]>(x) }",
        "MaxPool",
    )
    assert dict(found.loops) == {"B": 1, "G": 4, "OX": 4, "OY": 4, "FX": 3, "FY": 3}
    assert found.operands == ("O", "I")
    assert found.windows == (Window("OX", "FX", 2, 1, 9), Window("OY", "FY", 2, 1, 9))
    assert relevant(found) == {"O": "G OX OY", "I": "G"}
    assert dict(found.bits) == {"W": 0, "I": 8, "O": 8, "O_final": 8}


def test_global_pooling_walks_its_window_once() -> None:
    found = nest("(float[1,4,9,7] x) => (float[1,4,1,1] y) { y = GlobalAveragePool(x) }", "GlobalAveragePool")
    assert {name: size for name, size in found.loops if size > 1} == {"G": 4, "FX": 7, "FY": 9}
    assert found.operations == 4 * 9 * 7


@pytest.mark.parametrize(
    ("body", "indexed"),
    [
        ("{ z = Relu(x) y = Add(x, z) }", {"O": "G OY OX", "W": "G OY OX", "I": "G OY OX"}),
        ("{ z = GlobalAveragePool(x) y = Add(x, z) }", {"O": "G OY OX", "W": "G", "I": "G OY OX"}),
        ("{ z = GlobalAveragePool(x) y = Add(z, x) }", {"O": "G OY OX", "W": "G OY OX", "I": "G"}),
        (
            "<int64[3] a={0,1,2}> { z = ReduceMean<keepdims=0>(x, a) y = Add(x, z) }",
            {"O": "G OY OX", "W": "OX", "I": "G OY OX"},
        ),
    ],
    ids=["equal shapes", "per channel", "per channel, first", "last axis"],
)
def test_a_broadcast_input_is_indexed_by_the_axes_it_has(body: str, indexed: dict[str, str]) -> None:
    found = nest(f"(float[1,4,6,5] x) => (float[1,4,6,5] y) {body}", "Add")
    assert dict(found.loops) == {"B": 1, "G": 4, "OY": 6, "OX": 5}
    assert relevant(found) == indexed
    assert dict(found.bits) == {"W": 8, "I": 8, "O": 8, "O_final": 8}


def test_resize_by_whole_factors_reads_an_element_once_per_block() -> None:
    found = nest(
        "(float[1,3,4,5] x) => (float[1,3,8,15] y) <float[4] s={1.0,1.0,2.0,3.0}> { y = Resize(x, , s) }",
        "Resize",
    )
    assert dict(found.loops) == {"B": 1, "G": 3, "OX": 5, "OY": 4, "FX": 3, "FY": 2}
    assert relevant(found) == {"O": "G OX OY FX FY", "I": "G OX OY"} and found.windows == ()


MOVES = {
    "Softmax": ("(float[1,10] x) => (float[1,10] y) { y = Softmax(x) }", {"G": 10, "OX": 1}),
    "Resize": (
        "(float[1,3,4,4] x) => (float[1,3,6,6] y) <float[4] s={1.0,1.0,1.5,1.5}> { y = Resize(x, , s) }",
        {"G": 3, "OX": 36},
    ),
    "Concat": (
        "(float[1,3,4,4] x) => (float[1,6,4,4] y) { z = Relu(x) y = Concat<axis=1>(x, z) }",
        {"G": 6, "OX": 16},
    ),
    "Transpose": (
        "(float[1,3,4,5] x) => (float[1,4,5,3] y) { y = Transpose<perm=[0,2,3,1]>(x) }",
        {"G": 4, "OX": 15},
    ),
    "Where": (
        "(float[1,4] x) => (float[1,4] y) { c = Greater(x, x) z = Relu(x) y = Where(c, x, z) }",
        {"G": 4, "OX": 1, "C": 3},
    ),
    "ReduceMean": (
        "(float[1,6,4,5] x) => (float[1,6] y) <int64[2] a={2,3}> { y = ReduceMean<keepdims=0>(x, a) }",
        {"G": 6, "OX": 1, "C": 20},
    ),
    "Slice": (
        "(float[1,8,4,4] x) => (float[1,2,4,4] y) <int64[1] b={0}, int64[1] e={2}, int64[1] a={1}> "
        "{ y = Slice(x, b, e, a) }",
        {"G": 2, "OX": 16},
    ),
}


@pytest.mark.parametrize("op_type", MOVES)
def test_all_others_move_what_they_read_and_write(op_type: str) -> None:
    text, loops = MOVES[op_type]
    found = nest(text, op_type)
    assert dict(found.loops) == loops
    assert dict(found.bits) == {"W": 0, "I": 8, "O": 8, "O_final": 8}


def test_float_and_lowered_graphs_have_the_same_nests() -> None:
    plain, integer = (
        build_workload(g).layers for g in (residual(softmax=True), lowered(residual(softmax=True)))
    )
    assert [nest_of(layer) for layer in plain] == [nest_of(layer) for layer in integer]
    assert len(plain) == 9


def test_every_layer_of_a_network_has_work() -> None:
    for layer in build_workload(residual(softmax=True)).layers:
        found = nest_of(layer)
        assert found.operations >= max(layer.macs, layer.output_elements), layer.name
        assert layer.macs in (0, found.operations), layer.name


def test_a_constant_added_element_by_element_is_read() -> None:
    found = nest(
        "(float[1,4,6,5] x) => (float[1,4,6,5] y) <float[4,1,1] c> { y = Mul(x, c) }",
        "Mul",
    )
    assert relevant(found) == {"O": "G OY OX", "W": "G", "I": "G OY OX"}
