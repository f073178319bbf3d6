"""Convolutions of an analog in-memory array, in standard ONNX operators.

What the array computes: the contraction is cut into chunks of channels that fit its rows. A chunk adds up
products of integer inputs x and weights t in {-1, 0, 1}, and a converter reads the sum: divided by its step,
a power of two, rounded half to even, clipped. Conversions of all chunks are added up. Behind them stands an
affine per channel, ``m * sum + b``, with integers m and b of ``affine_bits`` on one grid, its step a power
of two. Every number is whole (times a power of two) and below 2^24: float32 holds it exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from passes.number_formats import InMemoryArray, Precision
from passes.operator_sets import LINEAR, QUANTIZATION
from passes.rewrite.names import Names
from passes.state import QuantGrid, set_origin, state_of

Array = np.ndarray[Any, Any]
EXACT = 2**24
"""Whole numbers up to this are exact in float32."""


def converter_key(node: gs.Node) -> str:
    """Return where the grid of the converter of ``node`` stands in ``state.grids``; it is one of sums."""
    return f"{node.name}/converter"


def affine_key(node: gs.Node) -> str:
    """Return where the grid of the affine of ``node`` stands in ``state.grids``: of m and of b alike."""
    return f"{node.name}/affine"


def array_of(precision: Precision | None) -> InMemoryArray | None:
    """Return the analog array of a precision, if it has one."""
    return None if precision is None else precision.array


def why_digital(node: gs.Node, precision: Precision) -> str:
    """Return why the array of ``precision`` does not take ``node``; empty if it does."""
    if precision.array is None or precision.weights is None:
        return "its core has no analog array"
    if node.op != "Conv":
        return f"the analog array takes convolutions, not {node.op}"
    if int(node.attrs.get("group", 1)) != 1:
        return "the analog array takes convolutions of one group"
    if not isinstance(node.inputs[1], gs.Constant):
        return "its weights are computed, and the analog array is written beforehand"
    taps, rows = math.prod(int(d) for d in node.inputs[1].shape[2:]), precision.array.rows
    return f"one channel takes {taps} of the {rows} rows of the array" if taps > rows else ""


def in_array(node: gs.Node, precision: Precision | None) -> bool:
    """Whether ``node`` runs in an analog array."""
    return precision is not None and not why_digital(node, precision)


def chunk_ends(channels: int, taps: int, rows: int) -> list[int]:
    """Return where the chunks of a contraction end, from 0 on: as few, and as even, as can be."""
    count = -(-channels // (rows // taps))
    return [number * channels // count for number in range(count + 1)]


def ends_of(node: gs.Node, array: InMemoryArray) -> list[int]:
    """Return where the chunks of a convolution end along its input channels."""
    _, channels, *kernel = (int(d) for d in node.inputs[1].shape)
    return chunk_ends(channels, math.prod(kernel), array.rows)


def multiplier_factor(input_step: float, converter_step: float, affine_step: float) -> np.float32:
    """Return what the step of a channel's weights is multiplied by to be on the grid of its affine."""
    return np.float32(input_step * converter_step / affine_step)


def multipliers(steps: Sequence[float], factor: np.float32, grid: QuantGrid) -> Array:
    """Return m of each channel, from the steps of its weights: round half to even, then clip."""
    whole = np.rint(np.array(steps, np.float32) * factor)
    found: Array = np.clip(whole, grid.low, grid.high).astype(grid.dtype)
    return found


def affine_step(largest: float, offset: float, array: InMemoryArray, chunks: int) -> float:
    """Return the finest power of two on which multipliers and offsets fit their bits, and all sums float32.

    Args:
        largest: Largest multiplier, in real terms.
        offset: Largest size of an offset.
        array: The array.
        chunks: Chunks that are added up.
    """
    top = 2 ** (array.affine_bits - 1) - 1
    reach = chunks * max(-array.converter.low, array.converter.high)
    least = max(largest / top, offset / top, (largest * reach + offset) / (EXACT - 2 * reach))
    return 2.0 ** math.ceil(math.log2(least or 1.0))


