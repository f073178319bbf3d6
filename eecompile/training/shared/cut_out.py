"""A network of a family out of the largest one, whose weights it shares."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.data.dataset import Split, evenly
from eecompile.runtime.preprocess import Preprocess
from eecompile.runtime.sessions import batches
from eecompile.training.device import Device
from eecompile.training.observed import estimate_statistics
from eecompile.training.recipe import JointRecipe
from eecompile.training.shared.slices import slices_of
from eecompile.training.torch_graph import TorchGraph
from eecompile.training.training_form import give_back, normalized
from passes.errors import InputError

SEEN = 2048
"""So many images at most say the statistics of normalizations."""


def cut_out(
    graph: gs.Graph, whole: gs.Graph, train: Split, preprocess: Preprocess, recipe: JointRecipe
) -> None:
    """Give a network its slice of the largest one of its family, in place, with statistics of its own.

    Args:
        graph: It has weights, of no meaning; it gets the slices, normalizations folded into them.
        whole: The trained form of the largest network, normalized as ``recipe`` says.
        train: Training images, evenly of which statistics are estimated.
        preprocess: From stored images to the input of the network.
        recipe: How the largest was trained.

    Raises:
        InputError: It is no slice of the largest, or there are no images.
    """
    if not len(train):
        raise InputError("there are no training images", "give some: statistics are estimated on them")
    device = Device.choose(recipe.bfloat16)
    form = normalized(graph, recipe.batch_norm, recipe.norm_momentum)
    ours, theirs = form.tensors(), whole.tensors()
    for name, place in slices_of(form, whole).items():
        ours[name].values = np.ascontiguousarray(theirs[place.name].values[place.index])
    module = device.ready(TorchGraph(form))
    some = evenly(train.x, SEEN)
    pieces = batches(len(some), recipe.batch)
    steps = ((device.held(preprocess.apply(some[piece])),) for piece in pieces)
    estimate_statistics(form, module, steps, device)
    module.write_back(form)
    give_back(form, graph)
