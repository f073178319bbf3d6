"""What lies at once in an outer store that has a size, where every layer reads and writes there."""

from __future__ import annotations

from typing import NamedTuple

from targets.schedule.network import Network, has_weights, weights_name


class Demand(NamedTuple):
    """What must be there while a layer runs.

    Attributes:
        layer: Name of the layer.
        tensor_bits: Inputs of the network that are still read, results that are, outputs of the network.
        weight_bits: Of all layers whose weights lie there, and what those that come from beyond take.
    """

    layer: str
    tensor_bits: int
    weight_bits: int

    @property
    def bits(self) -> int:
        """All of it."""
        return self.tensor_bits + self.weight_bits


def weight_bits(network: Network, index: int) -> int:
    """Return the bits of the weights of a layer, 0 without."""
    layer = network.layer(index)
    if not has_weights(layer):
        return 0
    extent = network.extents[weights_name(layer)]
    return extent.bits_of(extent.whole)


def demands(network: Network) -> list[Demand]:
    """Return what lies in the outer store while each layer runs, in the order they run.

    Layers follow one another, whole, and nothing lies anywhere else.
    """
    names = {i: weights_name(network.layer(i)) for i in network.order}
    once = {name: weight_bits(network, i) for i, name in names.items() if name not in network.beyond}
    resident = sum(once.values())
    tensors = _tensor_bits(network)
    return [
        Demand(network.layer(i).name, bits, resident + network.beyond.get(names[i], 0))
        for i, bits in zip(network.order, tensors, strict=True)
    ]


def _tensor_bits(network: Network) -> list[int]:
    """Return the bits of all tensors that are alive while each layer runs."""
    position, last = network.position, len(network.order) - 1
    alive = [0] * len(network.order)
    for name in {*network.consumers, *network.producer}:
        made = network.producer.get(name)
        begin = 0 if made is None else position[made]
        end = max((position[i] for i in network.consumers.get(name, ())), default=begin)
        extent = network.extents[name]
        for p in range(begin, (last if name in network.outputs else end) + 1):
            alive[p] += extent.bits_of(extent.whole)
    return alive


def coming_from_beyond(network: Network, size_bits: int, piece_bits: int) -> dict[str, int]:
    """Return the weights that must come from beyond the outer store for all else to fit it.

    As few as will do: the smallest that make up for what is missing, else the largest, again and again. If
    nothing fits with all of them gone, all are returned.

    Args:
        network: What is scheduled.
        size_bits: Size of the outer store.
        piece_bits: The most that weights take of it while their layer runs: larger ones come in pieces.

    Returns:
        What they take of it, by their names.
    """
    tensors = dict(zip(network.order, _tensor_bits(network), strict=True))
    first = {weights_name(network.layer(i)): i for i in reversed(network.order)}  # of those that share them
    sizes = {i: bits for i in network.order if i in first.values() and (bits := weight_bits(network, i))}
    gone: dict[int, int] = {}
    while sizes:
        most = max(bits + gone.get(i, 0) for i, bits in tensors.items())
        lacking = most + sum(sizes.values()) - size_bits
        if lacking <= 0:
            break
        enough = [i for i, bits in sizes.items() if bits >= lacking]
        chosen = min(enough or sizes, key=lambda i: (sizes[i] if enough else -sizes[i], i))
        gone[chosen] = min(sizes.pop(chosen), piece_bits)
    return {weights_name(network.layer(i)): bits for i, bits in gone.items()}