@dataclass(frozen=True)
class AnalogForm:
    """An analog convolution as it stands in a graph.

    Attributes:
        convs: Its chunks, in the order of channels.
        scale: The Mul by m.
        shift: The Add of b.
        names: Names of all nodes but those that make data or parameters real.
    """

    convs: tuple[gs.Node, ...]
    scale: gs.Node
    shift: gs.Node
    names: frozenset[str]


def analog_forms(graph: gs.Graph) -> list[AnalogForm]:
    """Return the analog convolutions that :func:`write_analog` wrote into ``graph``, folded since or not."""
    known = state_of(graph).precisions
    found = []
    for scale in graph.nodes:
        if scale.op != "Mul" or array_of(known.get(scale.name)) is None:
            continue
        parts, convs = {scale.name}, []
        waiting = [scale.inputs[0]]
        while waiting:
            node = waiting.pop().inputs[0]
            parts.add(node.name)
            if node.op in LINEAR:
                convs.append(node)
                parts.update(_split(node, known))
            else:
                waiting.extend(node.inputs if node.op == "Add" else node.inputs[:1])
        shift = scale.outputs[0].outputs[0]
        found.append(AnalogForm(tuple(reversed(convs)), scale, shift, frozenset(parts | {shift.name})))
    return found


def _split(conv: gs.Node, known: dict[str, Precision]) -> set[str]:
    """Return the name of what cuts the channels into chunks, if something does."""
    tensor = conv.inputs[0]
    if tensor.inputs and tensor.inputs[0].op in QUANTIZATION:
        tensor = tensor.inputs[0].inputs[0]
    cut = tensor.inputs[0] if tensor.inputs else None
    ours = cut is not None and cut.op == "Split" and array_of(known.get(cut.name)) is not None
    return {cut.name} if ours and cut is not None else set()


def write_analog(graph: gs.Graph, names: Names, node: gs.Node, integers: Array) -> None:
    """Write ``node``, which reads dequantized data, as what the array computes.

    Args:
        graph: The graph, with the grids of the node in its state.
        names: Its names.
        node: A convolution for which :func:`in_array` holds; it stays as the first chunk.
        integers: Its weights as they are stored, [K, C, …].

    Raises:
        KeyError: The converter or the affine of the node has no grid: it was not calibrated.
    """
    _Writer(graph, names, node).write(integers)


