"""Layers to loop nests: what loops an operator runs and which operands they index."""

from __future__ import annotations

import math

from passes.operator_sets import SELECTIONS
from targets.cost.model.nest import LoopNest, Window
from targets.network.layer import Layer, LoopDims, Operand

# Loops of a convolution in the order ZigZag lists them.
CONV_LOOPS = ("B", "K", "G", "OX", "OY", "C", "FX", "FY")


def nest_of(layer: Layer) -> LoopNest:
    """Return the loop nest of ``layer``. No operator is free: what computes nothing still moves its data.

    * Conv: ``O[b][g][k][oy][ox] += W[g][k][c][fy][fx] * I[b][g][c][iy][ix]``.
    * Gemm, MatMul: ``O[b][d][k] += I[b][d][c] * W[c][k]``; ``W[b][c][k]`` with a computed right operand.
    * Pooling: ``O[b][g][oy][ox] = max or sum of I[b][g][iy][ix]`` over a window.
    * Element by element, two inputs, one of which may be constant: ``O[...] = I[...] op W[...]``; a
      broadcast input is indexed by the axes it has.
    * Resize by whole factors: ``O[b][g][oy*fy][ox*fx] = I[b][g][oy][ox]``.
    * Reductions by a whole factor: ``O[g] = sum over c of I[g][c]``; the same way round, copies.
    * All others: ``O[e] = I[e]`` over as many elements as the larger side has, what picks elements as many as
      it picks; several inputs are read as one.
    """
    if layer.dims is not None and layer.op_type == "Conv":
        return _conv(layer, layer.dims)
    if layer.dims is not None and layer.op_type in {"Gemm", "MatMul"}:
        return _matmul(layer, layer.dims)
    if layer.dims is not None:
        return _pool(layer, layer.dims)
    if layer.op_type in {"Resize", "Upsample"}:
        resized = _resize(layer)
        if resized is not None:
            return resized
    both = layer.inputs if layer.constant is None else (*layer.inputs, layer.constant)
    if len(both) == 2 and layer.op_type != "Concat" and _broadcasts(layer, both):
        return _elementwise(layer, both)
    return _move(layer)


def _bits(layer: Layer, weight: int) -> tuple[tuple[str, int], ...]:
    final = layer.outputs[0].bits
    partial = max(layer.accumulator_bits, final) if layer.macs else final
    activations = layer.inputs[0].bits if layer.inputs else final
    return (("W", weight), ("I", activations), ("O", partial), ("O_final", final))


def _second(layer: Layer) -> int:
    """Return the bits of the second operand: constant weights, or another computed input."""
    if layer.weight is not None:
        return layer.weight.bits
    return layer.inputs[min(1, len(layer.inputs) - 1)].bits


def _windows(dims: LoopDims) -> tuple[Window, Window]:
    return (
        Window("OX", "FX", dims.stride_x, dims.dilation_x, dims.ix),
        Window("OY", "FY", dims.stride_y, dims.dilation_y, dims.iy),
    )


def _conv(layer: Layer, dims: LoopDims) -> LoopNest:
    sizes = (dims.b, dims.k, dims.g, dims.ox, dims.oy, dims.c, dims.fx, dims.fy)
    return LoopNest(
        tuple(zip(CONV_LOOPS, sizes, strict=True)),
        ("O", "W", "I"),
        (
            ("O", frozenset({"B", "G", "K", "OY", "OX"})),
            ("W", frozenset({"G", "K", "C", "FY", "FX"})),
            ("I", frozenset({"B", "G", "C"})),
        ),
        _windows(dims),
        _bits(layer, _second(layer)),
    )


def _matmul(layer: Layer, dims: LoopDims) -> LoopNest:
    loops = (("C", dims.c), ("D", dims.b), ("K", dims.k), ("B", dims.g))
    batch = frozenset({"B"}) if dims.g > 1 else frozenset()
    return LoopNest(
        loops if dims.g > 1 else loops[:3],
        ("O", "I", "W"),
        (
            ("O", frozenset({"D", "K"}) | batch),
            ("I", frozenset({"D", "C"}) | batch),
            ("W", frozenset({"C", "K"}) | batch),
        ),
        (),
        _bits(layer, _second(layer)),
    )


