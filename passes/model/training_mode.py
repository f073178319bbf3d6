"""Nodes exported in training mode: what they compute depends on the batch or on chance."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from passes.errors import InputError
from passes.model.external_data import all_nodes

# BatchNormalization normalizes by the statistics of the batch, Dropout drops at random.
_MODE = "training_mode"


def leave_training(model: onnx.ModelProto, symbolic: bool, where: str) -> list[str]:
    """Refuse nodes in training mode; those of a model without weights, which is only costed, leave it.

    The operators that can be in it lose what only training has: outputs beside the first, the mode.
    ``momentum`` stays: it means nothing for what is run, and is how the network was and may be trained.

    Args:
        model: Changed in place; batch normalization and dropout of any operator set.
        symbolic: The weights are absent.
        where: Name of the model in messages.

    Returns:
        The tensors whose nodes were in training mode.

    Raises:
        InputError: A node is in training mode.
    """
    constants = {t.name: t for t in model.graph.initializer if t.data_location != onnx.TensorProto.EXTERNAL}
    nodes = [node for node in all_nodes(model.graph) if node.op_type in ("BatchNormalization", "Dropout")]
    constants |= {
        node.output[0]: a.t
        for node in all_nodes(model.graph)
        if node.op_type == "Constant"
        for a in node.attribute
        if a.name == "value"
    }
    found = []
    for node in nodes:
        trains = _trains(node, constants)
        if trains and not symbolic:
            raise InputError(
                f"{node.op_type} '{node.name or node.output[0]}' of {where} is in training mode: what it "
                "computes depends on the other images of a batch or on chance",
                "export the network in evaluation mode (in PyTorch, call `.eval()` first)",
            )
        if trains:
            found.append(node.output[0])
        del node.output[1:]
        if node.op_type == "BatchNormalization":
            kept = [a for a in node.attribute if a.name != _MODE]
            del node.attribute[:]
            node.attribute.extend(kept)
        else:
            del node.input[2:]
    return found


def _trains(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "BatchNormalization":
        # Before operator set 14 the outputs said it: with statistics beside the first it trains.
        return bool(attributes.get(_MODE, 0)) or len(node.output) > 2
    if len(node.input) < 3 or not node.input[2]:
        return False
    known = constants.get(node.input[2])
    return known is None or bool(np.any(numpy_helper.to_array(known)))
