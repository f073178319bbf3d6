"""What readers of a lowered graph share: tensors by their integers, bounds, steps and rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from passes.errors import InputError
from passes.integers.program import Operation, Recycled, Rescale
from passes.number_formats import HALF_EVEN, MULTIPLIED, Requantization
from passes.operator_sets import LINEAR
from passes.state import state_of

Array = np.ndarray[Any, Any]
CONVERTER = Requantization(multiplier_bits=0, shift_bits=31, rounding=HALF_EVEN)
HINT = "keep the network to operators that docs/integers.md lists, or leave this layer out of the program"


def refuse(node: gs.Node, why: str) -> InputError:
    """Return the error of a node without integer form."""
    return InputError(f"node '{node.name}' ({node.op}) has no integer form: {why}", HINT)


def value(node: gs.Node, index: int) -> Array:
    """Return a constant input; raises InputError if it is computed."""
    tensor = node.inputs[index]
    if not isinstance(tensor, gs.Constant):
        raise refuse(node, f"its input '{tensor.name}' is computed")
    return np.asarray(tensor.values)


def scalar(found: Array) -> int:
    """Return the one integer of an array."""
    return int(found.reshape(()))


def fraction(found: Any) -> Fraction:
    """Return a float32 exactly."""
    return Fraction(float(np.float32(found)))


def counted(weights: Array, zero: Array) -> Array:
    """Return weights counted from their zero point, which may be one per output channel."""
    turned = zero.astype(np.int64).reshape(-1, *([1] * (weights.ndim - 1)))
    found: Array = weights.astype(np.int64) - turned
    return found


Window = tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]


def window(node: gs.Node, axes: int) -> Window:
    """Return strides, dilations and padding of a window; padding chosen at run time is refused."""
    if node.attrs.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise refuse(node, "its padding is chosen at run time (auto_pad)")
    pads = [int(p) for p in node.attrs.get("pads", [0] * (2 * axes))]
    return (
        tuple(int(s) for s in node.attrs.get("strides", [1] * axes)),
        tuple(int(d) for d in node.attrs.get("dilations", [1] * axes)),
        tuple(zip(pads[:axes], pads[axes:], strict=True)),
    )


@dataclass(frozen=True)
class Logits:
    """Float logits: the sums they are made of, their scale per class or of all, and what is added."""

    sums: str
    scales: Array
    recycled: Recycled | None = None


class ProgramReader:
    """Follows a lowered graph; tensors of the program are its integer tensors, by their names.

    Attributes:
        renamed: Raw result -> what its Clip writes: the operation in front writes it.
        clips: Raw result -> bounds of its Clip.
        shapes: Of tensors of the program, batch 1.
        signed: Tensors of the program whose type is int8.
        operations: Found so far.
        logits: Float tensor -> sums it is made of, their scale, and what is added.
        weighed: Float tensor -> logits times a weight, for the exit that takes them over.
        used: Nodes that are a part of another's operation.
        chunks: Convolutions that feed the converter of an analog array, of which the rest is read elsewhere.
        source: Tensor of the input, its step, zero point and bounds.
    """

    def __init__(self, graph: gs.Graph) -> None:
        self.graph = graph
        self.state = state_of(graph)
        self.renamed: dict[str, str] = {}
        self.clips: dict[str, tuple[int, int]] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.signed: set[str] = set()
        self.operations: list[Operation] = []
        self.logits: dict[str, Logits] = {}
        self.weighed: dict[str, Recycled] = {}
        self.used: set[int] = set()
        self.chunks: set[int] = set()
        self.source: tuple[str, np.float32, int, int, int] | None = None

    def note_clip(self, node: gs.Node) -> None:
        """Let a Clip of integers be bounds of what writes them, where nothing else reads that."""
        if node.op != "Clip" or node.outputs[0].dtype not in (np.uint8, np.int8):
            return
        raw = node.inputs[0]
        if len(raw.outputs) != 1 or raw in self.graph.outputs:
            raise refuse(node, "what it clips is read elsewhere too")
        limits = np.iinfo(node.outputs[0].dtype)
        bounds = [limits.min, limits.max]
        for index in range(1, len(node.inputs)):
            if not node.inputs[index].is_empty():
                bounds[index - 1] = int(value(node, index).reshape(()))
        self.clips[raw.name] = (int(bounds[0]), int(bounds[1]))
        self.renamed[raw.name] = node.outputs[0].name
        self.used.add(id(node))

    def written(self, tensor: gs.Tensor, node: gs.Node) -> str:
        """Return the name under which the program writes ``tensor``, and note its shape."""
        name = self.held(tensor.name)
        shape = tensor.shape
        if shape is None or any(not isinstance(d, int) for d in shape[1:]):
            raise refuse(node, f"the shape of '{tensor.name}' is not known")
        self.shapes[name] = (1, *(int(d) for d in shape[1:]))
        if tensor.dtype == np.int8:
            self.signed.add(name)
        return name

    def held(self, name: str) -> str:
        """Return what the last Clip behind tensor ``name`` writes; itself where there is none."""
        while name in self.renamed:
            name = self.renamed[name]
        return str(name)

    def bounds(self, raw: gs.Tensor) -> tuple[int, int]:
        """Return between which integers ``raw`` lies behind all Clips."""
        limits, name = np.iinfo(raw.dtype), raw.name
        low, high = int(limits.min), int(limits.max)
        while name in self.renamed:
            least, most = self.clips[name]
            low, high = (min(max(bound, least), most) for bound in (low, high))
            name = self.renamed[name]
        return low, high

    def rescale(
        self,
        node: gs.Node,
        raw: gs.Tensor,
        factors: Array | np.float32,
        ratios: Sequence[Fraction],
        zero: Array,
        divisor: np.float32 | None = None,
    ) -> Rescale:
        """Return how ``node`` brings its sums onto the grid of ``raw``; see `Rescale`."""
        low, high = self.bounds(raw)
        found = np.atleast_1d(np.asarray(factors, np.float32))
        rule = self.rule(node)
        return Rescale(found, tuple(ratios), scalar(zero), low, high, rule, divisor)

    def rule(self, node: gs.Node) -> Requantization:
        """Return how the core of ``node`` rescales; a converter rounds half to even on every core."""
        if id(node) in self.chunks:
            return CONVERTER
        precision = self.state.precisions.get(node.name)
        if precision is not None and precision.array is not None and node.op in LINEAR:
            raise refuse(node, "it runs in an analog array, whose converter it does not contain")
        return MULTIPLIED if precision is None else precision.requantization

    def dequantized(self, node: gs.Node, index: int) -> tuple[gs.Tensor, Array, Array]:
        """Return integers, steps and zero point of a float operand."""
        tensor = node.inputs[index]
        writer = tensor.inputs[0] if tensor.inputs else None
        if writer is None or writer.op != "DequantizeLinear":
            raise refuse(node, f"it reads '{tensor.name}' as float")
        scale = value(writer, 1)
        zero = value(writer, 2) if len(writer.inputs) > 2 else np.zeros(scale.shape, np.int32)
        return writer.inputs[0], scale, zero

    def quantizer(self, node: gs.Node, last: gs.Tensor | None = None) -> gs.Node:
        """Return the QuantizeLinear that alone reads what ``node`` writes, or ``last`` behind it."""
        result = node.outputs[0] if last is None else last
        if len(result.outputs) != 1 or result.outputs[0].op != "QuantizeLinear":
            raise refuse(node, "its result is read as float")
        found = result.outputs[0]
        self.used.add(id(found))
        return found

    def integers(self, node: gs.Node) -> str:
        """Return the integers that ``node`` reads and hands on."""
        tensor = node.inputs[0]
        if tensor.dtype not in (np.uint8, np.int8):
            raise refuse(node, f"it reads '{tensor.name}' as float")
        return str(tensor.name)
