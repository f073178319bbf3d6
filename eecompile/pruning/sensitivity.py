"""How much the loss would rise without a channel, to first order, seen on images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_graphsurgeon as gs
import torch
from torch.nn import functional

from eecompile.data.dataset import Split, evenly
from eecompile.runtime.preprocess import Preprocess
from eecompile.runtime.sessions import batches
from eecompile.training.device import Device
from eecompile.training.graph_training import teacher_of
from eecompile.training.losses import distillation
from eecompile.training.recipe import NO
from eecompile.training.torch_graph import TorchGraph
from passes.pruning.groups import Dependencies
from passes.rewrite.names import Names
from passes.state import copy_graph

IMAGES = 1024
"""So many training images at most are looked at."""
TEMPERATURE = 4.0
_BATCH = 128


def sensitivities(
    graph: gs.Graph, found: Dependencies, images: Split, preprocess: Preprocess, teacher: gs.Graph | None
) -> dict[int, float]:
    """Return for each unit of ``found`` what its removal adds to the loss of an image, to first order.

    The sum of w · ∂L/∂w over all weights and the bias that make a channel is the sum of y · ∂L/∂y over what
    they make (Molchanov et al. 2019), and that is the gradient by a factor on the channel: one backward pass
    gives it for each image. It is summed over all layers that make the unit, with signs: they go together.
    The mean over images is of its size, so that what helps some and harms others is not taken for useless.

    Args:
        graph: A float network with one output.
        found: Its channels.
        images: Of the training set, with labels.
        preprocess: From stored images to the model's input.
        teacher: Whose softened answers count beside the labels; ``None``: labels alone.

    Raises:
        InputError: A node without a torch function.
    """
    device = Device.choose(NO)
    form, masks = _gated(graph, found)
    module = TorchGraph(form).to(device.name).eval()
    module.requires_grad_(False)
    taught = None if teacher is None else teacher_of(teacher, device)
    some = Split(evenly(images.x, IMAGES), evenly(images.y, IMAGES))
    sums: dict[int, float] = {}
    for piece in batches(len(some), _BATCH):
        x, labels = device.held(preprocess.apply(some.x[piece])), device.held(some.y[piece])
        given = [
            torch.ones((len(x), *shape), device=device.name, requires_grad=True) for shape in masks.values()
        ]
        answer = module(x, *given)[-1].float()
        loss = functional.cross_entropy(answer, labels, reduction="sum")
        if taught is not None:
            with torch.no_grad():
                known = taught(x)[-1]
            loss = loss + distillation(answer, known, TEMPERATURE).sum()
        gradients = torch.autograd.grad(loss, given)
        by_unit: dict[int, np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
        for node, gradient in zip(masks, gradients, strict=True):
            seen = gradient.flatten(1).double().cpu().numpy()
            for place, unit in enumerate(found.made[node]):
                by_unit[unit] = by_unit.get(unit, np.zeros(len(x))) + seen[:, place]
        for unit, values in by_unit.items():
            sums[unit] = sums.get(unit, 0.0) + float(np.abs(values).sum())
    return {unit: sums[unit] / len(some) for group in found.groups for unit in group.units}


def loss_of(graph: gs.Graph, images: Split, preprocess: Preprocess, teacher: gs.Graph) -> float:
    """Return the mean loss of an image by labels, and by the softened answers of ``teacher``."""
    device = Device.choose(NO)
    module, taught = teacher_of(graph, device), teacher_of(teacher, device)
    some = Split(evenly(images.x, IMAGES), evenly(images.y, IMAGES))
    total = 0.0
    for piece in batches(len(some), _BATCH):
        x, labels = device.held(preprocess.apply(some.x[piece])), device.held(some.y[piece])
        with torch.no_grad():
            answer, known = module(x)[-1].float(), taught(x)[-1]
            total += float(functional.cross_entropy(answer, labels, reduction="sum"))
            total += float(distillation(answer, known, TEMPERATURE).sum())
    return total / len(some)


def _gated(graph: gs.Graph, found: Dependencies) -> tuple[gs.Graph, Mapping[str, tuple[int, ...]]]:
    """Return a copy whose further inputs multiply what layers make, and shapes of these without the batch."""
    form = copy_graph(graph)
    names = Names(form)
    wanted = {name for group in found.groups for name in group.makers}
    shapes: dict[str, tuple[int, ...]] = {}
    for node in [node for node in form.nodes if node.name in wanted]:
        made = node.outputs[0]
        along = found.channels.of[made.name]
        shape = [len(along.ids) if axis == along.axis else 1 for axis in range(len(made.shape))]
        mask = gs.Variable(names.fresh(f"{node.name}/mask"), made.dtype, shape)
        gated = gs.Variable(names.fresh(f"{node.name}/gated"), made.dtype, list(made.shape))
        for reader in {id(reader): reader for reader in made.outputs}.values():
            reader.inputs = [gated if read is made else read for read in reader.inputs]
        added = gs.Node("Mul", names.fresh(f"{node.name}/gate"), {}, [made, mask], [gated])
        form.nodes.insert(form.nodes.index(node) + 1, added)
        form.inputs.append(mask)
        shapes[node.name] = tuple(shape[1:])
    return form, shapes
