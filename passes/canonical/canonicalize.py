"""The canonicalize pass: one form for what exporters write in many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.canonical import (
    batch_axis,
    columns,
    dequantize,
    einsum,
    linear,
    noops,
    norms,
    outputs,
    pools,
    products,
    slices,
    transposes,
    views,
)
from passes.canonical.activations import merge_clips, minmax_to_clip
from passes.operator_sets import ARITHMETIC, CLIPS, RESHAPES
from passes.rewrite.rewriter import Rewriter, Rule

# What is written out must be recognised before its parts go into the layers beside it.
_WHOLE: dict[str, Sequence[Rule]] = {
    "Mul": [products.recognise_product, norms.layer_norm],
    "Div": [products.recognise_product, norms.layer_norm],
    "Min": [minmax_to_clip],
    "Max": [minmax_to_clip],
    **dict.fromkeys(RESHAPES, (norms.group_norm,)),
    **dict.fromkeys(CLIPS, (merge_clips,)),
}
_RULES: dict[str, Sequence[Rule]] = {
    "Conv": [pools.explicit_window, pools.pad_into_conv],
    "AveragePool": [pools.explicit_window, pools.average_to_global],
    "MaxPool": [pools.explicit_window],
    "ReduceMean": [pools.reduce_to_global],
    "ReduceMax": [pools.reduce_to_global],
    "DequantizeLinear": [dequantize.own_dequantize],
    "Transpose": [dequantize.move_weights, transposes.compose, transposes.sink, transposes.rise],
    "Einsum": [einsum.write_out],
    "MatMul": [batch_axis.vector_to_row, columns.column_to_row, linear.matmul_to_gemm],
    "Gemm": [linear.plain_gemm, linear.flatten_order],
    "Min": [minmax_to_clip],
    "Max": [minmax_to_clip],
    "Gather": [views.gather_to_view, views.gather_from_part],
    "Slice": [slices.parts_to_split],
    "Softmax": [outputs.softmax_last, outputs.set_softmax_apart],
    "LogSoftmax": [outputs.softmax_last, outputs.set_softmax_apart],
    **dict.fromkeys(
        RESHAPES,
        (
            norms.group_norm,
            dequantize.move_weights,
            batch_axis.sink_squeeze,
            columns.sink_column,
            views.merge_views,
        ),
    ),
    **dict.fromkeys(CLIPS, (merge_clips,)),
    **{op: (*_WHOLE.get(op, ()), norms.absorb_affine, linear.fold_affine) for op in ARITHMETIC},
}


def _general(op: str) -> list[Rule]:
    """Every node may be constant, some may do nothing."""
    return [noops.fold_constant, noops.drop_noop] if op in noops.NOOPS else [noops.fold_constant]


def _rules_for(op: str) -> list[Rule]:
    return [*_general(op), *_RULES.get(op, ())]


def _whole_rules_for(op: str) -> list[Rule]:
    return [*_general(op), *_WHOLE.get(op, ())]


def _last_rules_for(op: str) -> list[Rule]:
    return [views.transpose_to_view] if op == "Transpose" else []


@dataclass(frozen=True)
class Canonicalize(Pass):
    """Bring a network into one form, whatever exported it.

    1. What can be known is known: constant subgraphs, Shape and Size of static tensors.
    2. What changes nothing goes: Identity, Dropout, same-type Cast, same-shape Reshape, identity
       Transpose, Pad by zero, Concat of one, Slice of all, 1x1 pooling, unbounded Clip, Concat in front of
       a Gather that takes one place.
    3. Windows are explicit: kernel, strides, pads, dilations and group are written out, auto_pad
       is resolved, a Pad with zeros goes into its Conv.
    4. Averaging over all of space (AveragePool, ReduceMean) is GlobalAveragePool; the maximum by
       ReduceMax is GlobalMaxPool.
    5. Chains of Reshape, Squeeze, Unsqueeze, Flatten and Transposes of 1x1 maps are one
       Flatten(axis=1) or one Reshape to ``[0, ...]``: no batch size stays in the graph. Where the batch
       axis is taken away and put in front again, it stays.
    6. Min and Max with a number are Clip; Clips in a row are one; Clip from 0 without end is Relu.
    7. Transposes between NHWC and NCHW sink until they meet and cancel; one in front of
       Flatten and Gemm becomes a permutation of weights; one at the model input stays.
    8. Einsum is MatMul, Mul, ReduceSum and Transpose; MatMul with a constant matrix, also one in
       front of a column, is Gemm, and every Gemm has transB=1, alpha=beta=1.
    9. Add, Sub, Mul and Div by one constant per channel go into the Conv or Gemm in front.
    10. Each reader of a dequantized tensor has a DequantizeLinear of its own, so that it is the integers that
        fork; Transposes and views of weights behind one move onto the integers, their axis along.
    11. Activations and normalizations that are written out are one operator: HardSigmoid, HardSwish, Gelu,
        Mish, LayerNormalization, GroupNormalization; constants behind a normalization go into it. Slices
        that take a tensor apart are one Split.
    12. Softmax or LogSoftmax at an output is set apart where all outputs are [1, classes] with one class
        count: the output is the logits, and ``state.softmax`` says so.
    """

    name: ClassVar[str] = "canonicalize"

    def run(self, graph: gs.Graph) -> bool:
        """Apply the rules to a fixpoint."""
        rewriter = Rewriter(graph, self.name)
        changed = rewriter.apply(_whole_rules_for)
        changed |= rewriter.apply(_rules_for)
        # A Transpose of a 1x1 map may still cancel against another; only then it becomes a view.
        while rewriter.apply(_last_rules_for):
            changed = True
            rewriter.apply(_rules_for)
        transposes.report_left(rewriter)
        return changed
