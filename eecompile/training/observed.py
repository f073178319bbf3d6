"""What tensors of a network look like on images: their size, and mean and variance of their channels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import torch
from numpy.typing import NDArray

from eecompile.runtime.sessions import batches
from eecompile.training.device import Device
from eecompile.training.torch_graph import TorchGraph
from passes.state import copy_graph, state_of

Float64 = NDArray[np.float64]
IMAGES = 512
_BATCH = 128


@dataclass(frozen=True)
class Moments:
    """Of a tensor [N, C, …] over images and space: mean and variance of each channel, deviation of all."""

    mean: Float64
    variance: Float64

    @property
    def deviation(self) -> float:
        """Of all values, whatever their channel."""
        return float(np.sqrt(self.variance.mean() + self.mean.var()))


def moments(
    graph: gs.Graph,
    names: Sequence[str],
    inputs: Callable[[slice], Sequence[NDArray[Any]]],
    count: int,
    device: Device,
) -> dict[str, Moments]:
    """Return the moments of tensors of a network on the first ``count`` images, in evaluation mode.

    Args:
        graph: It is not changed.
        names: Tensors that depend on the image, with channels behind the batch.
        inputs: From a slice of the images to what the inputs of the network are given.
        count: How many there are.
        device: Where it is run.
    """
    if not names:
        return {}
    tapped = copy_graph(graph)
    tensors = tapped.tensors()
    tapped.outputs = [tensors[name] for name in dict.fromkeys(names)]
    state_of(tapped).exits = []
    tapped.cleanup(remove_unused_graph_inputs=False)
    module = TorchGraph(tapped).to(device.name).eval()
    sums: dict[str, list[Any]] = {t.name: [0, 0.0, 0.0] for t in tapped.outputs}
    with torch.no_grad():
        for piece in batches(count, _BATCH):
            for name, value in zip(
                sums, module(*(device.held(given) for given in inputs(piece))), strict=True
            ):
                rows = value.transpose(0, 1).flatten(1).double() if value.ndim > 1 else value[None].double()
                total = sums[name]
                total[0] += rows.shape[1]
                total[1] += rows.sum(1).cpu().numpy()
                total[2] += (rows * rows).sum(1).cpu().numpy()
    found = {}
    for name, (number, first, second) in sums.items():
        mean = first / number
        found[name] = Moments(mean, np.maximum(second / number - mean**2, 0.0))
    return found


def fit_normalizations(nodes: Iterable[gs.Node], seen: Mapping[str, Moments]) -> None:
    """Let normalizations start from the statistics of images, in place, so that they compute what they did.

    Args:
        nodes: BatchNormalizations with mean 0 and variance 1 - epsilon.
        seen: Moments of what they read, by name.
    """
    for node in nodes:
        found, epsilon = seen[node.inputs[0].name], float(node.attrs["epsilon"])
        gamma, beta, mean, variance = node.inputs[1:5]
        beta.values = (beta.values + gamma.values * found.mean).astype(np.float32)
        gamma.values = (gamma.values * np.sqrt(found.variance + epsilon)).astype(np.float32)
        mean.values, variance.values = found.mean.astype(np.float32), found.variance.astype(np.float32)


def estimate_statistics(
    form: gs.Graph, module: TorchGraph, steps: Iterable[Sequence[torch.Tensor]], device: Device
) -> None:
    """Let running statistics of normalizations be means of those of batches, the weights as they are.

    Args:
        form: What the module was made of: its BatchNormalizations are those that are estimated.
        module: Its running statistics are set, in place; it is in training mode afterwards.
        steps: What the inputs of the network are given, batch by batch; one batch at least.
        device: Where it runs.
    """
    held = {
        tensor.name: 1 - float(node.attrs.get("momentum", 0.9))
        for node in form.nodes
        if node.op == "BatchNormalization"
        for tensor in node.inputs[3:5]
    }
    sums = {name: torch.zeros_like(module.value(name)) for name in held}
    module.train()
    count = 0
    with torch.no_grad(), device.numbers():
        for given in steps:
            for name in held:
                module.value(name).zero_()
            module(*given)
            for name, share in held.items():
                sums[name] += module.value(name) / share
            count += 1
        for name, total in sums.items():
            module.value(name).copy_(total / count)
