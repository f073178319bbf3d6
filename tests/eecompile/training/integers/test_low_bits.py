"""Weights of few bits: where they start, and the grids of their stages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eecompile.training.integers.low_bits import fewest_bits, from_float, round_to, widened
from passes.integers.schemes import scheme
from passes.number_formats import Levels
from passes.state import copy_graph, state_of

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile.training.torch_graph import learnt_constants
from tests.eecompile.training.quantized_nets import NETWORKS, calibrated
from tests.eecompile.training.small import constants, images


@pytest.mark.parametrize(
    ("levels", "bits", "expected"),
    [
        (Levels(-1, 1, 2), 8, (-127, 127, 8)),
        (Levels(-1, 1, 2), 4, (-7, 7, 4)),
        (Levels(-1, 1, 2), 2, (-1, 1, 2)),
        (Levels(-2, 1, 2), 2, (-2, 1, 2)),
        (Levels(-7, 7, 4), 3, (-7, 7, 4)),
    ],
)
def test_a_stage_has_its_bits_where_these_are_more(
    levels: Levels, bits: int, expected: tuple[int, int, int]
) -> None:
    found = widened(replace(levels, power_of_two=True, per_channel=True), bits)
    assert (found.low, found.high, found.bits) == expected
    assert found.power_of_two and found.per_channel


def test_layers_of_few_bits_start_from_float_and_get_finer_grids_first() -> None:
    given = NETWORKS["skip"]()
    graph = calibrated(given, "int2-channel")
    state = state_of(graph)
    layers = [n for n in graph.nodes if n.op in ("Conv", "Gemm")]
    kept, fixed = layers[0], layers[-1]
    state.precisions[kept.name] = replace(state.precisions[kept.name], weights=Levels(-127, 127, 8))
    learnt = set(learnt_constants(graph)) - {fixed.inputs[1].name}
    before, grids = constants(graph), dict(state.grids)
    assert fewest_bits(graph, learnt) == 2 and fewest_bits(graph, [kept.inputs[1].name]) == 8
    from_float(graph, given, learnt)
    float_of = {n.name: n for n in given.nodes}
    for node in layers:
        there, same = float_of[node.name].inputs, node in (kept, fixed)
        for index, tensor in enumerate(node.inputs[1:], 1):
            expected = there[index].values if len(there) > index else 0.0 * tensor.values
            assert np.array_equal(tensor.values, before[tensor.name] if same else expected)
    for bits, low in ((4, 121), (2, 127)):
        round_to(graph, learnt, bits, images().train.x)
        for node in layers:
            weight, grid = node.inputs[1], state.grids[node.inputs[1].name]
            if node in (kept, fixed):
                assert grid == grids[weight.name] and np.array_equal(weight.values, before[weight.name])
                continue
            assert (grid.low, grid.high, len(grid.scale)) == (low, 256 - low, len(weight.values))
            steps = np.reshape(grid.scale, (-1, *[1] * (weight.values.ndim - 1)))
            off = np.abs(
                weight.values - np.clip(np.rint(weight.values / steps), low - 128, 128 - low) * steps
            )
            assert off.max() < 1e-5, "rounded"
    assert state.precisions[layers[1].name].weights == scheme("int2-channel").weights


def test_nothing_changes_where_no_weights_are_of_few_bits() -> None:
    given = NETWORKS["chain"]()
    graph = calibrated(given, "int8-pow2")
    whole = copy_graph(graph)
    from_float(graph, given, learnt_constants(graph))
    round_to(graph, learnt_constants(graph), 4, images().train.x)
    assert state_of(graph).grids == state_of(whole).grids
    mine, theirs = constants(graph), constants(whole)
    assert all(np.array_equal(mine[name], theirs[name]) for name in theirs)
