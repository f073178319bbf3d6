"""Convolutions of an analog array in a lowered graph: conversions of chunks, their sum, an affine."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnx_graphsurgeon as gs

from passes.integers.analog import AnalogForm, analog_forms
from passes.integers.program import Affine, ChannelPart
from passes.integers.program_reader import ProgramReader, fraction, refuse, scalar, value


def note_analog(reader: ProgramReader) -> dict[int, AnalogForm]:
    """Find the analog convolutions; return the id of the last node of each, at which it is read.

    Chunks stay convolutions of their own: their result is what the converter gives. Sums and products behind
    them are a part of the affine.
    """
    forms = {}
    for form in analog_forms(reader.graph):
        reader.chunks.update(id(conv) for conv in form.convs)
        forms[id(form.shift)] = form
        for node in reader.graph.nodes:
            if node.name in form.names and node.op in ("Add", "Mul") and node is not form.shift:
                reader.used.add(id(node))
    return forms


def read_affine(reader: ProgramReader, form: AnalogForm) -> None:
    """Read what stands behind the converters of an analog convolution."""
    (m, m_step, _), (b, b_step, _) = (reader.dequantized(node, 1) for node in (form.scale, form.shift))
    quantizer = reader.quantizer(form.shift)
    ratio = fraction(m_step) / fraction(value(quantizer, 1))
    if float(m_step) != float(b_step) or not _shifts(ratio):
        raise refuse(form.shift, "multipliers, offsets and result have steps that are no powers of two apart")
    names = [reader.held(conv.outputs[0].name) for conv in form.convs]
    zeros = {scalar(value(conv, 7)) for conv in form.convs}
    if len(zeros) != 1:
        raise refuse(form.shift, "its converters have several zero points")
    raw = quantizer.outputs[0]
    rescale = reader.rescale(form.shift, raw, np.float32(ratio), [ratio], value(quantizer, 2))
    multipliers, offsets = (np.asarray(t.values).astype(np.int64).reshape(-1) for t in (m, b))
    name = reader.written(raw, form.shift)
    reader.operations.append(
        Affine(form.shift.name, tuple(names), name, zeros.pop(), multipliers, offsets, rescale)
    )


def _shifts(ratio: Fraction) -> bool:
    return not (ratio.numerator & (ratio.numerator - 1) or ratio.denominator & (ratio.denominator - 1))


def read_split(reader: ProgramReader, node: gs.Node) -> None:
    """Read a Split of channels: each part is the integers of some of them."""
    source, rank = reader.integers(node), len(node.inputs[0].shape)
    if int(node.attrs.get("axis", 0)) % rank != 1:
        raise refuse(node, "it cuts something else than channels")
    begin = 0
    for tensor in node.outputs:
        channels = int(tensor.shape[1])
        name = reader.written(tensor, node)
        reader.operations.append(ChannelPart(f"{node.name}/{begin}", (source,), name, begin, channels))
        begin += channels
