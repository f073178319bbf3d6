from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest

from passes.confidence import MARGIN
from passes.errors import InputError
from passes.exits.insert_exits import InsertExits
from passes.exits.recognise import check_classifier, classifier_exits, doubt, recognise_exits
from passes.model.graph import from_model
from passes.registry import parse_pipeline
from passes.state import Exit, Leaving, state_of
from tests.passes.any_networks import NO_CLASSIFIERS, network
from tests.passes.equivalence import printed
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import EARLY, FINAL, chain, two_exits
from tests.targets.graphs import filled


def test_one_output_is_the_final_exit() -> None:
    graph = from_model(chain())
    assert recognise_exits(graph) == [Exit("final", "n5_Relu_out", graph.outputs[0].name)]


def test_outputs_become_exits_by_depth() -> None:
    graph = from_model(two_exits())
    assert recognise_exits(graph) == [
        Exit("exit_0", "n1_Relu_out", EARLY),
        Exit("final", "n5_Relu_out", FINAL),
    ]
    assert [t.name for t in graph.outputs] == [EARLY, FINAL]
    assert recognise_exits(graph) is state_of(graph).exits


@pytest.mark.parametrize("case", NO_CLASSIFIERS)
def test_what_is_no_classifier_is_one_path_and_stays_as_it_is(case: str) -> None:
    text, reason = NO_CLASSIFIERS[case]
    graph = from_model(network(text))
    outputs = [t.name for t in graph.outputs]
    before = printed(graph)
    assert recognise_exits(graph) == [Exit("final", "", outputs[0])]
    assert not state_of(graph).exits
    assert not state_of(graph).declined
    assert printed(graph) == before
    for refuse in (classifier_exits, check_classifier, InsertExits().run):
        with pytest.raises(InputError) as error:
            refuse(graph)
        assert error.value.message.startswith("not a classifier: ")
        assert reason in error.value.message
        assert error.value.hint.startswith(
            "`cost` and `inspect` take any network; exits, thresholds and `run`"
        )


@pytest.mark.parametrize("case", NO_CLASSIFIERS)
def test_canonical_form_keeps_all_outputs_of_any_network(case: str) -> None:
    graph = from_model(network(NO_CLASSIFIERS[case][0]))
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    shapes = [t.shape for t in from_model(network(NO_CLASSIFIERS[case][0])).outputs]
    assert [t.shape for t in graph.outputs] == shapes
    assert state_of(graph).softmax is (case == "answers side by side"), "none is invented, none is lost"


def embedding_net(classes: int = 3, width: int = 64) -> tuple[NetBuilder, str, str]:
    """Return a network with the names of its embedding [1, width] and of its logits."""
    net = NetBuilder((1, 2, 4, 4))
    flat = net.op("Flatten", net.op("Relu", net.conv("x", 2, 2)))
    embedding = net.op("Gemm", flat, net.normal(width, 32), transB=1)
    return net, embedding, net.op("Gemm", embedding, net.normal(classes, width), transB=1)


def picks(net: NetBuilder, scores: str) -> list[str]:
    """Add ArgMax (cast to float) and TopK of ``scores``; return their outputs."""
    best = net.op("Cast", net.op("ArgMax", scores, axis=1), to=1)
    top = net.op("TopK", scores, net.const([2], np.int64))
    net.nodes[-1].output.append("indices")
    return [best, top]


def test_side_outputs_on_the_way_and_picks_of_the_logits_are_dropped() -> None:
    net, embedding, logits = embedding_net()
    graph = from_model(net.model(embedding, *(made := picks(net, logits)), logits))
    assert [e.output for e in recognise_exits(graph)] == [logits]
    assert [t.name for t in graph.outputs] == [logits]
    assert not any(node.op in ("ArgMax", "TopK", "Cast") for node in graph.nodes)
    reasons = {d.subject: d.reason for d in state_of(graph).declined if d.pass_name == "exits"}
    assert reasons == {
        embedding: f"lies on the way to '{logits}': no exit, the output is dropped",
        **dict.fromkeys(made, f"picks from the logits '{logits}': no exit, the output is dropped"),
    }


