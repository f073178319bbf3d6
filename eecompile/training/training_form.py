"""The form in which a graph is trained, made of a copy, and the way back into the constants of the graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.training.operators.gradients import DOMAIN, SCALE
from eecompile.training.recipe import NOWHERE
from passes.canonical.fold_batchnorm import FoldBatchnorm
from passes.errors import InputError
from passes.exits.chain import ancestors
from passes.exits.insert_batch_norm import InsertBatchNorm, closing_layers
from passes.model.graph import tidy
from passes.operator_sets import BIAS_INPUT
from passes.rewrite.names import Names
from passes.state import Exit, copy_graph, state_of

MASK = "dropout_mask"


def normalized(graph: gs.Graph, where: str, momentum: float) -> gs.Graph:
    """Return a copy with BatchNormalization behind the layers ``where`` says, which computes the same."""
    form = copy_graph(graph)
    if where != NOWHERE:
        InsertBatchNorm(where, momentum)(form)
    return form


def give_back(form: gs.Graph, graph: gs.Graph) -> None:
    """Fold the normalizations of a trained form, and write its constants into those of ``graph``.

    Args:
        form: A copy of ``graph`` or of a part, normalized, with trained values; it is folded in place.
        graph: Its nodes and constants keep their names; a layer without bias gets one where it needs it.

    Raises:
        InputError: Values that are not finite; nothing is written.
    """
    FoldBatchnorm()(form)
    trained = {node.name: node for node in form.nodes}
    found: list[tuple[gs.Node, int, np.ndarray[Any, Any]]] = []
    for node in (node for node in graph.nodes if node.name in trained):
        for index, tensor in enumerate(trained[node.name].inputs):
            if isinstance(tensor, gs.Constant) and tensor.values.dtype.kind == "f":
                if not np.isfinite(tensor.values).all():
                    raise diverged(f"the weights of {node.op} '{node.name}'")
                found.append((node, index, np.ascontiguousarray(tensor.values)))
    names = Names(graph)
    for node, index, values in found:
        if index < len(node.inputs) and isinstance(node.inputs[index], gs.Constant):
            node.inputs[index].values = values.reshape(node.inputs[index].shape)
        elif BIAS_INPUT.get(node.op) == index:
            if index < len(node.inputs):  # left out, as an empty name
                del node.inputs[index]
            node.inputs.append(gs.Constant(names.fresh(f"{node.name}.bias"), values))


def diverged(what: str) -> InputError:
    """Return the error for a training whose numbers are none any more."""
    return InputError(
        f"training diverged: {what} is not finite",
        "check the preprocessing of the images; take a smaller rate, or another seed",
    )


def stop_into_logits(form: gs.Graph) -> None:
    """Let no gradient of a later exit flow into the logits of an earlier one that it reads."""
    for logits in form.outputs:
        if logits.outputs:
            _scale(form, logits, list(logits.outputs), 0.0)


def mounts_of(exits: Sequence[Exit]) -> tuple[str, ...]:
    """Return the mounts of the early exits, shallow to deep, each once."""
    return tuple(dict.fromkeys(item.mount for item in exits[:-1]))


def balance(form: gs.Graph) -> None:
    """Scale gradients at the mounts so that each head weighs like any exit behind it (IMTA, Li et al. 2019).

    Of K exits in all, what flows back into mount i (from 0) is divided by K - i, and what comes from deeper
    was multiplied by K - i - 1: a mean over its head and all exits behind. Rivals on a mount count as one.
    """
    exits = state_of(form).exits
    backbone = ancestors([t for t in form.outputs if t.name == exits[-1].output])
    mounts = mounts_of(exits)
    tensors = form.tensors()
    for number, name in enumerate(mounts):
        behind = len(mounts) - number  # exits that lie deeper
        mount = tensors[name]
        deeper = [node for node in mount.outputs if node.name in backbone]
        scaled = _scale(form, mount, list(mount.outputs), 1 / (behind + 1))
        _scale(form, scaled, deeper, float(behind))


def _scale(form: gs.Graph, tensor: gs.Tensor, readers: Iterable[gs.Node], factor: float) -> gs.Tensor:
    """Let ``readers`` read ``tensor`` through a node that scales its gradient; return what they read."""
    name = Names(form).fresh(f"{tensor.name}/gradient")
    scaled = gs.Variable(name, tensor.dtype, list(tensor.shape))
    for node in {id(reader): reader for reader in readers}.values():
        for index, read in enumerate(node.inputs):
            if read is tensor:
                node.inputs[index] = scaled
    added = gs.Node(SCALE, name, {"factor": factor}, [tensor], [scaled], domain=DOMAIN)
    place = form.nodes.index(tensor.inputs[0]) + 1 if tensor.inputs else 0
    form.nodes.insert(place, added)
    return scaled


def mask_classifiers(form: gs.Graph) -> tuple[tuple[int, ...], ...]:
    """Let a further input of the network multiply what each classifier reads: a mask that drops some.

    Returns:
        The shapes of these inputs without batch, in their order behind the inputs that were there.
    """
    shapes = []
    closing = closing_layers(form.outputs)
    for node in [node for node in form.nodes if node.name in closing]:
        read = node.inputs[0]
        shape = tuple(int(d) for d in read.shape)
        if isinstance(read, gs.Constant) or shape[0] != 1:
            continue
        names = Names(form)
        mask = gs.Variable(names.fresh(f"{node.name}/{MASK}"), read.dtype, list(shape))
        masked = gs.Variable(names.fresh(f"{node.name}/masked"), read.dtype, list(shape))
        node.inputs[0] = masked
        added = gs.Node("Mul", names.fresh(f"{node.name}/mask"), {}, [read, mask], [masked])
        form.nodes.insert(form.nodes.index(node), added)
        form.inputs.append(mask)
        shapes.append(shape[1:])
    return tuple(shapes)


def part(graph: gs.Graph, sources: Sequence[str], outputs: Sequence[str]) -> gs.Graph:
    """Return a copy of what lies between ``sources``, its inputs, and ``outputs``; it has no exits."""
    clone = copy_graph(graph)
    tensors = clone.tensors()
    clone.inputs = [tensors[name] for name in sources]
    for tensor in clone.inputs:
        tensor.inputs.clear()
    clone.outputs = [tensors[name] for name in outputs]
    state_of(clone).exits = []
    clone.cleanup(remove_unused_graph_inputs=False)
    tidy(clone)
    return clone
