from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

from passes.errors import InputError, PassError
from passes.exits.chain import keep_exits, set_thresholds
from passes.exits.insert_exits import InsertExits, add_rival_heads, head_parameters
from passes.exits.mounts import find_mounts, resolve_mounts
from passes.exits.recognise import recognise_exits
from passes.exits.stages import cut
from passes.heads.designs import CONV, LINEAR, parse_head
from passes.heads.families import FAMILIES, REUSE
from passes.integers.fold_qdq import FoldQdq
from passes.integers.quantize import Quantize
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.option_text import print_value
from passes.registry import parse_pass
from passes.state import state_of
from tests.passes.equivalence import batch_of, check_text_form, printed, run_model
from tests.passes.grids import add_grids
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import chain, two_exits


def test_seed_decides_the_weights() -> None:
    texts = []
    for seed in (0, 0, 1):
        graph = from_model(chain())
        InsertExits(seed=seed)(graph)
        texts.append(printed(graph))
    assert texts[0] == texts[1] != texts[2]


def test_a_number_counts_the_exits_there_are() -> None:
    graph = from_model(chain(5))
    assert InsertExits(at=("1",))(graph)
    set_thresholds(graph, [0.5])
    assert not InsertExits(at=("1",))(graph)
    first = state_of(graph).exits[0].mount
    assert InsertExits(at=("3",))(graph)
    exits = state_of(graph).exits
    assert [e.name for e in exits] == ["exit_0", "exit_1", "exit_2", "final"]
    assert [e.output for e in exits] == [t.name for t in graph.outputs]
    assert [e.threshold for e in exits if e.mount == first] == [0.5]


def test_new_exits_before_old_ones_change_their_numbers() -> None:
    graph = from_model(chain(4))
    InsertExits(at=("relu_2",), head="linear")(graph)
    weights = head_parameters(graph, state_of(graph).exits[0])["gemm.weight"]
    assert InsertExits(at=("relu_2", "relu_0"), head="linear")(graph)
    assert [e.mount for e in state_of(graph).exits[:2]] == ["n1_Relu_out", "n5_Relu_out"]
    assert [t.name for t in graph.outputs[:2]] == ["exit_0", "exit_1"]
    np.testing.assert_array_equal(head_parameters(graph, state_of(graph).exits[1])["gemm.weight"], weights)


def test_head_parameters_go_by_layer() -> None:
    graph = from_model(chain())
    InsertExits(at=("relu_0",), head="conv")(graph)
    item = state_of(graph).exits[0]
    found = head_parameters(graph, item)
    assert set(found) == {"conv.weight", "conv.bias", "gemm.weight", "gemm.bias"}
    assert found["gemm.weight"] is graph.tensors()["exit_0/gemm.weight"].values


def test_several_outputs_that_were_not_recognised() -> None:
    graph = from_model(two_exits())
    with pytest.raises(PassError, match="2 outputs, so its exits are there already"):
        InsertExits()(graph)
    recognise_exits(graph)
    assert not InsertExits(at=("1",))(graph)


def test_no_classifier() -> None:
    net = NetBuilder((1, 2, 8, 8))
    graph = from_model(net.model(net.op("Relu", net.conv("x", 2, 3))))
    with pytest.raises(InputError, match="not a classifier"):
        InsertExits()(graph)


def test_names_of_exits_are_taken() -> None:
    model = chain()
    for node in model.graph.node:
        names = ["exit_0" if name == "n0_Conv_out" else name for name in node.input]
        del node.input[:]
        node.input.extend(names)
    model.graph.node[0].output[0] = "exit_0"
    model.graph.ClearField("value_info")
    graph = from_model(model)
    InsertExits()(graph)
    assert [t.name for t in graph.outputs][:2] == ["exit_0", "exit_1"]
    assert "user/exit_0" in graph.tensors(), "an inner tensor gives way"
    model = chain()
    model.graph.input[0].name = "exit_0"
    model.graph.node[0].input[0] = "exit_0"
    with pytest.raises(InputError, match="an input or output called 'exit_0'"):
        InsertExits()(from_model(model))


