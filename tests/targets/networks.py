"""Convolutions and fully connected layers of the MLPerf Tiny networks and ResNet20, as loops."""

from __future__ import annotations

from targets.network.layer import Layer, LoopDims, Operand


def loops(k: int, c: int, oy: int, ox: int, fy: int, fx: int, stride: int = 1, groups: int = 1) -> LoopDims:
    return LoopDims(
        1, groups, k // groups, c // groups, oy, ox, fy, fx, oy * stride, ox * stride, stride, stride
    )


def square(k: int, c: int, size: int, kernel: int, stride: int = 1, groups: int = 1) -> LoopDims:
    return loops(k, c, size, size, kernel, kernel, stride, groups)


def linear_layer(dims: LoopDims, op_type: str = "Conv") -> Layer:
    """Return an int8 layer with bias for ``dims``."""
    inputs = Operand("x", (dims.b, dims.g * dims.c, dims.iy, dims.ix), 8)
    outputs = Operand("y", (dims.b, dims.g * dims.k, dims.oy, dims.ox), 8)
    weight = Operand("w", (dims.g * dims.k, dims.c, dims.fy, dims.fx), 8)
    bias = Operand("b", (dims.g * dims.k,), 32)
    return Layer("layer", op_type, (), dims.iterations, dims, (inputs,), (outputs,), weight, bias)


def resnet8() -> list[LoopDims]:
    first = [square(16, 3, 32, 3), square(16, 16, 32, 3), square(16, 16, 32, 3)]
    second = [square(32, 16, 16, 3, 2), square(32, 32, 16, 3), square(32, 16, 16, 1, 2)]
    third = [square(64, 32, 8, 3, 2), square(64, 64, 8, 3), square(64, 32, 8, 1, 2)]
    return [*first, *second, *third, square(10, 64, 1, 1)]


def resnet20() -> list[LoopDims]:
    """CIFAR ResNet20 with parameter-free shortcuts (option A)."""
    found = [square(16, 3, 32, 3)]
    before = 16
    for width, size in ((16, 32), (32, 16), (64, 8)):
        for _ in range(3):
            found += [
                square(width, before, size, 3, 1 if before == width else 2),
                square(width, width, size, 3),
            ]
            before = width
    return [*found, square(10, 64, 1, 1)]


def ds_cnn() -> list[LoopDims]:
    found = [loops(64, 1, 25, 5, 10, 4, 2)]
    for _ in range(4):
        found += [loops(64, 64, 25, 5, 3, 3, 1, 64), loops(64, 64, 25, 5, 1, 1)]
    return [*found, square(12, 64, 1, 1)]


def mobilenet_v1_025() -> list[LoopDims]:
    found = [square(8, 3, 48, 3, 2)]
    size, before = 48, 8
    for width, stride in (
        (16, 1),
        (32, 2),
        (32, 1),
        (64, 2),
        (64, 1),
        (128, 2),
        *[(128, 1)] * 5,
        (256, 2),
        (256, 1),
    ):
        size //= stride
        found += [square(before, before, size, 3, stride, before), square(width, before, size, 1)]
        before = width
    return [*found, square(2, 256, 1, 1)]
