"""Canonical rules for the Transposes that TensorFlow exporters leave (NHWC around every operator).

A Transpose to channels-last sinks through operators that do not care about the order of axes until
it meets the next Transpose, and the two cancel. A Transpose to channels-first rises only to the
model input. Two directions that never pass the same node keep the rules from undoing each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_graphsurgeon as gs

from passes.canonical.views import moves_only_ones, permutation
from passes.rewrite.rewriter import Rewriter, constant_input, detach, dims, optional_input, producer_of

Perm = tuple[int, ...]

# fmt: off
UNARY = frozenset({
    "Abs", "Cast", "Ceil", "Clip", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid",
    "HardSwish", "Identity", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu", "Round",
    "Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Tanh", "ThresholdedRelu",
    "QuantizeLinear", "DequantizeLinear",
})
# fmt: on
BROADCAST = frozenset({"Add", "Div", "Max", "Mean", "Min", "Mul", "PRelu", "Pow", "Sub", "Sum"})
# fmt: off
REDUCE = frozenset({
    "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
})
# fmt: on


def to_last(rank: int) -> Perm:
    """Return the permutation from channels-first to channels-last."""
    return (0, *range(2, rank), 1)


def to_first(rank: int) -> Perm:
    """Return the permutation from channels-last to channels-first."""
    return (0, rank - 1, *range(1, rank - 1))


def inverse(perm: Perm) -> Perm:
    """Return the permutation that undoes ``perm``."""
    return tuple(perm.index(axis) for axis in range(len(perm)))


def permuted(shape: Sequence[int], perm: Perm) -> tuple[int, ...]:
    """Return the shape of a tensor of ``shape`` behind a Transpose by ``perm``."""
    return tuple(shape[p] for p in perm)


def compose(rw: Rewriter, node: gs.Node) -> bool:
    """Two Transposes in a row are one, or none."""
    first = producer_of(node.inputs[0])
    if first is None or first.op != "Transpose" or rw.is_mount(node.inputs[0]):
        return False
    inner, outer = permutation(first), permutation(node)
    both = permuted(inner, outer)
    if both == tuple(range(len(both))):
        return rw.replace(node.outputs[0], first.inputs[0])
    node.attrs["perm"] = list(both)
    node.inputs[0] = first.inputs[0]
    rw.inherit(node, [first])
    return True


def sink(rw: Rewriter, node: gs.Node) -> bool:
    """Move a Transpose to channels-last behind the nodes that read it."""
    perm, result = permutation(node), node.outputs[0]
    if perm != to_last(len(perm)) or rw.is_input(node.inputs[0]) or rw.is_mount(result):
        return False
    for reader in list(result.outputs):
        mover = _mover(reader.op)
        if mover is not None and mover(rw, reader, perm):
            return True
    return False


def _mover(op: str) -> Callable[[Rewriter, gs.Node, Perm], bool] | None:
    if op in UNARY or op in BROADCAST:
        return _through_elementwise
    if op in REDUCE:
        return _through_reduce
    return {"Concat": _through_axis, "Split": _through_axis, "Pad": _through_pad}.get(op)


def _operands(rw: Rewriter, node: gs.Node, perm: Perm) -> tuple[list[gs.Tensor], list[gs.Node]] | None:
    """Return the inputs of ``node`` as they are in front of the Transposes, and these, or None."""
    inputs, moved = [], []
    back = inverse(perm)
    for tensor in node.inputs:
        above = producer_of(tensor)
        if tensor.is_empty() or (isinstance(tensor, gs.Constant) and np.prod(dims(tensor)) == 1):
            inputs.append(tensor)
        elif above is not None and above.op == "Transpose" and permutation(above) == perm:
            inputs.append(above.inputs[0])
            moved.append(above)
        elif isinstance(tensor, gs.Constant) and node.op not in UNARY and len(dims(tensor)) <= len(perm):
            inputs.append(_permuted_constant(rw, tensor, back))
        elif above is not None and len(dims(tensor)) == len(perm) and moves_only_ones(back, dims(tensor)):
            inputs.append(_viewed(rw, tensor, above, back))
        else:
            return None
    return inputs, moved


def _permuted_constant(rw: Rewriter, tensor: gs.Constant, perm: Perm) -> gs.Constant:
    values = np.asarray(tensor.values)
    values = values.reshape((1,) * (len(perm) - values.ndim) + values.shape).transpose(perm)
    return rw.constant(f"{tensor.name}_nchw", values)


def _viewed(rw: Rewriter, tensor: gs.Tensor, above: gs.Node, perm: Perm) -> gs.Tensor:
    """Return ``tensor`` with axes of size 1 moved: no Transpose needed."""
    shape = permuted(dims(tensor), perm)
    view = rw.variable(f"{tensor.name}_nchw", shape, tensor.dtype)
    target = rw.constant(f"{view.name}_shape", np.array((0, *shape[1:]), np.int64))
    rw.insert("Reshape", [tensor, target], view, [above])
    return view


def _retarget(rw: Rewriter, node: gs.Node, perm: Perm, moved: list[gs.Node]) -> None:
    """Let ``node`` write channels-first tensors with a Transpose by ``perm`` behind each."""
    for slot, result in enumerate(list(node.outputs)):
        if result.is_empty():
            continue
        inner = rw.variable(f"{result.name}_nchw", permuted(dims(result), inverse(perm)), result.dtype)
        node.outputs[slot] = inner
        rw.insert("Transpose", [inner], result, moved, perm=list(perm))


def _through_elementwise(rw: Rewriter, node: gs.Node, perm: Perm) -> bool:
    used = [t for t in node.outputs if t.outputs or rw.is_output(t)]
    if any(len(dims(t)) != len(perm) for t in used) or used != [node.outputs[0]]:
        return False
    found = _operands(rw, node, perm)
    if found is None:
        return False
    node.inputs, moved = found
    node.outputs = node.outputs[:1]
    _retarget(rw, node, perm, moved)
    return True


def _through_axis(rw: Rewriter, node: gs.Node, perm: Perm) -> bool:
    """Concat and Split name one axis, which moves."""
    sources = node.inputs if node.op == "Concat" else node.inputs[:1]
    above = [producer_of(t) for t in sources]
    moved = [a for a in above if a is not None and a.op == "Transpose" and permutation(a) == perm]
    if len(moved) != len(sources):
        return False
    axis = int(node.attrs.get("axis", 0)) % len(perm)
    node.attrs["axis"] = perm[axis]
    node.inputs = [a.inputs[0] for a in moved] + list(node.inputs[len(sources) :])
    _retarget(rw, node, perm, list({id(a): a for a in moved}.values()))
    return True


def _through_pad(rw: Rewriter, node: gs.Node, perm: Perm) -> bool:
    above = producer_of(node.inputs[0])
    if above is None or not _permute_pads(rw, node, inverse(perm)):
        return False
    node.inputs[0] = above.inputs[0]
    _retarget(rw, node, perm, [above])
    return True


def _permute_pads(rw: Rewriter, node: gs.Node, perm: Perm) -> bool:
    pads, rank = constant_input(node, 1), len(perm)
    if pads is None or optional_input(node, 3) is not None or pads.size != 2 * rank:
        return False
    sides = pads.reshape(2, rank)[:, list(perm)].reshape(-1)
    node.inputs[1] = rw.constant(f"{node.name}_pads", sides.astype(np.int64))
    return True


def _through_reduce(rw: Rewriter, node: gs.Node, perm: Perm) -> bool:
    above, axes, rank = producer_of(node.inputs[0]), constant_input(node, 1), len(perm)
    if above is None or axes is None or axes.size == 0:
        return False
    reduced = {int(axis) % rank for axis in axes.reshape(-1)}
    where = np.array(sorted(perm[axis] for axis in reduced), np.int64)
    node.inputs[1] = rw.constant(f"{node.name}_axes", where)
    node.inputs[0] = above.inputs[0]
    if node.attrs.get("keepdims", 1):
        _retarget(rw, node, perm, [above])
        return True
    kept = [perm[axis] for axis in range(rank) if axis not in reduced]
    order = tuple(sorted(kept).index(axis) for axis in kept)
    if order != tuple(sorted(order)):
        _retarget(rw, node, order, [above])
    return True


def rise(rw: Rewriter, node: gs.Node) -> bool:
    """Move a Transpose to channels-first in front of a Pad or elementwise node on the model input."""
    perm, above = permutation(node), producer_of(node.inputs[0])
    if above is None or perm != to_first(len(perm)) or not rw.sole_reader(node.inputs[0]):
        return False
    if above.op not in UNARY | BROADCAST | {"Pad"} or not _reads_input(rw, above, len(perm)):
        return False
    if above.op == "Pad":
        if not _permute_pads(rw, above, perm):
            return False
        inputs = [_raised(rw, above.inputs[0], node, perm), *above.inputs[1:]]
    else:
        inputs = [_raised(rw, tensor, node, perm) for tensor in above.inputs]
    result = node.outputs[0]
    detach(node)
    above.inputs = inputs
    above.outputs = [result]
    return True


def _reads_input(rw: Rewriter, node: gs.Node, rank: int) -> bool:
    """Whether ``node`` reads nothing but the model input (or what rose to it) and constants."""
    chain = [t for t in node.inputs if not isinstance(t, gs.Constant) and not t.is_empty()]
    constants = [t for t in node.inputs if isinstance(t, gs.Constant)]
    small = node.op in BROADCAST or all(np.prod(dims(t)) == 1 for t in constants[node.op == "Pad" :])
    if len(chain) != 1 or not small or len(dims(chain[0])) != rank or dims(chain[0])[0] != 1:
        return False
    above = producer_of(chain[0])
    if above is None:
        return rw.is_input(chain[0])
    return (
        above.op in UNARY | BROADCAST | {"Pad"} and rw.sole_reader(chain[0]) and _reads_input(rw, above, rank)
    )


def _raised(rw: Rewriter, tensor: gs.Tensor, node: gs.Node, perm: Perm) -> gs.Tensor:
    if tensor.is_empty() or (isinstance(tensor, gs.Constant) and np.prod(dims(tensor)) == 1):
        return tensor
    if isinstance(tensor, gs.Constant):
        return _permuted_constant(rw, tensor, perm)
    first = rw.variable(f"{tensor.name}_nchw", permuted(dims(tensor), perm), tensor.dtype)
    rw.insert("Transpose", [tensor], first, [node], perm=list(perm))
    return first


def report_left(rw: Rewriter) -> None:
    """Say for each Transpose that is left why it is."""
    for node in rw.graph.nodes:
        if node.op != "Transpose":
            continue
        if rw.is_input(node.inputs[0]):
            rw.decline(node, "it reads the model input, whose layout belongs to the user")
            continue
        readers = [f"{r.op} '{r.name}'" for r in node.outputs[0].outputs]
        behind = readers[0] if readers else "the end of the network"
        rw.decline(node, f"it cannot move past {behind}, which depends on the order of axes")