def test_unknown_head() -> None:
    with pytest.raises(InputError, match="did you mean 'linear'"):
        InsertExits(head="linea")(from_model(chain()))


@pytest.mark.parametrize(
    "step",
    [
        InsertExits(),
        InsertExits(("relu_0", "a;b c"), "conv", 7, "margin"),
        InsertExits(("2",), "conv{kernel=5,reuse=logits}"),
        InsertExits(("a", "b"), "auto,conv{size=10}"),
    ],
)
def test_text_form(step: InsertExits) -> None:
    check_text_form(step)


def test_rival_heads_hang_on_the_same_mounts_and_change_nothing_else() -> None:
    graph = from_model(chain())
    InsertExits(at=("relu_0", "relu_1"), head="linear")(graph)
    x = batch_of(to_model(graph), 1)
    before = run_model(to_model(graph), x)
    add_rival_heads(graph, (LINEAR, CONV))
    exits = state_of(graph).exits
    assert [e.name for e in exits] == ["exit_0", "exit_1", "exit_2", "exit_3", "final"]
    assert [e.head_name for e in exits[:-1]] == ["linear", "conv", "linear", "conv"]
    assert exits[0].mount == exits[1].mount != exits[2].mount == exits[3].mount
    after = run_model(to_model(graph), x)
    for old, new in zip(before, (after[0], after[2], after[4]), strict=True):
        np.testing.assert_array_equal(old, new)
    assert [e.name for e in state_of(keep_exits(graph, ["exit_1", "exit_2"])).exits] == [
        "exit_0",
        "exit_1",
        "final",
    ]


def test_each_mount_may_have_rivals_of_its_own() -> None:
    graph = from_model(chain())
    InsertExits(at=("relu_0", "relu_1"), head="linear")(graph)
    first, second, _ = state_of(graph).exits
    add_rival_heads(graph, {first.mount: (), second.mount: (LINEAR, CONV, parse_head("mlp"))})
    heads = [(e.mount, e.head_name) for e in state_of(graph).exits[:-1]]
    assert heads == [(first.mount, "linear"), *((second.mount, n) for n in ("linear", "conv", "mlp"))]


