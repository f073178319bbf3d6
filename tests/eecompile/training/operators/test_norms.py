from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.eecompile.training.operators.single import (
    Shape,
    agree,
    check_gradients,
    graph_of,
    images,
    network,
    normal,
    positive,
)
from tests.needs import needs_torch

pytestmark = needs_torch
TESTED = {
    "BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization", "LRN",
    "MeanVarianceNormalization", "LpNormalization",
}  # fmt: skip
EPSILON = st.sampled_from([1e-5, 1e-3, 0.1])
SPACES = st.sampled_from([(4,), (3, 4), (1, 1), (2, 3, 2)])


def batch_norm(space: Shape = (3, 4), **attrs: Any) -> Any:
    """Return a network of one BatchNormalization of 3 channels."""
    numbers = [positive(3), normal(3, seed=1), normal(3, seed=2), positive(3, seed=3)]
    return network("BatchNormalization", [(1, 3, *space)], numbers, **attrs)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([(), (4,), (3, 4), (2, 3, 2)]), EPSILON)
def test_batch_normalization_by_its_statistics(space: Shape, epsilon: float) -> None:
    agree(batch_norm(space, epsilon=epsilon), mapped=False)


@pytest.mark.parametrize("space", [(), (4,), (3, 4)])
@pytest.mark.parametrize(("momentum", "epsilon"), [(0.9, 1e-5), (0.99, 1e-3), (0.25, 0.1)])
def test_batch_normalization_while_it_is_trained(space: Shape, momentum: float, epsilon: float) -> None:
    """By the batch, as ONNX defines it: y of population statistics, of which 1 - momentum is taken over."""
    import torch

    from eecompile.training.torch_graph import TorchGraph

    graph = graph_of(batch_norm(space, epsilon=epsilon))
    graph.nodes[0].attrs["momentum"] = momentum  # which loading drops: it has no meaning for what is run
    module = TorchGraph(graph)
    x = np.random.default_rng(4).normal(size=(5, 3, *space)).astype(np.float32)
    scale, bias = positive(3), normal(3, seed=1)
    expected_mean, expected_var = normal(3, seed=2), positive(3, seed=3)
    axes = (0, *range(2, x.ndim))
    lined_up = (1, 3, *[1] * len(space))
    for _ in range(2):
        found = module(torch.from_numpy(x))[0].detach().numpy()
        mean, var = x.mean(axes), x.var(axes)
        by_batch = (x - mean.reshape(lined_up)) / np.sqrt(var + epsilon).reshape(lined_up)
        wanted = by_batch * scale.reshape(lined_up) + bias.reshape(lined_up)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
        expected_mean = expected_mean * momentum + mean * (1 - momentum)
        expected_var = expected_var * momentum + var * (1 - momentum)
        np.testing.assert_allclose(module.value("c2"), expected_mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(module.value("c3"), expected_var, rtol=1e-5, atol=1e-6)
    assert not module.value("c2").requires_grad
    module.eval()(torch.from_numpy(x))
    np.testing.assert_allclose(module.value("c2"), expected_mean, rtol=1e-5, atol=1e-6)


def test_gradients_of_batch_normalization_while_it_is_trained() -> None:
    from eecompile.training.torch_graph import TorchGraph

    model = batch_norm()
    check_gradients(TorchGraph(graph_of(model)), images(model), training=True)


def test_statistics_that_are_computed_are_refused() -> None:
    from eecompile.training.torch_graph import TorchGraph
    from passes.errors import InputError

    numbers = [positive(1), normal(1), positive(1)]
    model = network("BatchNormalization", [(1, 1, 4), (1,)], numbers, order=[0, 2, 3, 1, 4])
    with pytest.raises(InputError, match=r"'the_node' \(BatchNormalization\) .* its input 'x1' is computed"):
        TorchGraph(graph_of(model))


@settings(max_examples=20, deadline=None)
@given(SPACES, EPSILON)
def test_instance_normalization(space: Shape, epsilon: float) -> None:
    epsilon = 0.1 if space == (1, 1) else epsilon  # of one element only what rounding leaves is left
    numbers = [positive(3), normal(3)]
    agree(network("InstanceNormalization", [(1, 3, *space)], numbers, epsilon=epsilon), mapped=False)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([(1, 6), (1, 3, 6), (1, 2, 3, 6)]), st.data(), EPSILON)
def test_layer_normalization(shape: Shape, data: st.DataObject, epsilon: float) -> None:
    axis = data.draw(st.integers(1, len(shape) - 1))
    over = shape[axis:]
    numbers = [positive(*over), normal(*over)][: data.draw(st.integers(1, 2))]
    if data.draw(st.booleans()):
        axis -= len(shape)
    agree(network("LayerNormalization", [shape], numbers, axis=axis, epsilon=epsilon), mapped=False)


def test_layer_normalization_over_images_is_of_one() -> None:
    agree(network("LayerNormalization", [(1, 4)], [positive(1, 4)], axis=0), mapped=True)


def test_layer_normalization_with_a_scale_that_broadcasts() -> None:
    agree(network("LayerNormalization", [(1, 3, 6)], [positive(1), normal(6)], axis=1), mapped=False)


@settings(max_examples=20, deadline=None)
@given(SPACES, st.sampled_from([1, 2, 4]), EPSILON)
def test_group_normalization(space: Shape, groups: int, epsilon: float) -> None:
    attrs: dict[str, Any] = {"num_groups": groups, "epsilon": epsilon}
    agree(network("GroupNormalization", [(1, 4, *space)], [positive(4), normal(4)], **attrs), mapped=False)


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("space", [(4,), (3, 2)])
def test_local_response_normalization(size: int, space: Shape) -> None:
    attrs: dict[str, Any] = {"size": size, "alpha": 0.5, "beta": 0.6, "bias": 1.5}
    if len(space) == 1:  # which onnxruntime has for pictures only
        space = (*space, 1)
    agree(network("LRN", [(1, 4, *space)], **attrs), mapped=False)


@pytest.mark.parametrize(
    ("axes", "mapped"), [([0, 2, 3], True), ([2, 3], False), ([-1], False), ([1, 2], False)]
)
def test_mean_variance_normalization(axes: list[int], mapped: bool) -> None:
    agree(network("MeanVarianceNormalization", [(1, 2, 3, 4)], axes=axes), mapped=mapped)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize(("axis", "mapped"), [(-1, False), (1, False), (0, True)])
def test_lp_normalization(p: int, axis: int, mapped: bool) -> None:
    agree(network("LpNormalization", [(1, 3, 4)], p=p, axis=axis), mapped=mapped)


@pytest.mark.parametrize("op", ["MeanVarianceNormalization", "LpNormalization"])
def test_zeros_have_finite_gradients(op: str) -> None:
    import torch

    from eecompile.training.torch_graph import TorchGraph

    x = torch.zeros(1, 2, 3, 3, requires_grad=True)
    attrs: dict[str, Any] = {"axes": [2, 3]} if op == "MeanVarianceNormalization" else {}
    found = TorchGraph(graph_of(network(op, [(1, 2, 3, 3)], **attrs)))(x)[0]
    found.sum().backward()
    assert x.grad is not None
    assert torch.isfinite(found).all()
    assert torch.isfinite(x.grad).all()


def test_what_is_tested_is_what_there_is() -> None:
    from eecompile.training.operators.norms import BUILDERS

    assert BUILDERS.keys() == TESTED
