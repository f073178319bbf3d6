"""Several images at once: a network unrolled, so that their layers share weights and cores."""

from __future__ import annotations

from dataclasses import replace

from targets.network.layer import Layer, Operand
from targets.network.workload import ExitPath, Workload


def unrolled(workload: Workload, images: int) -> Workload:
    """Return a network that takes ``images`` at once, each by layers of its own; layers of one share weights.

    The copies of a layer follow one another, so that its weights are read ``images`` times while they are
    there. An exit is where all images have left that get there.

    Args:
        workload: Of one image.
        images: At least 1; 1 is ``workload`` itself.
    """
    if images == 1:
        return workload
    layers = [
        _copy(layer, number, images)
        for layer in workload.layers
        for number in range(images)
    ]  # fmt: skip
    exits = tuple(
        ExitPath(
            path.name,
            path.mount,
            tuple(images * index + number for index in path.layers for number in range(images)),
            images * path.macs,
            path.decides,
        )
        for path in workload.exits
    )
    outputs = frozenset(_name(name, number) for name in workload.outputs for number in range(images))
    return Workload(tuple(layers), exits, workload.free, outputs)


def _copy(layer: Layer, number: int, images: int) -> Layer:
    def of(operands: tuple[Operand, ...]) -> tuple[Operand, ...]:
        return tuple(replace(operand, name=_name(operand.name, number)) for operand in operands)

    return replace(
        layer,
        name=_name(layer.name, number),
        inputs=of(layer.inputs),
        outputs=of(layer.outputs),
        producers=tuple(images * index + number for index in layer.producers),
        weights_of=layer.weights_of or layer.name,
    )


def _name(name: str, number: int) -> str:
    return f"{name}[{number}]"