def test_a_label_beside_probabilities() -> None:
    net, _, logits = embedding_net()
    probabilities = net.op("Softmax", logits, axis=1)
    graph = from_model(net.model(probabilities, *picks(net, probabilities)))
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    assert [e.output for e in recognise_exits(graph)] == [logits]
    assert state_of(graph).softmax, "the Softmax is set apart once ArgMax does not read it"
    assert [t.name for t in graph.outputs] == [logits]


def test_side_outputs_beside_several_exits() -> None:
    net = NetBuilder((1, 2, 4, 4))
    stem = net.op("Relu", net.conv("x", 2, 4))
    early = net.op("Gemm", net.op("Flatten", stem), net.normal(3, 64), transB=1)
    deep = net.op("Relu", net.conv(stem, 4, 4))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", deep))
    final = net.op("Gemm", pooled, net.normal(3, 4), transB=1)
    graph = from_model(net.model(pooled, final, deep, early, *picks(net, early)))
    assert [e.output for e in recognise_exits(graph)] == [early, final]


def ambiguous_outputs(case: str) -> tuple[NetBuilder, list[str]]:
    net, embedding, logits = embedding_net(width=3 if case == "may be an exit" else 64)
    if case == "off the way":
        return net, [logits, net.op("Sigmoid", embedding)]
    if case == "picks from the embedding":
        return net, [logits, *picks(net, embedding)]
    return net, [embedding, logits, *picks(net, logits)]


@pytest.mark.parametrize("case", ["may be an exit", "off the way", "picks from the embedding"])
def test_side_outputs_with_a_second_reading_stay(case: str) -> None:
    net, outputs = ambiguous_outputs(case)
    graph = from_model(net.model(*outputs))
    assert [e.output for e in recognise_exits(graph)] == outputs[:1]
    assert [t.name for t in graph.outputs] == outputs
    assert not state_of(graph).declined
    with pytest.raises(InputError, match="not a classifier"):
        classifier_exits(graph)


def test_an_input_without_batch_is_costed_and_not_run() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["": 21]> n (float[4] x) => (float[4] y) { y = Softmax<axis=0>(x) }'
    )
    graph = from_model(model)
    assert [e.output for e in recognise_exits(graph)] == ["y"]
    with pytest.raises(InputError, match=r"its input x \[4\] has no batch in front"):
        classifier_exits(graph)