class _Writer:
    def __init__(self, graph: gs.Graph, names: Names, node: gs.Node) -> None:
        state = state_of(graph)
        self.graph, self.names, self.node, self.stem = graph, names, node, node.name
        self.precision = state.precisions[node.name]
        self.weights = state.grids[node.inputs[1].name]
        self.converter, self.affine = state.grids[converter_key(node)], state.grids[affine_key(node)]
        self.shape = [int(d) for d in node.outputs[0].shape]

    def write(self, integers: Array) -> None:
        node, array = self.node, self.precision.array
        assert array is not None  # in_array said so
        reader = node.inputs[0].inputs[0]
        data, input_step = reader.inputs[0], float(reader.inputs[1].values)
        zero = int(reader.inputs[2].values)
        ends = ends_of(node, array)
        bias = node.inputs[2].values if len(node.inputs) > 2 and not node.inputs[2].is_empty() else None
        attributes, output = dict(node.attrs), node.outputs[0]
        reader.inputs.clear()
        reader.outputs.clear()
        sums = None
        for number, part in enumerate(self._parts(data, ends)):
            whole = integers[:, ends[number] : ends[number + 1]]
            chunk = self._chunk(part, zero, whole, attributes, number)
            if sums is None:
                sums = chunk
            else:
                sums = self._op("Add", f"sum_{number}", [sums, chunk], np.float32, self.shape)
        assert sums is not None
        step = self.affine.scale[0]
        factor = multiplier_factor(input_step, self.converter.scale[0], step)
        scale = multipliers(self.weights.scale, factor, self.affine)
        shift = np.zeros(len(scale)) if bias is None else bias.astype(np.float64) / step
        shift = np.clip(np.rint(shift), self.affine.low, self.affine.high).astype(self.affine.dtype)
        scaled = self._op("Mul", "scale", [sums, self._channels(scale, "scale")], np.float32, self.shape)
        self._op("Add", "shift", [scaled, self._channels(shift, "shift")], np.float32, self.shape, output)

    def _parts(self, data: gs.Tensor, ends: list[int]) -> list[gs.Tensor]:
        """Return the channels of each chunk."""
        if len(ends) == 2:
            return [data]
        sizes, shape = np.diff(ends), [int(d) for d in data.shape]
        parts: list[gs.Tensor] = [
            gs.Variable(
                self.names.fresh(f"{self.stem}/chunk_{number}/channels"),
                data.dtype,
                [shape[0], int(size), *shape[2:]],
            )
            for number, size in enumerate(sizes)
        ]
        self._add(
            "Split", "split", [data, self._constant("sizes", sizes.astype(np.int64))], parts, {"axis": 1}
        )
        return parts

    def _chunk(
        self, data: gs.Tensor, zero: int, integers: Array, attributes: dict[str, Any], number: int
    ) -> gs.Tensor:
        """Return the conversions of one chunk, whole numbers."""
        stem = f"chunk_{number}"
        real = self._whole(data, zero, f"{stem}/data")
        weights = self._constant(f"{stem}/weight_quantized", np.ascontiguousarray(integers))
        inputs = [real, self._whole(weights, self.weights.zero_point, f"{stem}/weight")]
        sums = gs.Variable(self.names.fresh(f"{self.stem}/{stem}/sums"), np.float32, self.shape)
        if number == 0:
            self.node.inputs, self.node.outputs = inputs, [sums]
        else:
            self._add("Conv", stem, inputs, [sums], attributes)
        grid = self.converter
        scale = self._constant(f"{stem}/converter_step", np.array(grid.scale[0], np.float32))
        middle = self._constant(f"{stem}/converter_zero_point", np.array(grid.zero_point, grid.dtype))
        found = self._op("QuantizeLinear", f"{stem}/convert", [sums, scale, middle], grid.dtype, self.shape)
        bounds = [self._constant(f"{stem}/{side}", np.array(bound, grid.dtype))
                  for side, bound in (("lowest", grid.low), ("highest", grid.high))]  # fmt: skip
        clipped = self._op("Clip", f"{stem}/clip", [found, *bounds], grid.dtype, self.shape)
        return self._whole(clipped, grid.zero_point, f"{stem}/conversions")

    def _whole(self, integers: gs.Tensor, zero: int, stem: str) -> gs.Tensor:
        """Return stored integers as whole numbers around 0."""
        step = self._constant(f"{stem}/one", np.array(1, np.float32))
        middle = self._constant(f"{stem}/zero_point", np.array(zero, integers.dtype))
        shape = [int(d) for d in integers.shape]
        return self._op("DequantizeLinear", f"{stem}/dequantize", [integers, step, middle], np.float32, shape)

    def _channels(self, integers: Array, stem: str) -> gs.Tensor:
        """Return integers of the affine, real, lined up with the channels of the result."""
        along = integers.reshape(-1, *[1] * (len(self.shape) - 2))
        stored = self._constant(f"{stem}_quantized", along)
        step = self._constant(f"{stem}_step", np.array(self.affine.scale[0], np.float32))
        return self._op(
            "DequantizeLinear", f"{stem}/dequantize", [stored, step], np.float32, list(along.shape)
        )

    def _constant(self, stem: str, values: Array) -> gs.Constant:
        return gs.Constant(self.names.fresh(f"{self.stem}/{stem}"), values)

    def _op(
        self, op: str, stem: str, inputs: list[gs.Tensor], dtype: Any, shape: list[int],
        output: gs.Tensor | None = None,
    ) -> gs.Tensor:  # fmt: skip
        made = output
        if made is None:
            made = gs.Variable(self.names.fresh(f"{self.stem}/{stem}_out"), np.dtype(dtype), shape)
        self._add(op, stem, inputs, [made], {})
        return made

    def _add(
        self,
        op: str,
        stem: str,
        inputs: list[gs.Tensor],
        outputs: Sequence[gs.Tensor],
        attributes: dict[str, Any],
    ) -> None:
        """Append a node that belongs to the convolution."""
        state = state_of(self.graph)
        made = gs.Node(op, self.names.fresh(f"{self.stem}/{stem}"), dict(attributes), inputs, list(outputs))
        self.graph.nodes.append(made)
        set_origin(self.graph, made, [self.node])
        state.precisions[made.name] = self.precision
        if self.stem in state.layers:
            state.layers[made.name] = state.layers[self.stem]
