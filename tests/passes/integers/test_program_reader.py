"""Clips behind each other, ties, and what every reader refuses."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from passes.errors import InputError
from passes.integers.program_reader import ProgramReader, window
from passes.state import state_of


def _chain(*bounds: tuple[int | None, int | None]) -> tuple[gs.Graph, gs.Variable]:
    """Return a graph of Clips behind each other, and what the first of them reads."""
    raw = gs.Variable("raw", np.uint8, [1, 4])
    nodes, last = [], raw
    for number, pair in enumerate(bounds):
        ends = [
            gs.Variable.empty() if b is None else gs.Constant(f"b{number}_{k}", np.array(b, np.uint8))
            for k, b in enumerate(pair)
        ]
        output = gs.Variable(f"clipped_{number}", np.uint8, [1, 4])
        nodes.append(gs.Node("Clip", f"clip_{number}", {}, [last, *ends], [output]))
        last = output
    graph = gs.Graph(nodes, inputs=[raw], outputs=[last], opset=21)
    state_of(graph)
    return graph, raw


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ([], (0, 255)),
        ([(128, None)], (128, 255)),
        ([(128, 255), (64, 191)], (128, 191)),
        ([(0, 20), (64, 191)], (64, 64)),
    ],
)
def test_clips_behind_each_other_are_one(
    bounds: list[tuple[int | None, int | None]], expected: tuple[int, int]
) -> None:
    graph, raw = _chain(*bounds)
    reader = ProgramReader(graph)
    for node in graph.nodes:
        reader.note_clip(node)
    assert reader.bounds(raw) == expected
    assert reader.held("raw") == (f"clipped_{len(bounds) - 1}" if bounds else "raw")


def test_what_is_clipped_and_read_elsewhere_is_refused() -> None:
    graph, raw = _chain((1, 2))
    graph.nodes.append(gs.Node("Identity", "other", {}, [raw], [gs.Variable("y", np.uint8, [1, 4])]))
    with pytest.raises(InputError, match=r"'clip_0' \(Clip\) .* read elsewhere too"):
        ProgramReader(graph).note_clip(graph.nodes[0])


def test_padding_of_run_time_is_refused() -> None:
    with pytest.raises(InputError, match=r"'p' \(MaxPool\) .*auto_pad"):
        window(gs.Node("MaxPool", "p", {"auto_pad": "SAME_UPPER"}), 2)