def branching(case: str) -> tuple[onnx.ModelProto, str, str, str]:
    """Return a network whose early exit reads several tensors or is read; its mount and both outputs."""
    net = NetBuilder((1, 2, 4, 4))
    one = net.op("Relu", net.conv("x", 2, 2))
    two = net.op("Relu", net.conv(one, 2, 2))
    mount = two
    head = net.op("Sub", two, one) if case == "joins" else two
    if case == "beside each other":
        beside = net.op("Relu", net.conv(one, 2, 2))
        three, head = net.op("Relu", net.op("Add", two, beside)), net.op("Mul", two, beside)
    else:
        three = net.op("Relu", net.conv(two, 2, 2))
    if case == "features":  # as T-RecX has it: what the early head found goes into the last classifier too
        mount = head = net.op("Relu", net.conv(two, 2, 2))
        three = net.op("Concat", net.op("Relu", net.conv(three, 2, 2)), head, axis=1)
    early = net.op("Gemm", net.op("Flatten", head), net.normal(3, 32), transB=1)
    width = 64 if case == "features" else 32
    late = net.op(
        "Gemm",
        net.op("Flatten", net.op("Sigmoid", net.conv(three, width // 16, 2))),
        net.normal(3, 32),
        transB=1,
    )
    if case == "logits":  # a boosted exit corrects the one before it
        late = net.op("Add", late, early)
    return net.model(late, early), mount, early, late


@pytest.mark.parametrize("case", ["joins", "beside each other", "features", "logits"])
def test_an_exit_may_read_several_tensors_and_be_read(case: str) -> None:
    model, mount, early, late = branching(case)
    graph = from_model(model)
    found = classifier_exits(graph)
    assert [(e.name, e.output) for e in found] == [("exit_0", early), ("final", late)]
    if case == "beside each other":  # two are equally deep
        assert found[0].mount in {mount, graph.nodes[5].outputs[0].name}
    else:
        assert found[0].mount == mount
    assert [t.name for t in graph.outputs] == [early, late]


def test_outputs_that_share_nothing_are_no_exits() -> None:
    net = NetBuilder((1, 2, 4, 4))
    made = [
        net.op("Gemm", net.op("Flatten", net.op("Relu", net.conv("x", 2, 2))), net.normal(3, 32), transB=1)
        for _ in range(2)
    ]
    with pytest.raises(InputError, match="shares no layer with the deeper ones; an exit leaves their way"):
        classifier_exits(from_model(net.model(*made)))


@pytest.mark.parametrize(
    ("entry", "end", "doubted"),
    [
        ("1,8", "y = Gemm(h, w)", True),
        ("1,2,4", "y = Gemm(h, w)", True),  # as many elements, though of another shape
        ("1,8", "l = Gemm(h, w) y = Softmax(l)", False),
        ("1,9", "y = Gemm(h, w)", False),
    ],
)
def test_a_network_that_may_reconstruct_its_input_is_doubted(entry: str, end: str, doubted: bool) -> None:
    size = 9 if "9" in entry else 8
    text = f"""<ir_version: 10, opset_import: ["" : 21]> net (float[{entry}] x) => (float[1,8] y)
        <float[{size},3] v, float[3,8] w> {{ f = Flatten(x) g = Gemm(f, v) h = Relu(g) {end} }}"""
    graph = from_model(filled(onnx.parser.parse_model(text)))
    parse_pipeline("canonicalize")(graph)
    classifier_exits(graph)
    assert doubt(graph).startswith("'y' [1, 8] has no Softmax") == doubted
    assert bool(doubt(graph)) == doubted


def test_metadata_of_another_network() -> None:
    graph = from_model(chain())
    state_of(graph).exits = [Exit("final", "m", "gone")]
    with pytest.raises(InputError, match="exits 'final' at output 'gone'"):
        recognise_exits(graph)


def test_recorded_exits_that_differ_in_classes() -> None:
    net = NetBuilder((1, 2, 4, 4))
    stem = net.op("Relu", net.conv("x", 2, 4))
    early = net.op("Gemm", net.op("Flatten", stem), net.normal(4, 64), transB=1)
    deep = net.op("Relu", net.conv(stem, 4, 4))
    final = net.op("Gemm", net.op("Flatten", deep), net.normal(3, 64), transB=1)
    graph = from_model(net.model(early, final))
    state_of(graph).exits = [Exit("exit_0", stem, early), Exit("final", deep, final)]
    with pytest.raises(InputError, match=r"differ in classes: \[1, 4\] at 'exit_0', \[1, 3\] at 'final'"):
        recognise_exits(graph)


@pytest.mark.parametrize(("compared_with", "threshold"), [(0.5, 0.5), (1.5, 2.0), (-0.5, 0.0), (None, None)])
def test_thresholds_of_others_beyond_the_range_are_its_ends(
    compared_with: float | None, threshold: float | None
) -> None:
    graph = from_model(two_exits())
    graph.outputs = graph.outputs[::-1]
    state_of(graph).leavings = [Leaving(MARGIN, compared_with)]
    assert [e.threshold for e in classifier_exits(graph)] == [threshold, None]
