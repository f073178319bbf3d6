"""What a layer is to the cost model: loops, operands, precision."""

from __future__ import annotations

import math
from dataclasses import dataclass

from passes.operator_sets import SELECTIONS


@dataclass(frozen=True)
class Bits:
    """Precision a float graph is costed at, in bits; integer tensors keep that of their type.

    Attributes:
        logits: Of the network's outputs; ``None`` leaves them as they are accumulated.
    """

    weight: int = 8
    activation: int = 8
    accumulator: int = 32
    logits: int | None = None


@dataclass(frozen=True)
class Operand:
    """A tensor a layer reads or writes."""

    name: str
    shape: tuple[int, ...]
    bits: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Size in bytes, rounded up."""
        return -(-self.elements * self.bits // 8)


@dataclass(frozen=True)
class LoopDims:
    """Loop sizes of a layer; ``k`` and ``c`` count per group, a depthwise layer has ``k = c = 1``.

    A fully connected layer of R rows has ``b = R``; a 1D layer has its length on the x axis; a
    pooling has its channels in ``g``. ``iy`` and ``ix`` are the input sizes without padding.
    """

    b: int
    g: int
    k: int
    c: int
    oy: int
    ox: int
    fy: int
    fx: int
    iy: int
    ix: int
    stride_y: int = 1
    stride_x: int = 1
    dilation_y: int = 1
    dilation_x: int = 1
    pad_top: int = 0
    pad_left: int = 0
    pad_bottom: int = 0
    pad_right: int = 0

    @property
    def iterations(self) -> int:
        """Product of all loops: the multiply-accumulates of a linear layer."""
        return self.b * self.g * self.k * self.c * self.oy * self.ox * self.fy * self.fx

    @property
    def depthwise(self) -> bool:
        """One output channel per group, several groups."""
        return self.g > 1 and self.k == 1 and self.c == 1


@dataclass(frozen=True)
class Layer:
    """One main operator and what its core does in the same go.

    Attributes:
        name: Name given by ``fuse-layers``, or ``<exit>.decide`` for a decision.
        op_type: ONNX type of the main operator, by its float name.
        origin: Nodes of the user's model it came from; empty for what the compiler added.
        macs: Multiply-accumulates; 0 for all but Conv, Gemm and MatMul.
        dims: Loops of linear layers and poolings with up to two spatial axes, else ``None``.
        inputs: Computed tensors it reads, constants left out.
        outputs: Tensors other layers read.
        weight: Constant operand of a linear layer.
        bias: Bias of a linear layer.
        constant: Constant operand of element-wise work, such as a scale per channel.
        activation: It ends in an activation.
        producers: Indices of the layers it depends on, in :class:`targets.network.workload.Workload`.
        exit_name: For a decision, the exit it decides.
        accumulator_bits: Precision of its partial sums.
        front: Loops of a pooling that the core does while it reads, in front of the main operator; ``dims``
            are then of what is left.
        in_place: It computes nothing, and what it reads are parts that can be written where they lie in what
            it writes: output channels of one convolution.
        weights_of: Name of the layer whose weights it reads; empty: its own.
    """

    name: str
    op_type: str
    origin: tuple[str, ...]
    macs: int
    dims: LoopDims | None
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    weight: Operand | None = None
    bias: Operand | None = None
    activation: bool = False
    producers: tuple[int, ...] = ()
    exit_name: str | None = None
    accumulator_bits: int = 32
    constant: Operand | None = None
    front: LoopDims | None = None
    in_place: bool = False
    weights_of: str = ""

    def __hash__(self) -> int:
        """Hash what mostly tells layers apart: searches look them up all the time."""
        return hash((self.name, self.macs))

    @property
    def input_elements(self) -> int:
        """Elements of all inputs."""
        return sum(t.elements for t in self.inputs)

    @property
    def output_elements(self) -> int:
        """Elements of all outputs."""
        return sum(t.elements for t in self.outputs)

    @property
    def input_bytes(self) -> int:
        """Bytes of all inputs."""
        return sum(t.size_bytes for t in self.inputs)

    @property
    def read_bytes(self) -> int:
        """Bytes of its inputs that it reads: of what it picks from, what it picks."""
        return self.output_bytes if self.op_type in SELECTIONS else self.input_bytes

    @property
    def output_bytes(self) -> int:
        """Bytes of all outputs."""
        return sum(t.size_bytes for t in self.outputs)

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights and bias."""
        return sum(t.size_bytes for t in (self.weight, self.bias) if t is not None)