def quantized(float_model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the network with Q/DQ on all its tensors, as our own quantization writes it."""
    graph = from_model(float_model)
    add_grids(graph, batch_of(float_model, 4))
    Quantize()(graph)
    return to_model(graph)


def test_the_mount_of_an_exit_in_a_chain_of_integers_is_the_integers() -> None:
    graph = from_model(quantized(chain()))
    mounts = [mount for mount in find_mounts(graph) if mount.ok]
    assert mounts and {node.op for m in mounts for node in graph.tensors()[m.tensor].inputs} == {
        "QuantizeLinear"
    }
    InsertExits(at=("1",))(graph)
    item = state_of(graph).exits[0]
    mount = graph.tensors()[item.mount]
    assert mount.dtype == np.uint8
    dequantize = next(node for node in graph.nodes if node.name == "exit_0/dequantize")
    assert dequantize.inputs[0] is mount
    others = [node for node in mount.outputs if node is not dequantize]
    assert others and all(dequantize.inputs[1:] == node.inputs[1:] for node in others), "the same grid"
    exits, final = run_model(to_model(graph), batch_of(chain(), 1))
    assert exits.shape == final.shape == (1, 2)
    assert cut(graph)[1].entries == (item.mount,)


def test_integers_that_nobody_widens_carry_no_exit() -> None:
    graph = from_model(quantized(chain()))
    FoldQdq()(graph)
    reasons = {m.name: m.reason for m in find_mounts(graph) if not m.ok}
    assert any("integers that no DequantizeLinear reads" in reason for reason in reasons.values()), reasons


def heads_of(graph: gs.Graph) -> list[tuple[str, str]]:
    """Return the mount, by the number of its Relu, and the head of each early exit."""
    names = {mount.tensor: mount.name for mount in find_mounts(graph)}
    return [(names[e.mount], e.head_name) for e in state_of(graph).exits[:-1]]


@pytest.mark.parametrize(
    ("at", "head", "expected"),
    [
        ("relu_2+relu_0", '"mlp,conv{kernel=5}"', [("relu_0", "conv{kernel=5}"), ("relu_2", "mlp")]),
        ('"relu_2,relu_0"', '"mlp,linear"', [("relu_0", "linear"), ("relu_2", "mlp")]),
        ("relu_0+relu_2", '"auto,separable"', [("relu_0", "conv"), ("relu_2", "separable")]),
        ("relu_2+relu_0", "conv{modules=2}", [("relu_0", "conv{modules=2}"), ("relu_2", "conv{modules=2}")]),
    ],
)  # fmt: skip
def test_several_heads_are_one_for_each_mount(at: str, head: str, expected: list[tuple[str, str]]) -> None:
    graph = from_model(chain(5))
    step = parse_pass(f"insert-exits{{at={at},head={head}}}")
    assert step(graph)
    assert heads_of(graph) == expected
    assert not step(graph)


def test_several_heads_for_a_number_stand_in_the_order_of_the_network() -> None:
    graph = from_model(chain(5))
    names = [mount.name for mount in resolve_mounts(graph, "2")]
    InsertExits(("2",), "mlp,linear{reuse=logits}")(graph)
    assert heads_of(graph) == list(zip(names, ("mlp", "linear{reuse=logits}"), strict=True))


def test_of_several_heads_those_of_new_mounts_are_taken() -> None:
    graph = from_model(chain(5))
    InsertExits(("relu_1",), "linear")(graph)
    InsertExits(("relu_0", "relu_1", "relu_2"), "mlp,conv,separable")(graph)
    assert heads_of(graph) == [("relu_0", "mlp"), ("relu_1", "linear"), ("relu_2", "separable")]


@pytest.mark.parametrize(
    ("at", "head", "message"),
    [
        (("relu_0", "relu_1"), "mlp,conv,linear", "3 heads for 2 exits"),
        (("3",), "mlp,conv", "2 heads for 3 exits"),
        (("relu_0",), "mlp,conv", "2 heads for 1 exit\n"),
        (
            ("relu_0",),
            "conv{reuse=logits}",
            r"head 'conv\{reuse=logits\}' at 'n1_Relu_out': there is no exit before",
        ),
        (("2",), "conv{reuse=features},linear", "there is no exit before it"),
        (("2",), "conv{kernel=7}", "gene 'kernel' cannot be '7'"),
        (("0",), "linear", "at least 1, not 0"),
        (("-1",), "linear", "at least 1, not -1"),
    ],
)
def test_heads_that_do_not_fit_the_exits(at: tuple[str, ...], head: str, message: str) -> None:
    graph = from_model(chain(5))
    recognise_exits(graph)
    before = printed(graph)
    with pytest.raises(InputError, match=message):
        InsertExits(at, head)(graph)
    assert printed(graph) == before


def test_more_exits_on_a_number_do_not_say_which_heads_are_new() -> None:
    graph = from_model(chain(5))
    InsertExits(("1",), "linear")(graph)
    with pytest.raises(InputError, match="of 2 exits 1 are there already"):
        InsertExits(("2",), "linear,conv")(graph)
    assert InsertExits(("2",), "linear")(graph)


def test_the_first_exit_reuses_nothing_which_is_told() -> None:
    graph = from_model(chain(5))
    InsertExits(("2",), "mlp{reuse=features}")(graph)
    assert [(e.head_name, e.reads) for e in state_of(graph).exits] == [
        ("mlp", ""), ("mlp{reuse=features}", "exit_0"), ("", "")
    ]  # fmt: skip
    [told] = state_of(graph).declined
    assert (told.subject, told.reason) == (
        state_of(graph).exits[0].mount,
        "no exit is before it: its head is mlp",
    )


def test_the_pass_tells_all_families_genes_and_values() -> None:
    told = " ".join((InsertExits.__doc__ or "").split())
    for name, family in FAMILIES.items():
        genes = [f"{g.name}={'|'.join(map(print_value, g.values))}" for g in family.own_genes]
        written = f"``{name}{{{','.join(genes)}}}``" if genes else f"``{name}``"
        assert written in told.replace(", ", ","), written
    assert f"``reuse={'|'.join(map(str, REUSE.values))}``" in told
