"""Where a network lies in the largest one of its family."""

from __future__ import annotations

from dataclasses import replace

import onnx_graphsurgeon as gs
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from eecompile.training.shared.slices import slices_of
from eecompile.training.torch_graph import learnt_constants
from eecompile.training.training_form import normalized
from passes.errors import InputError
from passes.state import state_of
from tests.eecompile.training.shared.family import LARGEST, network


def test_channels_are_the_leading_ones_and_kernels_the_centre() -> None:
    found = slices_of(network((2, 1, 3)), network(LARGEST))
    conv = found["stage_1.block_0.conv_1.weight"]
    assert conv.name == "stage_1.block_0.conv_1.weight"
    assert conv.index == (slice(0, 4), slice(0, 2), slice(1, 4), slice(1, 4))
    assert found["stem.weight"].index == (slice(0, 2), slice(0, 1), slice(0, 3), slice(0, 3))
    assert found["classifier.weight"].index == (slice(0, 3), slice(0, 4))
    assert found["classifier.bias"].index == (slice(0, 3),)


def test_heads_go_by_their_mount() -> None:
    """With one block per stage `exit_0` is behind the first stage, with two behind the first block of two."""
    part, whole = network((4, 1, 3)), network(LARGEST)
    mounts = [[item.mount for item in state_of(graph).exits[:-1]] for graph in (part, whole)]
    assert mounts[0] == ["stage_0.block_0"] and mounts[1][0] == "stage_0.block_0"
    exits = state_of(whole).exits
    assert exits[1].mount == "stage_0.block_1"
    state_of(whole).exits = [replace(exits[0], mount=exits[1].mount), *exits[1:]]  # as if it were there
    with pytest.raises(InputError, match="has no such layer"):
        slices_of(part, whole)
    state_of(whole).exits = [exits[1], replace(exits[0], mount=exits[1].mount), *exits[2:]]
    state_of(whole).exits[0] = replace(exits[1], mount="stage_0.block_0")
    found = slices_of(part, whole)
    assert found["exit_0/conv.weight"].name == "exit_1/conv.weight"


def test_all_that_is_learnt_has_its_place_in_the_form_that_is_trained() -> None:
    part, whole = (normalized(network(genes), "all", 0.9) for genes in ((3, 1, 3), LARGEST))
    found = slices_of(part, whole)
    assert set(found) == set(learnt_constants(part)) and "stem/batch_norm.scale" in found
    for name, place in found.items():
        assert part.tensors()[name].values.shape == whole.tensors()[place.name].values[place.index].shape


def test_gradients_of_a_slice_reach_the_whole_there_and_nowhere_else() -> None:
    place = slices_of(network((2, 1, 3)), network(LARGEST))["stage_0.block_0.conv_1.weight"]
    whole = torch.ones(4, 4, 5, 5, requires_grad=True)
    place.of({place.name: whole}).sum().backward()  # type: ignore[no-untyped-call]
    assert whole.grad is not None and whole.grad.sum() == 2 * 2 * 3 * 3
    assert whole.grad[:2, :2, 1:4, 1:4].min() == 1


@pytest.mark.parametrize(
    ("part", "whole", "reason"),
    [
        (network((4, 2, 3)), network((4, 1, 3)), "has no such layer"),
        (network((5, 1, 3)), network((4, 1, 3)), r"it has \[5, 1, 3, 3\] weights, and \[4, 1, 3, 3\]"),
        (
            network((0.25,), "mobilenet_v1", stem_stride=2),
            network((0.25,), "mobilenet_v1", stem_stride=1),
            r"map of \[4, 4\] places, and \[8, 8\]",
        ),
    ],
)
def test_what_is_no_slice(part: gs.Graph, whole: gs.Graph, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as error:
        slices_of(part, whole)
    assert "search without `share`" in error.value.hint
