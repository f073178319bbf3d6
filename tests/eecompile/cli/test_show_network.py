"""What `inspect` and `targets` print, of networks and targets that are made up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eecompile.cli import show_network
from eecompile.cli.show_network import inspection, target_list
from eecompile.verbs.work.inspect_network import Inspection, NodeInfo
from eecompile.verbs.work.listing import CoreInfo, FigureInfo, SupportRule, TargetInfo, TargetList
from eecompile.wording.quantities import ABSENT
from passes.confidence import MARGIN
from passes.exits.mounts import Mount
from passes.state import Decline, Exit
from tests.eecompile.cli.table_rows import cells
from tests.eecompile.cli.test_terminal import printed

WIDE = 240
NOT_DONE = "Not rewritten, not fused or not placed"


def node(
    name: str, *reasons: str, layer: str = "", core: str = "", weight_bits: int | None = None
) -> NodeInfo:
    bits = 8 if core else None
    shapes = ((1, 3, 16, 16),), ((1, 8, 16, 16), (1, 4))
    return NodeInfo(name, "Conv", (name,), layer, core, weight_bits, bits, *shapes, reasons)


def mount(name: str, rank: int | None, reason: str) -> Mount:
    return Mount(f"model/{name}/out", name, rank is not None, reason, 100, 0.5, rank)


MOUNTS = (mount("relu_0", 2, "cheap"), mount("relu_1", None, "bypassed"), mount("relu_2", 1, "balanced"))
FOUND = Inspection(
    model="net.onnx",
    target="diana",
    input_shape=(1, 3, 16, 16),
    inputs={"image": (1, 3, 16, 16)},
    outputs={"early": (1, 4), "logits": (1, 4)},
    classes=4,
    weights=True,
    nodes_in_file=11,
    nodes=(node("conv_0", layer="conv_0", core="digital", weight_bits=2), node("flatten_0")),
    absorbed=(),
    exits=(Exit("exit_0", "model/relu_2/out", "early", 0.75), Exit("final", "last/out", "logits")),
    exits_from="metadata",
    mounts=MOUNTS,
    declined=(),
    notes=(),
)


def shown(found: Inspection, width: int = WIDE) -> str:
    return printed(lambda out: inspection(out, found), width)


def test_it_begins_with_what_the_network_is() -> None:
    first, second, *_ = shown(FOUND).splitlines()
    assert first.strip() == "net.onnx: input 1x3x16x16, 4 classes, with weights"
    assert second.strip() == "11 nodes in the file, 2 in canonical form, placed on diana."
    other = replace(FOUND, classes=None, weights=False, notes=("exits: not a classifier",))
    text = shown(other)
    assert text.splitlines()[0].strip() == "net.onnx: input 1x3x16x16, shapes only: the weights are absent"
    assert "Not found out\n  exits: not a classifier\n" in text
    assert "Not found out" not in shown(FOUND)


def test_exits_have_their_thresholds_and_the_rule_if_it_is_not_the_usual_one() -> None:
    sure = Exit("exit_1", "elsewhere", "second", 0.123456, MARGIN)
    early, last = FOUND.exits
    assert cells(shown(replace(FOUND, exits=(early, sure, last))), "Exits (metadata)") == [
        ["exit", "mount", "tensor", "output", "threshold"],
        ["exit_0", "relu_2", "model/relu_2/out", "early", "0.7500"],
        ["exit_1", "", "elsewhere", "second", "0.1235 of margin"],
        ["final", "", "last/out", "logits", ABSENT],
    ]


def test_mounts_are_listed_best_first_and_the_others_with_their_reason() -> None:
    text = shown(FOUND)
    assert cells(text, "Mounts, best first") == [
        ["rank", "mount", "tensor", "why"],
        ["1", "relu_2", "model/relu_2/out", "balanced"],
        ["2", "relu_0", "model/relu_0/out", "cheap"],
    ]
    assert cells(text, "Not a mount") == [["what", "why"], ["relu_1", "bypassed"]]


def test_nodes_have_core_bits_and_all_output_shapes() -> None:
    free = node("add_0", layer="add_0", core="simd")
    assert cells(shown(replace(FOUND, nodes=(*FOUND.nodes, free))), "Nodes") == [
        ["node", "op", "layer", "core", "bits w/a", "output"],
        ["conv_0", "Conv", "conv_0", "digital", "2 / 8", "1x8x16x16, 1x4"],
        ["flatten_0", "Conv", "", ABSENT, ABSENT, "1x8x16x16, 1x4"],
        ["add_0", "Conv", "add_0", "simd", f"{ABSENT} / 8", "1x8x16x16, 1x4"],
    ]


def test_each_reason_is_told_once_with_all_it_holds_for() -> None:
    nodes = tuple(node(f"conv_{number}", "too wide", layer=f"layer_{number}") for number in range(6))
    one = node("add_0", "odd", "too wide")
    text = shown(replace(FOUND, nodes=(*nodes, one)))
    assert cells(text, NOT_DONE) == [
        ["what", "why"],
        ["layer_0, layer_1, layer_2, layer_3 … (7 in all)", "too wide"],
        ["add_0", "odd"],
    ]
    four = shown(replace(FOUND, nodes=nodes[:4]))
    assert cells(four, NOT_DONE)[1] == ["layer_0, layer_1, layer_2, layer_3", "too wide"]


def test_a_layer_is_told_once_however_many_of_its_nodes_have_the_reason() -> None:
    nodes = tuple(node(name, "too wide", layer="conv_0") for name in ("conv_0", "relu_0", "clip_0"))
    assert cells(shown(replace(FOUND, nodes=nodes)), NOT_DONE) == [["what", "why"], ["conv_0", "too wide"]]


def test_subjects_are_counted_by_their_whole_names() -> None:
    """Names that are the same once they are shortened."""
    nodes = tuple(node(f"model/stage_{letter}/block/conv/BiasAdd", "too wide") for letter in "abcdef")
    what, why = cells(shown(replace(FOUND, nodes=nodes)), NOT_DONE)[1]
    assert what.endswith(" … (6 in all)") and what.count("BiasAdd") == 4
    assert why == "too wide"


def test_what_passes_left_alone_is_told_unless_its_node_tells_it() -> None:
    found = replace(
        FOUND,
        nodes=(node("relu_0", "canonicalize: dilated", layer="conv_0"),),
        declined=(
            Decline("canonicalize", "relu_0", "dilated"),
            Decline("fold-batchnorm", "gone_0", "two readers"),
        ),
    )
    assert cells(shown(found), NOT_DONE) == [
        ["what", "why"],
        ["conv_0", "canonicalize: dilated"],
        ["gone_0", "fold-batchnorm: two readers"],
    ]


def test_of_many_rows_the_first_are_shown_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show_network, "SHOWN_ROWS", 3)
    monkeypatch.setattr(show_network, "SHOWN_REASONS", 2)
    found = replace(
        FOUND,
        nodes=tuple(node(f"conv_{number}", f"reason {number}") for number in range(5)),
        mounts=tuple(mount(f"relu_{number}", 4 - number, "good") for number in range(4)),
    )
    text = shown(found)
    nodes = cells(text, "Nodes (the first 3 of 5; all with --json)")
    assert [row[0] for row in nodes[1:]] == ["conv_0", "conv_1", "conv_2"]
    ranked = cells(text, "Mounts, best first (the first 3 of 4; all with --json)")
    assert [row[:2] for row in ranked[1:]] == [["1", "relu_3"], ["2", "relu_2"], ["3", "relu_1"]]
    why = cells(text, f"{NOT_DONE} (the first 2 of 5 reasons; all with --json)")
    assert [row[1] for row in why[1:]] == ["reason 0", "reason 1"]
    whole = shown(replace(found, nodes=found.nodes[:2], mounts=found.mounts[:3]))
    assert "the first" not in whole


def test_names_are_shortened_where_there_is_little_room() -> None:
    name = "functional_1/conv2d_11/BiasAdd"
    long = replace(FOUND, nodes=(node(name),))
    assert name in shown(long, show_network.WIDE)
    narrow = shown(long, show_network.WIDE - 1)
    assert name not in narrow and "_11/BiasAdd" in narrow


BAR = {"low": 0.8, "high": 1.25, "nominal_coverage": 0.5, "basis": "one network"}
TARGET = TargetInfo(
    name="made_up",
    summary="A target for tests.",
    clock_hz=2.6e8,
    operating_points=(),
    cores=(
        CoreInfo("digital", "pe_array", ("int8-pow2",), ("Conv", "Gemm")),
        CoreInfo("host", "cpu", (), ("Softmax",)),
    ),
    cost_models={
        "match": {"source": "a paper", "known_error": "15 %", "intervals": None},
        "odimo": {
            "source": "another",
            "known_error": "unknown",
            "intervals": {"latency": BAR, "energy": None},
        },
    },
    schedules={"split": "cut", "layers": "whole"},
    support=(
        SupportRule("Softmax", "host", ("Anything.",)),
        SupportRule("Conv", "digital", ("Batch 1.", "8 bits.")),
        SupportRule("MatMul", "digital", ("Batch 1.",)),
        SupportRule("Gemm", "digital", ("Batch 1.", "8 bits.")),
        SupportRule("Add", "host", ("Anything.",)),
    ),
    figures=(
        FigureInfo("clock_hz", 2.6e8, "published", "a paper"),
        FigureInfo("e", 0.125, "placeholder", ""),
    ),
)


def listed(*targets: TargetInfo, detailed: bool = False) -> str:
    return printed(lambda out: target_list(out, TargetList(targets, detailed)), WIDE)


def test_all_targets_have_a_row_each() -> None:
    other = replace(TARGET, name="other", summary="Another.", cost_models={"engine": {}}, cores=())
    text = listed(TARGET, other)
    assert cells(text, "Targets") == [
        ["target", "what it is", "cores", "cost models", "schedules"],
        ["made_up", "A target for tests.", "digital, host", "match, odimo", "split, layers"],
        ["other", "Another.", "", "engine", "split, layers"],
    ]
    assert text.rstrip().endswith("`eecompile targets NAME` shows what one supports on which core.")


def test_one_target_is_shown_in_full() -> None:
    text = listed(TARGET, detailed=True)
    assert text.startswith("made_up: A target for tests.\nClock: 260 MHz\n")
    assert cells(text, "Cores") == [
        ["core", "kind", "quantization"],
        ["digital", "pe_array", "int8-pow2"],
        ["host", "cpu", ABSENT],
    ]
    first, second = cells(text, "Cost models; the first is the default")[1:3]
    assert first[:3] == ["match", "a paper", "15 %"] and first[3].startswith("Not validated")
    assert second[:3] == ["odimo", "another", "unknown"]
    assert second[3].startswith("Interval of latency: ×0.80 to ×1.25")  # noqa: RUF001 - the sign of a product
    assert cells(text, "Schedules, by the first cost model; the first is the default")[1:] == [
        ["split", "cut"],
        ["layers", "whole"],
    ]
    assert cells(text, "Figures; sources with --json")[1:] == [
        ["clock_hz", "2.6e+08", "published"],
        ["e", "0.125", "placeholder"],
    ]
    assert f"Clock: {ABSENT}\n" in listed(replace(TARGET, clock_hz=None), detailed=True)


def test_operators_that_share_their_rules_share_a_row_in_the_order_of_the_cores() -> None:
    assert cells(listed(TARGET, detailed=True), "Support: what a layer must be") == [
        ["core", "operators", "rules"],
        ["digital", "Conv, Gemm", "Batch 1.; 8 bits."],
        ["digital", "MatMul", "Batch 1."],
        ["host", "Softmax, Add", "Anything."],
    ]