def _pool(layer: Layer, dims: LoopDims) -> LoopNest:
    sizes = (dims.b, dims.g, dims.ox, dims.oy, dims.fx, dims.fy)
    return LoopNest(
        tuple(zip(("B", "G", "OX", "OY", "FX", "FY"), sizes, strict=True)),
        ("O", "I"),
        (("O", frozenset({"B", "G", "OY", "OX"})), ("I", frozenset({"B", "G"}))),
        _windows(dims),
        _bits(layer, 0),
    )


def _axes(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return batch, channels, rows and columns of a tensor; further axes join the rows."""
    padded = (*shape, *(1,) * (4 - len(shape)))
    return padded[0], padded[1], math.prod(padded[2:-1]), padded[-1]


def _broadcasts(layer: Layer, both: tuple[Operand, ...]) -> bool:
    output = _axes(layer.outputs[0].shape)
    return all(
        size in {1, out}
        for operand in both
        for size, out in zip(_axes(_aligned(operand, layer.outputs[0])), output, strict=True)
    )


def _aligned(operand: Operand, output: Operand) -> tuple[int, ...]:
    """Return the shape of ``operand`` with leading ones, as ONNX broadcasts it."""
    return (*(1,) * (len(output.shape) - len(operand.shape)), *operand.shape)


def _elementwise(layer: Layer, both: tuple[Operand, ...]) -> LoopNest:
    names = ("B", "G", "OY", "OX")
    loops = tuple(zip(names, _axes(layer.outputs[0].shape), strict=True))
    relevant = {}
    for op, operand in zip(("I", "W"), both, strict=True):
        own = _axes(_aligned(operand, layer.outputs[0]))
        relevant[op] = frozenset(n for (n, size), has in zip(loops, own, strict=True) if has == size)
    return LoopNest(
        loops,
        ("O", "W", "I"),
        (("O", frozenset(names)), ("W", relevant["W"]), ("I", relevant["I"])),
        (),
        _bits(layer, both[1].bits),
    )


def _resize(layer: Layer) -> LoopNest | None:
    source, target = _axes(layer.inputs[0].shape), _axes(layer.outputs[0].shape)
    if any(t % s for s, t in zip(source, target, strict=True)) or source[:2] != target[:2]:
        return None
    (b, g, y, x), (_, _, out_y, out_x) = source, target
    loops = (("B", b), ("G", g), ("OX", x), ("OY", y), ("FX", out_x // x), ("FY", out_y // y))
    return LoopNest(
        loops,
        ("O", "I"),
        (("O", frozenset(n for n, _ in loops)), ("I", frozenset({"B", "G", "OX", "OY"}))),
        (),
        _bits(layer, 0),
    )


def _move(layer: Layer) -> LoopNest:
    written = max(1, layer.output_elements)
    read = written if layer.op_type in SELECTIONS else max(1, sum(t.elements for t in layer.inputs))
    shape = layer.outputs[0].shape
    common = min(read, written) if max(read, written) % min(read, written) == 0 else max(read, written)
    # The axis of channels keeps its name, so that a mapping of channels finds it.
    channels = shape[1] if len(shape) > 1 and common % shape[1] == 0 else 1
    loops = [("G", channels), ("OX", common // channels)]
    loops += [("C", read // common)] if read > common else []
    loops += [("FX", written // common)] if written > common else []
    shared = frozenset({"G", "OX"})
    relevant = (("O", shared | {"FX"}), ("I", shared | {"C"}))
    return LoopNest(tuple(loops), ("O", "I"), relevant, (), _bits(layer, 0))


def operand_tensors(layer: Layer) -> dict[str, tuple[str, ...]]:
    """Return the tensors behind each operand of the loop nest of ``layer``; constant weights have none."""
    names = tuple(t.name for t in layer.inputs)
    found = {"O": tuple(t.name for t in layer.outputs)}
    if "W" not in nest_of(layer).operands:
        return found | {"I": names}
    return found | {"I": names[:1], "W": () if layer.weight is not None else names[1:2]}
