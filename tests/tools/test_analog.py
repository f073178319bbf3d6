"""The experiment on analog layers: its placements, and networks without converters."""

from __future__ import annotations

import numpy as np
import pytest

from eecompile.runtime.sessions import session
from passes.integers.quantize import Quantize
from passes.model.writing import to_model
from passes.state import state_of
from tests.passes.integers.analog_nets import Case, case_graph
from tests.passes.integers.test_analog import network

pytest.importorskip("torch", reason="training needs the extra 'train'")

from tools.experiments.analog import ANALOG, DIGITAL, FIRST_DIGITAL, place, without_converters


@pytest.mark.parametrize(("row", "count"), [(DIGITAL, 0), (ANALOG, 3), (FIRST_DIGITAL, 2)])
def test_rows_name_what_runs_in_the_array(row: str, count: int) -> None:
    graph = network()
    assert place(graph, row) == count
    known = state_of(graph).precisions
    convs = [known[node.name].array is not None for node in graph.nodes if node.op == "Conv"]
    assert convs == [False] * (3 - count) + [True] * count


@pytest.mark.parametrize(("size", "same"), [(1.0, True), (3.9, False)])
def test_without_converters_sums_are_neither_rounded_nor_clipped(size: float, same: bool) -> None:
    graph = case_graph(Case(1, 1, pads=(0, 0, 0, 0)))  # its converter has step 1: it clips alone
    images = np.linspace(-size, size, 42, dtype=np.float32).reshape(1, 1, 7, 6)
    Quantize()(graph)
    before, after = (
        session(to_model(form, "N")).run(None, {"x": images})[0]
        for form in (graph, without_converters(graph))
    )
    assert np.array_equal(before, after) is same
