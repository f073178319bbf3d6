"""Small networks that are no image classifiers in the usual form, as ONNX text with seeded weights."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

_HEAD = '<ir_version: 10, opset_import: ["": 21]> net'
_STEM = "a = Conv<pads=[1,1,1,1]>(x, w) b = Relu(a) c = Conv<pads=[1,1,1,1], strides=[2,2]>(b, u) d = Relu(c)"
_TAIL = f"{_STEM} e = GlobalAveragePool(d) f = Flatten(e)"
_X = "float[N,4,8,8] x"
_WEIGHTS = {
    "w": (8, 4, 3, 3), "u": (8, 8, 3, 3), "box": (16, 8, 3, 3), "score": (8, 8, 1, 1),
    "fc": (4, 8), "second": (4, 8), "other": (8, 8), "one": (1, 8),
}  # fmt: skip

# Logits of four classes in other forms; in all of them the classifier is the same.
USUAL = f"({_X}) => (float[N,4] y) {{ {_TAIL} y = Gemm<transB=1>(f, fc) }}"
FORMS = {
    "[1, C, 1, 1]": f"({_X}) => (float[N,4,1,1] y) {{ {_STEM} e = GlobalAveragePool(d) y = Conv(e, map) }}",
    "[1, 1, C]": f"({_X}) => (float[N,1,4] y) <int64[3] s = {{0,1,8}}> "
    f"{{ {_STEM} e = GlobalAveragePool(d) f = Reshape(e, s) y = MatMul(f, mat) }}",
    "[C]": "(float[1,4,8,8] x) => (float[4] y) <int64[1] s = {0}> "
    f"{{ {_TAIL} g = Gemm<transB=1>(f, fc) y = Squeeze(g, s) }}",
    "listed twice": f"({_X}) => (float[N,4] y, float[N,4] y) {{ {_TAIL} y = Gemm<transB=1>(f, fc) }}",
    "a copy": f"({_X}) => (float[N,4] y, float[N,4] z) "
    f"{{ {_TAIL} y = Gemm<transB=1>(f, fc) z = Identity(y) }}",
    "ArgMax instead": f"({_X}) => (int64[N] z) {{ {_TAIL} y = Gemm<transB=1>(f, fc) "
    "z = ArgMax<axis=1, keepdims=0>(y) }",
    "ArgMax beside": f"({_X}) => (int64[N] z, float[N,4] y) {{ {_TAIL} y = Gemm<transB=1>(f, fc) "
    "z = ArgMax<axis=1, keepdims=0>(y) }",
    "TopK instead": f"({_X}) => (float[N,2] v, int64[N,2] i) <int64[1] k = {{2}}> "
    f"{{ {_TAIL} y = Gemm<transB=1>(f, fc) v, i = TopK(y, k) }}",
}
SOFTMAX_FORMS = {
    "[1, C]": f"({_X}) => (float[N,4] p) {{ {_TAIL} y = Gemm<transB=1>(f, fc) p = Softmax<axis=1>(y) }}",
    "[1, C, 1, 1]": f"({_X}) => (float[N,4,1,1] p) "
    f"{{ {_STEM} e = GlobalAveragePool(d) y = Conv(e, map) p = Softmax<axis=1>(y) }}",
    "[C]": "(float[1,4,8,8] x) => (float[4] p) <int64[1] s = {0}> "
    f"{{ {_TAIL} g = Gemm<transB=1>(f, fc) y = Squeeze(g, s) p = Softmax<axis=0>(y) }}",
    "beside the logits": f"({_X}) => (float[N,4] y, float[N,4] p) "
    f"{{ {_TAIL} y = Gemm<transB=1>(f, fc) p = Softmax(y) }}",
    "ArgMax of it": f"({_X}) => (int64[N,1] z) "
    f"{{ {_TAIL} y = Gemm<transB=1>(f, fc) p = Softmax(y) z = ArgMax<axis=1>(p) }}",
    "and its ArgMax": f"({_X}) => (float[N,4] p, int64[N,1] z) "
    f"{{ {_TAIL} y = Gemm<transB=1>(f, fc) p = Softmax(y) z = ArgMax<axis=1>(p) }}",
}

# What is no classifier, with what the reason says.
NO_CLASSIFIERS = {
    "detector": (
        f"({_X}) => (float[N,16,4,4] l, float[N,8,4,4] m, float[N,16,8] s) <int64[3] z = {{0,16,8}}> "
        f"{{ {_STEM} l = Conv<pads=[1,1,1,1]>(d, box) m = Conv(d, score) t = Transpose<perm=[0,2,3,1]>(m) "
        "r = Reshape(t, z) s = Softmax<axis=-1>(r) }",
        "found l [1, 16, 4, 4], m [1, 8, 4, 4], s [1, 16, 8]",
    ),
    "segmentation": (
        f"({_X}) => (float[N,4,4,4] y) {{ {_STEM} e = Conv(d, map) y = Softmax<axis=1>(e) }}",
        "found y [1, 4, 4, 4]",
    ),
    "labels of pixels": (
        f"({_X}) => (int64[N,4,4] y) {{ {_STEM} e = Conv(d, map) y = ArgMax<axis=1, keepdims=0>(e) }}",
        "found y [1, 4, 4]",
    ),
    "autoencoder with its code": (
        f"({_X}) => (float[N,4,4,4] y, float[N,8,4,4] d) {{ {_STEM} y = Conv(d, map) }}",
        "found y [1, 4, 4, 4], d [1, 8, 4, 4]",
    ),
    "two inputs": (
        f"({_X}, float[N,8] z) => (float[N,4] y) {{ {_TAIL} g = Add(f, z) y = Gemm<transB=1>(g, fc) }}",
        "it has 2 inputs (x, z)",
    ),
    "tokens and mask": (
        "(int64[N,6] ids, bool[N,6] mask) => (float[N,4] y) "
        "<int64[1] s = {1}, int64[1] two = {2}, float zero = {0}> { e = Gather(other, ids) "
        "m = Unsqueeze(mask, two) g = Where(m, e, zero) h = ReduceMean<keepdims=0>(g, s) "
        "y = Gemm<transB=1>(h, fc) }",
        "it has 2 inputs (ids, mask)",
    ),
    "two answers": (
        f"({_X}) => (float[N,4] p, float[N,8] q) {{ {_TAIL} y = Gemm<transB=1>(f, fc) "
        "p = Softmax(y) q = Gemm<transB=1>(f, other) }",
        "found p [1, 4], q [1, 8]",
    ),
    "answers side by side": (
        f"({_X}) => (float[N,4] p, float[N,4] q) {{ {_TAIL} y = Gemm<transB=1>(f, fc) "
        "z = Gemm<transB=1>(f, second) p = Softmax(y) q = Softmax(z) }",
        "are computed from 'f' side by side",
    ),
    "yes or no": (
        f"({_X}) => (float[N,1] y) {{ {_TAIL} g = Gemm<transB=1>(f, one) y = Sigmoid(g) }}",
        "its output y [1, 1] is one number",
    ),
    "labels": (
        f"({_X}) => (float[N,4] y) {{ {_TAIL} g = Gemm<transB=1>(f, fc) y = Sigmoid(g) }}",
        "'y' is a Sigmoid: each of its 4 labels holds or not for itself",
    ),
    "what is given comes out": (
        "(float[1,4,8,8] x) => (float[1,8,4,4] d, float[1,4,8,8] x, float[8,8,3,3] u) { " + _STEM + " }",
        "found d [1, 8, 4, 4], x [1, 4, 8, 8], u [8, 8, 3, 3]",
    ),
}


def network(text: str) -> onnx.ModelProto:
    """Return one of the networks above; a weight has the same values in all of them."""
    model = onnx.parser.parse_model(_HEAD + text)
    read = {name for node in model.graph.node for name in node.input} | {t.name for t in model.graph.output}
    for number, (name, shape) in enumerate(_WEIGHTS.items()):
        values = np.random.default_rng(number).normal(0, 0.3, shape).astype(np.float32)
        if name in read:
            model.graph.initializer.append(numpy_helper.from_array(values, name))
        if name == "fc" and "map" in read:
            model.graph.initializer.append(numpy_helper.from_array(values.reshape(4, 8, 1, 1), "map"))
        if name == "fc" and "mat" in read:
            model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values.T), "mat"))
    return model
