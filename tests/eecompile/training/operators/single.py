"""One node as a network, run by torch and by onnxruntime, which must agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from passes.model.graph import from_model

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]
Shape = tuple[int, ...]
RELATIVE, BATCH = 1e-5, 3
OPSET = 21


def normal(*shape: int, seed: int = 0) -> Array:
    """Return normal random numbers, float32."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def positive(*shape: int, seed: int = 0) -> Array:
    """Return random numbers between .5 and 1.5, float32."""
    return np.random.default_rng(seed).uniform(0.5, 1.5, shape).astype(np.float32)


def network(
    op: str,
    given: Sequence[Shape],
    constants: Sequence[Array | None] = (),
    *,
    outputs: int = 1,
    dtype: Any = np.float32,
    order: Sequence[int] | None = None,
    opset: int = OPSET,
    **attrs: Any,
) -> onnx.ModelProto:
    """Return the model of one node ``op``.

    Args:
        op: Its operator.
        given: Shapes of its computed inputs, batch of 1 in front.
        constants: Its constants, behind those; ``None``: left out.
        outputs: How many it has.
        dtype: Of the computed inputs.
        order: Positions of the inputs where the node does not read them in this order.
        opset: Of the file.
        attrs: Its attributes.
    """
    names = [f"x{number}" for number in range(len(given))]
    held = {f"c{number}": value for number, value in enumerate(constants)}
    reads = [*names, *(name if value is not None else "" for name, value in held.items())]
    reads = reads if order is None else [reads[place] for place in order]
    writes = [f"y{number}" for number in range(outputs)]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        [helper.make_node(op, reads, writes, name="the_node", **attrs)],
        "one",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in zip(names, given, strict=True)],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in writes],
        [numpy_helper.from_array(value, name) for name, value in held.items() if value is not None],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    if not model.graph.output[0].type.tensor_type.elem_type:  # onnx has no rule for it: like its input
        model.graph.output[0].type.CopyFrom(model.graph.input[0].type)
    return model


def images(model: onnx.ModelProto, count: int = BATCH, seed: int = 7, scale: float = 1.0) -> list[Array]:
    """Return random inputs for ``count`` images."""
    rng = np.random.default_rng(seed)
    found = []
    for value in model.graph.input:
        shape = (count, *(d.dim_value for d in value.type.tensor_type.shape.dim[1:]))
        kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        if kind == np.bool_:
            found.append(rng.integers(0, 2, shape).astype(kind))
        elif kind.kind in "iu":
            low = 0 if kind.kind == "u" else -9
            found.append(rng.integers(low, 9, shape).astype(kind))
        else:
            found.append((rng.normal(size=shape) * scale).astype(kind))
    return found


def by_onnxruntime(model: onnx.ModelProto, given: Sequence[Array]) -> list[Array]:
    """Return the outputs for images run one by one, put together along the first axis."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    each = [
        session.run(None, {name: x[index : index + 1] for name, x in zip(names, given, strict=True)})
        for index in range(len(given[0]))
    ]
    return [
        np.concatenate([np.atleast_1d(found) for found in together]) for together in zip(*each, strict=True)
    ]


def graph_of(model: onnx.ModelProto) -> gs.Graph:
    """Return the graph of ``model`` as it is loaded, its operator unchanged."""
    graph = from_model(model)
    assert [node.op for node in graph.nodes] == [node.op_type for node in model.graph.node]
    return graph


def agree(
    model: onnx.ModelProto,
    given: Sequence[Array] | None = None,
    *,
    exact: bool = False,
    relative: float = RELATIVE,
    gradient: bool = True,
    mapped: bool | None = None,
) -> None:
    """Check that torch answers each of several images, and the first alone, like onnxruntime; and gradients.

    Args:
        model: Of one image.
        given: Inputs, as many images as one likes; random ones by default.
        exact: Every number must be the same; otherwise differences are below ``relative`` of the number or of
            the largest of all.
        relative: See there.
        gradient: Gradients by finite differences, in float64, with respect to inputs and what is learnt.
        mapped: Whether images have to be run side by side; ``None``: either way.
    """
    import torch

    from eecompile.training.torch_graph import TorchGraph

    given = images(model) if given is None else given
    expected = by_onnxruntime(model, given)
    module = TorchGraph(graph_of(model)).eval()
    assert mapped is None or module.mapped == mapped
    with torch.no_grad():
        many = module(*(torch.from_numpy(x) for x in given))
        one = module(*(torch.from_numpy(x[:1]) for x in given))
    for value, alone, wanted in zip(many, one, expected, strict=True):
        found = value.reshape(wanted.shape).numpy()
        first = wanted[: len(wanted) // len(given[0])]
        if exact or wanted.dtype.kind in "iub":
            np.testing.assert_array_equal(found, wanted)
            np.testing.assert_array_equal(alone.reshape(first.shape).numpy(), first)
        else:
            slack = relative * float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0))
            np.testing.assert_allclose(found, wanted, rtol=relative, atol=slack)
            np.testing.assert_allclose(alone.reshape(first.shape).numpy(), first, rtol=relative, atol=slack)
    if gradient:
        check_gradients(module, given)


def check_gradients(module: Any, given: Sequence[Array], training: bool = False) -> None:
    """Check gradients with respect to floating inputs and what is learnt, in float64."""
    import torch

    module = module.double().train(training)
    names = [name for name, value in module.named_parameters() if value.requires_grad]
    learnt = [getattr(module, name).detach().clone().requires_grad_() for name in names]
    inputs = [torch.from_numpy(x[:2]) for x in given]
    floats = [x.double().requires_grad_() if x.is_floating_point() else x for x in inputs]

    def run(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        held = dict(zip(names, values[len(floats) :], strict=True))
        found = torch.func.functional_call(module, held, values[: len(floats)])
        return tuple(value for value in found if value.is_floating_point())

    assert torch.autograd.gradcheck(run, (*floats, *learnt), fast_mode=True)
