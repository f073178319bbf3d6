"""Canonical rules for activations that exporters write out as products: they are one operator again.

A tree of Mul and Div is seen as a number times tensors, whatever the order of its nodes. Source of the
formulas: the functions by which ONNX defines HardSigmoid, HardSwish, Gelu and Mish.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx_graphsurgeon as gs

from passes.canonical.activations import bounds_of
from passes.rewrite.rewriter import Rewriter, constant_input, producer_of

_CLOSE = 2e-3  # numbers are written in float16 or cut off by some exporters
_CUBIC = 0.044715


@dataclass
class Product:
    """A number times tensors, and the nodes that multiply them."""

    factor: float = 1.0
    tensors: list[gs.Tensor] = field(default_factory=list)
    nodes: list[gs.Node] = field(default_factory=list)


def _number(tensor: gs.Tensor) -> float | None:
    """Return the value of a constant with one element."""
    if isinstance(tensor, gs.Constant) and tensor.values.size == 1:
        return float(np.asarray(tensor.values).reshape(-1)[0])
    return None


def product(rw: Rewriter, node: gs.Node) -> Product:
    """Return what the tree of Mul and Div that ends in ``node`` computes."""
    found = Product(nodes=[node])
    _collect(rw, node, found)
    return found


def _collect(rw: Rewriter, node: gs.Node, found: Product) -> None:
    left, right = node.inputs
    for tensor, divides in ((left, False), (right, node.op == "Div")):
        number = _number(tensor)
        above = producer_of(tensor)
        if number is not None:
            found.factor = found.factor / number if divides and number else found.factor * number
        elif divides:
            found.factor = math.nan  # a quotient of tensors is no product
        elif above is not None and above.op in ("Mul", "Div") and rw.sole_reader(tensor):
            found.nodes.append(above)
            _collect(rw, above, found)
        else:
            found.tensors.append(tensor)


def _is(value: float, wanted: float) -> bool:
    return math.isclose(value, wanted, rel_tol=_CLOSE)


def _plus(rw: Rewriter, tensor: gs.Tensor, number: float) -> tuple[gs.Tensor, gs.Node] | None:
    """Return x and the Add, if ``tensor`` is x + ``number``."""
    add = rw.sole_writer(tensor, "Add")
    if add is None:
        return None
    for data, constant in (add.inputs, reversed(add.inputs)):
        value = _number(constant)
        if value is not None and _is(value, number):
            return data, add
    return None


def _clipped_line(rw: Rewriter, tensor: gs.Tensor) -> tuple[gs.Tensor, list[gs.Node]] | None:
    """Return x, if ``tensor`` is x + 3 clipped to 0 … 6."""
    clip = rw.sole_writer(tensor, "Clip")
    if clip is None or bounds_of(clip) != (0.0, 6.0):
        return None
    found = _plus(rw, clip.inputs[0], 3.0)
    return None if found is None else (found[0], [clip, found[1]])


def _hard_sigmoid(rw: Rewriter, tensor: gs.Tensor) -> tuple[gs.Tensor, list[gs.Node]] | None:
    """Return x, if ``tensor`` is HardSigmoid of x with the slope that HardSwish has."""
    node = rw.sole_writer(tensor, "HardSigmoid")
    if (
        node is None
        or not _is(node.attrs.get("alpha", 0.2), 1 / 6)
        or not _is(node.attrs.get("beta", 0.5), 0.5)
    ):
        return None
    return node.inputs[0], [node]


def _erf(rw: Rewriter, tensor: gs.Tensor) -> tuple[gs.Tensor, list[gs.Node]] | None:
    """Return x, if ``tensor`` is 1 + erf(x / sqrt(2))."""
    return _one_plus(rw, tensor, "Erf", _scaled_down)


def _tanh(rw: Rewriter, tensor: gs.Tensor) -> tuple[gs.Tensor, list[gs.Node]] | None:
    """Return x, if ``tensor`` is 1 + tanh(sqrt(2 / pi) (x + 0.044715 x³))."""
    return _one_plus(rw, tensor, "Tanh", _cubic)


Inner = Callable[[Rewriter, gs.Node], tuple[gs.Tensor, list[gs.Node]] | None]


def _one_plus(
    rw: Rewriter, tensor: gs.Tensor, op: str, inner: Inner
) -> tuple[gs.Tensor, list[gs.Node]] | None:
    found = _plus(rw, tensor, 1.0)
    if found is None:
        return None
    function = rw.sole_writer(found[0], op)
    scale = None if function is None else producer_of(function.inputs[0])
    if function is None or scale is None or scale.op not in ("Mul", "Div"):
        return None
    source = inner(rw, scale) if rw.sole_reader(function.inputs[0]) else None
    return None if source is None else (source[0], [found[1], function, *source[1]])


def _scaled_down(rw: Rewriter, node: gs.Node) -> tuple[gs.Tensor, list[gs.Node]] | None:
    found = product(rw, node)
    if len(found.tensors) != 1 or not _is(found.factor, 1 / math.sqrt(2)):
        return None
    return found.tensors[0], found.nodes


def _cubic(rw: Rewriter, node: gs.Node) -> tuple[gs.Tensor, list[gs.Node]] | None:
    found = product(rw, node)
    if len(found.tensors) != 1 or not _is(found.factor, math.sqrt(2 / math.pi)):
        return None
    add = rw.sole_writer(found.tensors[0], "Add")
    for data, cube in () if add is None else (add.inputs, reversed(add.inputs)):
        above = producer_of(cube)
        if above is None or above.op not in ("Mul", "Div") or not rw.sole_reader(cube):
            continue
        inner = product(rw, above)
        if _is(inner.factor, _CUBIC) and (nodes := _third_power(rw, inner.tensors, data)) is not None:
            return data, [*found.nodes, add, *inner.nodes, *nodes]
    return None


def _third_power(rw: Rewriter, tensors: list[gs.Tensor], data: gs.Tensor) -> list[gs.Node] | None:
    """Return the nodes between, if the product of ``tensors`` is the third power of ``data``."""
    if len(tensors) == 3 and all(tensor is data for tensor in tensors):
        return []
    power = rw.sole_writer(tensors[0], "Pow") if len(tensors) == 1 else None
    exponent = None if power is None else constant_input(power, 1)
    if power is None or exponent is None or power.inputs[0] is not data:
        return None
    return [power] if exponent.size == 1 and float(exponent.reshape(-1)[0]) == 3.0 else None


def _soft_tanh(rw: Rewriter, tensor: gs.Tensor) -> tuple[gs.Tensor, list[gs.Node]] | None:
    """Return x, if ``tensor`` is tanh(softplus(x))."""
    tanh = rw.sole_writer(tensor, "Tanh")
    softplus = None if tanh is None else rw.sole_writer(tanh.inputs[0], "Softplus")
    return None if tanh is None or softplus is None else (softplus.inputs[0], [tanh, softplus])


# Number in front, what is multiplied (by x itself where it says so), and the operator that this is.
_FORMS: tuple[
    tuple[float, Callable[..., tuple[gs.Tensor, list[gs.Node]] | None], bool, str, dict[str, object]], ...
] = (
    (1 / 6, _clipped_line, False, "HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    (1 / 6, _clipped_line, True, "HardSwish", {}),
    (1.0, _hard_sigmoid, True, "HardSwish", {}),
    (0.5, _erf, True, "Gelu", {"approximate": "none"}),
    (0.5, _tanh, True, "Gelu", {"approximate": "tanh"}),
    (1.0, _soft_tanh, True, "Mish", {}),
)


def recognise_product(rw: Rewriter, node: gs.Node) -> bool:
    """A Mul or Div that ends an activation written out as a product is that activation."""
    found = product(rw, node)
    for number, matches, times_x, op, attributes in _FORMS:
        if len(found.tensors) != 1 + times_x or not _is(found.factor, number):
            continue
        for position, tensor in enumerate(found.tensors):
            match = matches(rw, tensor)
            others = [t for index, t in enumerate(found.tensors) if index != position]
            if match is None or any(other is not match[0] for other in others):
                continue
            rw.inherit(node, [*found.nodes[1:], *match[1]])
            node.op = op
            node.attrs.clear()
            node.attrs.update(attributes)
            node.inputs = [match[0]]
            return True
    return False
