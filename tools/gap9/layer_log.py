"""The layers of a vendor's log: what names and operations tell, as a chain for GAP9's cost model.

Sizes follow from the operations (multiply-accumulates of a convolution, and one more per output element where
it has an activation) and from the layer before. The first convolution reads an image that nothing tells the
size of: it is taken to be twice as large as the result where the kernel is larger than 1 x 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from passes.errors import InputError
from targets.cost.layer_cost import ceil_div
from targets.gap9.ne16 import BLOCK
from targets.network.layer import Layer, LoopDims, Operand
from tools.gap9.log_rows import Row

IMAGE = "image"
STRIDES = (1, 2, 3, 4)
FIRST_STRIDE = 2
KNOWN = (
    "Conv2d_KxCxFYxFX, Conv2d_KxFYxFXxC (depthwise on the cluster), MatAdd_HxWxC, Linear_OUTxIN, "
    "AveragePool_CxHxW, MaxPool_CxHxW, SoftMax, Op_..._qin0, Op_..._trans; an activation such as _Relu6 may "
    "follow"
)
ACTIVATION = r"(?P<activation>_Re[lL][uU][A-Za-z0-9]*)?"

Shape = tuple[int, int, int]
"""Channels, rows, columns."""


@dataclass(frozen=True)
class LogLayer:
    """A layer of a log.

    Attributes:
        row: Its line.
        kind: What it is, one word.
        layer: As the cost model takes it.
    """

    row: Row
    kind: str
    layer: Layer


def layers_in(rows: Sequence[Row], where: str) -> tuple[LogLayer, ...]:
    """Return the layers of a log; their measured cycles are not looked at.

    Raises:
        InputError: A name that is none of those known, or operations that no layer of that name can have.
    """
    chain = _Chain(where)
    return tuple(chain.add(row) for row in rows)


@dataclass(frozen=True)
class _Size:
    """Rows and columns of input and output of a convolution, and its stride."""

    input: tuple[int, int]
    output: tuple[int, int]
    stride: int


class _Chain:
    """What is known so far: the tensors, the last one last."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._tensors: list[tuple[Operand, Shape | None]] = []

    def add(self, row: Row) -> LogLayer:
        for pattern, build in _FORMS:
            found = pattern.fullmatch(row.name)
            if found:
                return build(self, row, found)
        raise InputError(f"{self._where}, line {row.line}: unknown layer '{row.name}'", f"known are {KNOWN}")

    def _wrong(self, row: Row, expected: str) -> InputError:
        return InputError(
            f"{self._where}, line {row.line}: '{row.name}' has {row.operations} operations, "
            f"expected {expected}",
            "sizes follow from the operations and the layer before",
        )

    @property
    def _shape(self) -> Shape | None:
        return self._tensors[-1][1] if self._tensors else None

    def _input(self, elements: int) -> Operand:
        return self._tensors[-1][0] if self._tensors else Operand(IMAGE, (elements,), 8)

    def _layer(
        self, row: Row, kind: str, op_type: str, inputs: tuple[Operand, ...], shape: Shape,
        dims: LoopDims | None = None, weight: Operand | None = None,
    ) -> LogLayer:  # fmt: skip
        output = Operand(f"t{len(self._tensors)}", (1, *shape), 8)
        self._tensors.append((output, shape))
        layer = Layer(
            name=row.name, op_type=op_type, origin=(), macs=dims.iterations if dims else 0, dims=dims,
            inputs=inputs, outputs=(output,), weight=weight,
            bias=Operand("b", (shape[0],), 32) if weight else None,
        )  # fmt: skip
        return LogLayer(row, kind, layer)

    def conv(self, row: Row, found: re.Match[str]) -> LogLayer:
        """Take the first reading of the four numbers, of the operations and of the stride that fits."""
        k, *rest = (int(found[n]) for n in ("a", "b", "c", "d"))
        if not k or not all(rest):
            raise self._wrong(row, "sizes of at least 1 in its name")
        adds = (1, 0) if found["activation"] else (0, 1)
        readings = [(c, self._groups(k, c), fy, fx) for c, fy, fx in (rest, (rest[2], rest[0], rest[1]))]
        # 144x5x5x1 is a depthwise kernel of 5 x 5 rather than groups of five channels.
        readings.sort(key=lambda reading: reading[1] > 1 and reading[0] > 1)
        for c, groups, fy, fx in readings:
            for add in adds if groups else ():
                pixels, left = divmod(row.operations, k * (c * fy * fx + add))
                size = None if left else self._size(pixels, fy, fx)
                if size is not None:
                    return self._conv(row, (k, c, groups), (fy, fx), size)
        if self._shape is None:
            raise self._wrong(row, f"{k} x C x FY x FX for every pixel of a square")
        before = "x".join(map(str, self._shape))
        raise self._wrong(
            row,
            f"a convolution of {k} channels on the {before} of the layer before at stride 1 to {STRIDES[-1]}",
        )

    def _groups(self, k: int, c: int) -> int:
        """Return groups of a convolution of the last tensor with ``c`` channels each; 0 if there is none."""
        if self._shape is None:
            return 1
        channels = self._shape[0]
        groups, left = divmod(channels, c)
        return 0 if left or not groups or k % groups else groups

    def _size(self, pixels: int, fy: int, fx: int) -> _Size | None:
        """Return the sizes of a convolution with so many output pixels, padded if that fits."""
        if not pixels:
            return None
        if self._shape is None:
            side = math.isqrt(pixels)
            stride = FIRST_STRIDE if fy * fx > 1 else 1
            found = _Size((side * stride, side * stride), (side, side), stride)
            return found if side * side == pixels else None
        _, rows, columns = self._shape
        padded = [((ceil_div(rows, s), ceil_div(columns, s)), s) for s in STRIDES]
        valid = [(((rows - fy) // s + 1, (columns - fx) // s + 1), s) for s in STRIDES]
        for out, stride in padded + valid:
            if min(out) > 0 and out[0] * out[1] == pixels:
                return _Size((rows, columns), out, stride)
        return None

    def _conv(
        self, row: Row, channels: tuple[int, int, int], kernel: tuple[int, int], size: _Size
    ) -> LogLayer:
        (k, c, groups), (fy, fx) = channels, kernel
        dims = LoopDims(
            b=1, g=groups, k=k // groups, c=c, oy=size.output[0], ox=size.output[1], fy=fy, fx=fx,
            iy=size.input[0], ix=size.input[1], stride_y=size.stride, stride_x=size.stride,
        )  # fmt: skip
        image = Operand(IMAGE, (1, c * groups, *size.input), 8)
        return self._layer(
            row, _conv_kind(dims), "Conv", (self._tensors[-1][0] if self._tensors else image,),
            (k, *size.output), dims=dims, weight=Operand("w", (k, c, fy, fx), 8),
        )  # fmt: skip

    def matadd(self, row: Row, found: re.Match[str]) -> LogLayer:
        """Add the last tensor to the latest one of its size before it."""
        a, b, c = (int(found[n]) for n in ("a", "b", "c"))
        now = self._shape
        shape = (a, b, c) if now == (a, b, c) else (c, a, b)
        if row.operations % (a * b * c or 1) or not a * b * c:
            raise self._wrong(row, f"a multiple of {a} x {b} x {c}")
        last = self._input(a * b * c)
        other = next(
            (t for t, s in self._tensors[-2::-1] if s == shape), Operand(f"{last.name}.other", (1, *shape), 8)
        )
        return self._layer(row, "MatAdd", "Add", (last, other), shape)

    def linear(self, row: Row, found: re.Match[str]) -> LogLayer:
        k, c = int(found["a"]), int(found["b"])
        if row.operations not in (k * c, k * (c + 1)):
            raise self._wrong(row, f"{k * c} or {k * (c + 1)}")
        return self._layer(
            row, "FC", "Gemm", (self._input(c),), (k, 1, 1), dims=LoopDims(1, 1, k, c, 1, 1, 1, 1, 1, 1),
            weight=Operand("w", (k, c), 8),
        )  # fmt: skip

    def pool(self, row: Row, found: re.Match[str]) -> LogLayer:
        a, b, c = (int(found[n]) for n in ("a", "b", "c"))
        channels = self._shape[0] if self._shape else a
        if not a * b * c or channels not in (a, c):
            raise self._wrong(row, f"{channels} channels in its name, as the layer before has")
        shape = (a, b, c) if channels == a else (c, a, b)
        touched = Operand(self._input(row.operations).name, (row.operations,), 8)
        kind = "GlobalAveragePool" if found["pool"].endswith("AveragePool") else "GlobalMaxPool"
        return self._layer(row, "pooling", kind, (touched,), shape)

    def elementwise(self, row: Row, op_type: str, kind: str) -> LogLayer:
        """Work on every element of the last tensor, whose shape stays."""
        shape = self._shape
        same = shape is not None and math.prod(shape) == row.operations
        source = self._input(row.operations)
        touched = source if same else Operand(source.name, (row.operations,), 8)
        return self._layer(
            row, kind, op_type, (touched,), shape if same and shape else (row.operations, 1, 1)
        )

    def requantize(self, row: Row, found: re.Match[str]) -> LogLayer:
        """Rename numbers for a convolution of NE16, or scale them for a kernel of the cluster."""
        return self.elementwise(
            row, "Cast" if found["op"].startswith("CONV_2D") else "QuantizeLinear", "requantize"
        )

    def transpose(self, row: Row, _found: re.Match[str]) -> LogLayer:
        return self.elementwise(row, "Transpose", "transpose")

    def softmax(self, row: Row, _found: re.Match[str]) -> LogLayer:
        return self.elementwise(row, "Softmax", "softmax")


def _conv_kind(dims: LoopDims) -> str:
    kernel = f"{dims.fy}x{dims.fx}"
    if not dims.depthwise:
        return kernel if dims.g == 1 else f"grouped_{kernel}"
    if (dims.fy, dims.fx) == (BLOCK, BLOCK):
        return f"depthwise_{kernel}_s{dims.stride_y}"
    return f"depthwise_{kernel}"


_Build = Callable[[_Chain, Row, "re.Match[str]"], LogLayer]
_THREE = "x".join(f"(?P<{n}>[0-9]{{1,6}})" for n in "abc")
_FORMS: tuple[tuple[re.Pattern[str], _Build], ...] = (
    (re.compile(f"Conv2d_{_THREE}x(?P<d>[0-9]{{1,6}}){ACTIVATION}"), _Chain.conv),
    (re.compile(f"MatAdd_{_THREE}{ACTIVATION}"), _Chain.matadd),
    (re.compile(f"Linear_(?P<a>[0-9]{{1,6}})x(?P<b>[0-9]{{1,6}}){ACTIVATION}"), _Chain.linear),
    (re.compile(f"(?P<pool>(Global)?(Average|Max)Pool)_{_THREE}{ACTIVATION}"), _Chain.pool),
    (re.compile(r"Op_(?P<op>[A-Z][A-Z0-9_]*?[A-Z0-9])(_fusion)?_q(in|out)[0-9]*"), _Chain.requantize),
    (re.compile(r"Op_(?P<op>[A-Z][A-Z0-9_]*?[A-Z0-9])(_fusion)?_trans(_?(in|out))?[0-9]*"), _Chain.transpose),
    (re.compile(r"Soft[mM]ax(_[0-9x]+)?"), _Chain.softmax),
)
