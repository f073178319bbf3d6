"""A network out of the largest one of its family."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from eecompile.data.dataset import Split
from eecompile.training.fresh_weights import draw_network
from eecompile.training.recipe import FRESH
from eecompile.training.shared.cut_out import cut_out
from eecompile.training.torch_graph import TorchGraph
from eecompile.training.training_form import normalized
from passes.errors import InputError
from tests.eecompile.training.shared.family import LARGEST, images, network


def test_its_statistics_are_its_own(tmp_path: Path) -> None:
    """It answers as its slice does in training, on one batch of all images: normalized by these."""
    given = images(tmp_path)
    whole = normalized(network(LARGEST), "all", FRESH.norm_momentum)
    draw_network(whole, 3)
    for node in whole.nodes:
        if node.op == "BatchNormalization":  # of the largest network: a slice must not use them
            node.inputs[3].values += 7
    graph = network((2, 1, 3))
    recipe = replace(FRESH, batch=len(given.train), bfloat16="no")
    cut_out(graph, whole, given.train, given.preprocess, recipe)
    form = normalized(network((2, 1, 3)), "all", FRESH.norm_momentum)
    for name, tensor in form.tensors().items():
        if name.endswith((".weight", ".bias", ".scale", ".shift")):
            there = whole.tensors()[name].values
            centre = [
                (more - size) // 2 for size, more in zip(tensor.shape[2:], there.shape[2:], strict=True)
            ]
            spans = zip([0, 0, *centre], tensor.shape, strict=False)
            tensor.values = there[tuple(slice(first, first + size) for first, size in spans)].copy()
    x = torch.from_numpy(given.preprocess.apply(given.train.x))
    with torch.no_grad():
        expected = TorchGraph(form).train()(x)
        for found, known in zip(TorchGraph(graph).eval()(x), expected, strict=True):
            torch.testing.assert_close(found, known, rtol=1e-3, atol=1e-3)


def test_without_images_there_are_no_statistics(tmp_path: Path) -> None:
    given = images(tmp_path)
    empty = Split(given.train.x[:0], np.zeros(0, np.int64))
    whole = normalized(network(LARGEST), "all", FRESH.norm_momentum)
    with pytest.raises(InputError, match="no training images"):
        cut_out(network((2, 1, 3)), whole, empty, given.preprocess, FRESH)
