"""Which ONNX operators are alike for the compiler; each set is named once, here.

An operator missing from a set is treated like one nobody knows: it is a layer of its own, keeps its
precision, and is costed or refused by its name.
"""

from __future__ import annotations

from typing import Final

QUANTIZATION: Final = frozenset({"QuantizeLinear", "DequantizeLinear"})
# What may stand between constant weights and the node that multiplies by them.
CARRIERS: Final = QUANTIZATION | {"Identity", "Clip"}

# Integer operators and the float operators they compute.
FLOAT_NAMES: Final = {
    "QLinearConv": "Conv",
    "ConvInteger": "Conv",
    "MatMulInteger": "Gemm",
    "QLinearMatMul": "MatMul",
}
# Products of data with weights: with the recurrent ones all multiply-accumulates of a network are theirs.
FLOAT_LINEAR: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
LINEAR: Final = FLOAT_LINEAR | FLOAT_NAMES.keys()
# Products of data with weights step by step: what a step reads was written by the one before.
RECURRENT: Final = frozenset({"LSTM", "GRU", "RNN"})
# Linear operators whose weights and bias can be rewritten, and those that get integer weights.
REWRITABLE_LINEAR: Final = frozenset({"Conv", "ConvTranspose", "Gemm"})
QUANTIZED_LINEAR: Final = frozenset({"Conv", "Gemm"})
# Where the weights and the bias of a linear operator stand among its inputs.
WEIGHT_INPUT: Final = {**dict.fromkeys(sorted(LINEAR), 1), "QLinearConv": 3, "QLinearMatMul": 3}
BIAS_INPUT: Final = {"QLinearConv": 8, "Conv": 2, "ConvTranspose": 2, "Gemm": 2}

# Activations whose result requantization can clip, so that they take no step of their own.
CLIPS: Final = frozenset({"Relu", "Clip"})
# fmt: off
ACTIVATIONS: Final = CLIPS | {
    "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "HardSigmoid", "HardSwish", "Mish", "Sigmoid",
    "Softplus", "Softsign", "Tanh", "ThresholdedRelu",
}
# fmt: on
GATES: Final = frozenset({"Sigmoid", "HardSigmoid"})

WINDOW_POOLS: Final = frozenset({"MaxPool", "AveragePool", "LpPool"})
GLOBAL_POOLS: Final = frozenset({"GlobalAveragePool", "GlobalMaxPool"})
POOLS: Final = WINDOW_POOLS | GLOBAL_POOLS

ARITHMETIC: Final = frozenset({"Add", "Sub", "Mul", "Div"})
ELEMENTWISE: Final = ARITHMETIC | {"Pow", "Max", "Min", "PRelu"}

# These only rename the indices of a contiguous tensor.
RESHAPES: Final = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})
VIEWS: Final = RESHAPES | {"Identity", "Dropout"}
# The same values in another order, shape or type.
COPIES: Final = VIEWS | {"Transpose", "Cast"}
# These compute no new value and read one tensor: what they write is on the grid of what they read.
SAME_GRID: Final = RESHAPES | {"MaxPool", "Transpose"}
# These read of a tensor only what they hand on.
SELECTIONS: Final = frozenset({"Slice", "Split", "Gather"})
# What moves or picks values but does no arithmetic.
MOVES: Final = SAME_GRID | {"GlobalMaxPool", "Concat", "Slice", "Pad", "Identity"}
