"""Slices that take a tensor apart, against the Split that does it."""

from __future__ import annotations

import onnx
import onnx.parser
import pytest

from passes.state import state_of
from tests.passes.equivalence import check_passes

NUMBERS = ", ".join(
    [
        *(f"int64[1] n{value} = {{{value}}}" for value in range(7)),
        "int64[1] minus = {-1}",
        "int64[1] all = {9223372036854775807}",
    ]
)


def net(*parts: str) -> onnx.ModelProto:
    """Return a network that slices the 6 channels of a tensor and adds the sums of what it gets."""
    names = [f"p{index}" for index in range(len(parts))]
    slices = " ".join(f"{name} = Slice(x, {part})" for name, part in zip(names, parts, strict=True))
    means = " ".join(f"m{name} = ReduceMean<keepdims=1>({name}, n1)" for name in names)
    text = f"""<ir_version: 10, opset_import: ["" : 21]>
        net (float[1,6,4,4] i) => (float[1,1,4,4] y) <{NUMBERS}>
        {{ x = Tanh(i) {slices} {means} y = Sum({", ".join("m" + name for name in names)}) }}"""
    return onnx.parser.parse_model(text)


APART = {
    "two halves": (("n0, n3, n1", "n3, n6, n1"), [3, 3]),
    "deeper part first": (("n3, n6, n1", "n0, n3, n1"), [3, 3]),
    "three parts, to the end": (("n0, n1, n1", "n1, n3, n1", "n3, all, n1"), [1, 2, 3]),
    "with steps of one": (("n0, n5, n1, n1", "n5, n6, n1, n1"), [5, 1]),
    "from the end": (("n0, minus, n1", "minus, all, n1"), [5, 1]),
}


@pytest.mark.parametrize("case", APART)
def test_parts_that_are_the_whole_are_a_split(case: str) -> None:
    parts, sizes = APART[case]
    graph = check_passes(net(*parts), "canonicalize")
    (split,) = [node for node in graph.nodes if node.op == "Split"]
    assert "Slice" not in [node.op for node in graph.nodes]
    assert split.inputs[1].values.tolist() == sizes
    assert [list(t.shape)[1] for t in split.outputs] == sizes
    assert len(state_of(graph).origins[split.name]) == len(parts)


@pytest.mark.parametrize(
    "parts",
    [
        ("n0, n3, n1",),
        ("n0, n3, n1", "n4, n6, n1"),
        ("n0, n4, n1", "n3, n6, n1"),
        ("n0, n3, n1", "n3, n5, n1"),
        ("n0, n3, n1", "n0, n3, n1", "n3, n6, n1"),
        ("n0, n6, n1, n2", "n1, n6, n1, n2"),
    ],
    ids=["one", "a gap", "overlap", "not to the end", "one twice", "every other"],
)
def test_other_parts_stay_slices(parts: tuple[str, ...]) -> None:
    graph = check_passes(net(*parts), "canonicalize")
    assert "Split" not in [node.op for node in graph.nodes]
