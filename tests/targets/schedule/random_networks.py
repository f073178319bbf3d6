"""Random small networks with exits, to be scheduled on random machines."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from targets.network.layer import Layer, LoopDims, Operand
from targets.network.workload import ExitPath, Workload
from targets.schedule.network import Network, network_of
from tests.targets.schedule.random_machines import FakeCosts, random_machine

BITS = 8


@dataclass
class _Growing:
    """Layers so far, and the images that may be read next."""

    random: Random
    layers: list[Layer] = field(default_factory=list)
    images: list[Operand] = field(default_factory=list)
    maker: dict[str, int] = field(default_factory=dict)

    def add(self, op: str, inputs: tuple[Operand, ...], *shapes: tuple[int, ...], **more: object) -> Operand:
        index = len(self.layers)
        outputs = tuple(Operand(f"t{index}_{i}", shape, BITS) for i, shape in enumerate(shapes))
        producers = sorted({self.maker[t.name] for t in inputs if t.name in self.maker})
        made = Layer(f"l{index}", op, (), 0, None, inputs, outputs, producers=tuple(producers))
        self.layers.append(replace(made, **more))  # type: ignore[arg-type]
        self.maker |= {output.name: index for output in outputs}
        self.images.extend(output for output in outputs if len(output.shape) == 4)
        return outputs[0]

    def grow(self) -> None:
        """Add one layer behind images that are there."""
        kinds = (self.conv, self.conv, self.conv, self.pool, self.combine, self.elementwise, self.other)
        self.random.choice(kinds)(self.random.choice(self.images[-4:]))

    def conv(self, image: Operand) -> None:
        random, (_, channels, _, _) = self.random, image.shape
        groups = random.choice([1, 1, channels, 2 if channels % 2 == 0 else 1])
        outs = channels if groups == channels > 1 else groups * random.randint(1, 6 // groups + 1)
        dims = self._window(image, groups, outs // groups, channels // groups)
        if dims is not None:
            weight = Operand("", (outs, dims.c, dims.fy, dims.fx), BITS)
            bias = Operand("", (outs,), 32) if random.random() < 0.5 else None
            shape = (1, outs, dims.oy, dims.ox)
            self.add("Conv", (image,), shape, dims=dims, macs=dims.iterations, weight=weight, bias=bias)

    def pool(self, image: Operand) -> None:
        _, channels, height, width = image.shape
        if self.random.random() < 0.3:
            dims = LoopDims(1, channels, 1, 1, 1, 1, height, width, height, width, height, width)
            self.add("GlobalAveragePool", (image,), (1, channels, 1, 1), dims=dims)
            return
        window = self._window(image, channels, 1, 1)
        if window is not None:
            self.add("MaxPool", (image,), (1, channels, window.oy, window.ox), dims=window)

    def combine(self, image: Operand) -> None:
        alike = [t for t in self.images if t.shape == image.shape]
        self.add("Add", (image, self.random.choice(alike)), image.shape)

    def elementwise(self, image: Operand) -> None:
        if self.random.random() < 0.3:
            constant = Operand("", (1, image.shape[1], 1, 1), BITS)
            self.add("Mul", (image,), image.shape, constant=constant)
            return
        self.add("Relu", (image,), image.shape)

    def other(self, image: Operand) -> None:
        _, channels, height, width = image.shape
        if self.random.random() < 0.5:
            beside = [t for t in self.images if t.shape[2:] == image.shape[2:]]
            second = self.random.choice(beside)
            self.add("Concat", (image, second), (1, channels + second.shape[1], height, width))
        elif channels > 1:
            self.add("Split", (image,), (1, 1, height, width), (1, channels - 1, height, width))

    def head(self, image: Operand) -> Operand:
        classes = self.random.randint(2, 6)
        dims = LoopDims(1, 1, classes, image.elements, 1, 1, 1, 1, 1, 1)
        weight = Operand("", (classes, image.elements), BITS)
        return self.add("Gemm", (image,), (1, classes), dims=dims, macs=dims.iterations, weight=weight)

    def _window(self, image: Operand, g: int, k: int, c: int) -> LoopDims | None:
        random, (_, _, height, width) = self.random, image.shape
        size, stride = random.choice([1, 2, 3, 3, 5]), random.choice([1, 1, 2, 3])
        dilation, top, bottom = (
            random.choice([1, 1, 2]),
            random.randint(0, size // 2),
            random.randint(0, size // 2),
        )
        reach = (size - 1) * dilation + 1
        oy = (height + top + bottom - reach) // stride + 1
        ox = (width + 2 * (size // 2) - size) + 1
        if oy < 1 or height + top + bottom < reach:
            return None
        return LoopDims(
            1, g, k, c, oy, ox, size, size, height, width, stride, 1, dilation, 1,
            top, size // 2, bottom, size // 2,
        )  # fmt: skip


def random_workload(random: Random, most: int = 9) -> Workload:
    """Return up to ``most`` layers between one or two inputs and one to three exits, and the heads."""
    growing = _Growing(random)
    for number in range(random.choice([1, 1, 2])):
        shape = (1, random.randint(1, 4), random.randint(1, 9), random.randint(1, 4))
        growing.images.append(Operand(f"image{number}", shape, BITS))
    exits = random.choice([1, 1, 2, 3])
    heads = []
    for _ in range(exits):
        for _ in range(random.randint(1, max(1, most // exits))):
            growing.grow()
        heads.append(growing.head(growing.images[-1]))
    layers = growing.layers
    paths: list[ExitPath] = []
    members: set[int] = set()
    for number, logits in enumerate(heads):
        last = number == exits - 1
        members |= _ancestors(layers, growing.maker[logits.name])
        if not last:
            members.add(len(layers))
            confidence = Operand(f"confidence{number}", (1,), BITS)
            after = (growing.maker[logits.name],)
            layers.append(
                Layer(f"decide{number}", "Softmax", (), 0, None, (logits,), (confidence,), producers=after)
            )
        paths.append(ExitPath(f"exit{number}", "", tuple(sorted(members)), 0, not last))
    return Workload(tuple(layers), tuple(paths), (), frozenset(logits.name for logits in heads))


def _ancestors(layers: list[Layer], root: int) -> set[int]:
    found, stack = set[int](), [root]
    while stack:
        index = stack.pop()
        if index not in found:
            found.add(index)
            stack.extend(layers[index].producers)
    return found


def random_network(random: Random, most: int = 9) -> Network:
    """Return a random workload on a random machine."""
    workload = random_workload(random, most)
    machine = random_machine(random)
    second = {i: layer.op_type == "Add" for i, layer in enumerate(workload.layers)}
    return network_of(workload, machine, FakeCosts(machine, random.randint(0, 1 << 16)), second)
