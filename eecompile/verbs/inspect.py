"""The verb `inspect`: what a network is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eecompile.verbs.given.network import network_given

if TYPE_CHECKING:
    from eecompile.verbs.given.network import Model
    from eecompile.verbs.work.inspect_network import Inspection


def inspect(model: Model, target: str = "diana", cost_model: str | None = None) -> Inspection:
    """Return the nodes, layers, exits and mounts of a network, with the reason for what is not.

    Args:
        model: A network: path, bytes, ``onnx.ModelProto`` or graph; its weights may be absent.
        target: Target whose cores the layers are placed on.
        cost_model: Latency model of the target; its default if absent.

    Examples:
        >>> from eecompile import api
        >>> found = api.inspect("digits_resnet.onnx")
        >>> found
        <Inspection: digits_resnet.onnx on diana: 22 nodes, 1 exits, 3 mounts, 10 classes>
        >>> [mount.name for mount in found.mounts if mount.rank == 1]
        ['relu_4']
    """
    from eecompile.verbs.work.inspect_network import inspect_network

    return inspect_network(network_given(model), target, cost_model)
