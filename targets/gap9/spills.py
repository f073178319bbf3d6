"""Tensors that L2 has no room for: which of a chain of layers go to external memory, and what that takes."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from targets.description.architecture import Architecture
from targets.gap9.transfers import Tiling
from targets.network.layer import Layer, Operand


@dataclass(frozen=True)
class Spilled:
    """Which tensors lie in external memory (L3), by name."""

    names: frozenset[str] = frozenset()

    def cycles(self, layer: Layer, cut: Tiling, arch: Architecture) -> int:
        """Return cycles that reading and writing such tensors adds to ``layer``, in whole cycles.

        They pass at the rate of the external memory and not beside the work; each run of bytes that do not
        follow the one before waits for the memory first, so that a tile of some channels of every pixel is
        slow.

        Source: fitted by this project to GreenWaves' log of EfficientNet-Lite0: an image read, a tensor
        written and the weights of a fully connected layer all pass at 1.04 bytes a cycle beyond the work of
        their layers.
        """
        if not self.names:
            return 0
        all_in = sum(t.size_bytes for t in layer.inputs)
        share = sum(t.size_bytes for t in layer.inputs if t.name in self.names) / all_in if all_in else 0.0
        written = [t.size_bytes for t in layer.outputs if t.name in self.names]
        runs = math.ceil(share) * cut.read_runs + (cut.written_runs if written else 0)
        rate = arch.memory("l3").bandwidth_bytes_per_cycle.value
        wait = arch.core("cluster").rate("cycles_per_external_run")
        return math.ceil((share * cut.read_bytes + sum(written)) / rate + runs * wait)


NOTHING = Spilled()


def spilled(layers: Sequence[Layer], room_bytes: int, outside: Collection[str] = ()) -> Spilled:
    """Return which tensors of ``layers``, run one after another, go to external memory.

    Wherever those alive at once exceed the room, the largest goes, of equal ones the latest.

    Args:
        layers: In the order they run.
        room_bytes: What tensors may take of L2.
        outside: Names of those that lie outside anyway.
    """
    born: dict[str, tuple[int, Operand]] = {}
    last_read: dict[str, int] = {}
    for index, layer in enumerate(layers):
        for tensor in layer.inputs:
            born.setdefault(tensor.name, (index, tensor))
            last_read[tensor.name] = index
        for tensor in layer.outputs:
            born.setdefault(tensor.name, (index, tensor))
            last_read.setdefault(tensor.name, index)
    names = set(outside)
    for index in range(len(layers)):
        alive = [
            (tensor.size_bytes, start, name)
            for name, (start, tensor) in born.items()
            if start <= index <= last_read[name] and name not in names
        ]
        alive.sort()
        while sum(size for size, _, _ in alive) > room_bytes:
            names.add(alive.pop()[2])
    return Spilled(frozenset(names))
