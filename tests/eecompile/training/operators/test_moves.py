from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.eecompile.training.operators.single import (
    BATCH,
    Shape,
    agree,
    graph_of,
    images,
    network,
    normal,
    positive,
)
from tests.needs import needs_torch

pytestmark = needs_torch
REDUCTIONS = (
    "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
    "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp",
)  # fmt: skip
TESTED = {
    "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Concat", "Expand", "Tile", "Slice", "Split",
    "Gather", "Pad", "DepthToSpace", "SpaceToDepth", "Cast", "Identity", "Dropout", "ArgMax", "ArgMin",
    "TopK",    *REDUCTIONS,
}  # fmt: skip


def ints(*values: int) -> Any:
    """Return a constant of integers."""
    return np.array(values, np.int64)


@pytest.mark.parametrize(
    ("target", "mapped"), [((1, 24), False), ((1, -1, 2), False), ((0, 0, 12), False), ((2, 12), True)]
)
def test_reshape(target: Shape, mapped: bool) -> None:
    agree(network("Reshape", [(1, 2, 3, 4)], [ints(*target)]), mapped=mapped)


@pytest.mark.parametrize(("axis", "mapped"), [(1, False), (2, True), (0, False), (-1, True)])
def test_flatten(axis: int, mapped: bool) -> None:
    agree(network("Flatten", [(1, 2, 3)], axis=axis), mapped=mapped)


@pytest.mark.parametrize(
    ("axes", "mapped"), [((2,), False), ((-1,), False), ((2, 3), False), (None, True), ((0,), True)]
)
def test_squeeze(axes: Shape | None, mapped: bool) -> None:
    agree(network("Squeeze", [(1, 3, 1, 1)], [] if axes is None else [ints(*axes)]), mapped=mapped)


@pytest.mark.parametrize(("axes", "mapped"), [((2,), False), ((-1, 1), False), ((3, 1), False), ((0,), True)])
def test_unsqueeze(axes: Shape, mapped: bool) -> None:
    agree(network("Unsqueeze", [(1, 3)], [ints(*axes)]), mapped=mapped)


@pytest.mark.parametrize(
    ("perm", "mapped"), [((0, 2, 3, 1), False), ((0, 3, 1, 2), False), ((1, 0, 2, 3), True), (None, True)]
)
def test_transpose(perm: Shape | None, mapped: bool) -> None:
    attrs: dict[str, Any] = {} if perm is None else {"perm": perm}
    agree(network("Transpose", [(1, 2, 3, 4)], **attrs), mapped=mapped)


@pytest.mark.parametrize(("axis", "mapped"), [(1, False), (-2, False), (0, True)])
def test_concat(axis: int, mapped: bool) -> None:
    agree(network("Concat", [(1, 2, 3), (1, 2, 3), (1, 2, 3)], axis=axis), mapped=mapped)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_concat_of_a_constant_gives_it_to_every_image(order: Shape) -> None:
    """A class token in front of those of the image; it is learnt."""
    agree(network("Concat", [(1, 4, 3)], [normal(1, 1, 3)], order=order, axis=1), mapped=False)


@pytest.mark.parametrize(
    ("shape", "mapped"),
    [((1, 3, 4), False), ((3, 4), False), ((1,), False), ((2, 3, 4), True), ((1, 1, 3, 1), True)],
)
def test_expand(shape: Shape, mapped: bool) -> None:
    agree(network("Expand", [(1, 3, 1)], [ints(*shape)]), mapped=mapped)


@pytest.mark.parametrize(("repeats", "mapped"), [((1, 2, 3), False), ((2, 1, 1), True)])
def test_tile(repeats: Shape, mapped: bool) -> None:
    agree(network("Tile", [(1, 2, 3)], [ints(*repeats)]), mapped=mapped)


PLACES = (-(2**31), -9, -3, -1, 0, 1, 2, 4, 9, 2**31)


def cuts(size: int) -> st.SearchStrategy[tuple[int, int, int]]:
    """Return begin, end and step of parts of an axis that are not empty."""
    every = itertools.product(PLACES, PLACES, (1, 2, -1, -2))
    return st.sampled_from([cut for cut in every if range(*slice(*cut).indices(size))])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_slice(data: st.DataObject) -> None:
    axes = data.draw(st.lists(st.sampled_from([1, 2, -1]), min_size=1, max_size=2, unique_by=lambda a: a % 3))
    begin, end, steps = zip(*(data.draw(cuts((1, 4, 5)[axis])) for axis in axes), strict=True)
    agree(
        network("Slice", [(1, 4, 5)], [ints(*begin), ints(*end), ints(*axes), ints(*steps)]),
        mapped=False,
    )


def test_slice_without_axes() -> None:
    agree(network("Slice", [(1, 4, 5)], [ints(0, 1, 2), ints(1, 3, 9)]), mapped=False)


def test_nothing_of_the_batch_is_cut_off() -> None:
    """Cutting the only image is of one; taking all of it is nothing."""
    agree(network("Slice", [(1, 4)], [ints(0), ints(1), ints(0), ints(1)]), mapped=False)
    agree(network("Slice", [(1, 4)], [ints(-1), ints(-9), ints(0), ints(-1)]), mapped=True)


@pytest.mark.parametrize(("axis", "parts"), [(1, (2, 1, 3)), (1, (6,)), (-1, (2, 2)), (1, None), (0, (1,))])
def test_split(axis: int, parts: Shape | None) -> None:
    constants = [] if parts is None else [ints(*parts)]
    attrs: dict[str, Any] = {"num_outputs": 2} if parts is None else {}
    outputs = 2 if parts is None else len(parts)
    agree(network("Split", [(1, 6, 4)], constants, outputs=outputs, axis=axis, **attrs), mapped=axis == 0)


@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("index", [np.array(1), np.array([2, 0, -1]), np.array([[0, 1], [1, -2]])])
def test_gather(axis: int, index: Any) -> None:
    agree(network("Gather", [(1, 3, 4)], [index], axis=axis), mapped=False)


@pytest.mark.parametrize("index", [np.array(0), np.array([0, 0])])
def test_gather_of_images_is_of_one(index: Any) -> None:
    agree(network("Gather", [(1, 3, 4)], [index], axis=0), mapped=True)


def test_a_table_is_looked_up_and_learnt() -> None:
    """Words are places in a table, from its end where they are negative."""
    model = network("Gather", [(1, 5)], [normal(9, 4)], order=[1, 0], dtype=np.int64)
    agree(model, [np.random.default_rng(0).integers(-9, 9, (BATCH, 5))], mapped=False)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["constant", "constant", "reflect", "edge", "wrap"]), st.data())
def test_pad(mode: str, data: st.DataObject) -> None:
    low = -1 if mode == "constant" else 0
    pads = [0, 0, *data.draw(st.lists(st.integers(low, 2), min_size=2, max_size=2))] * 2
    pads[6:] = data.draw(st.lists(st.integers(low, 2), min_size=2, max_size=2))
    value = (
        [np.array(data.draw(st.sampled_from([0.0, 1.5, -3.0])), np.float32)]
        if data.draw(st.booleans())
        else []
    )
    agree(network("Pad", [(1, 2, 4, 5)], [ints(*pads), *value], mode=mode), mapped=False)


@pytest.mark.parametrize("mode", ["constant", "edge"])
def test_pad_along_given_axes(mode: str) -> None:
    agree(network("Pad", [(1, 2, 4, 5)], [ints(1, 2, 0, 1), None, ints(-1, 1)], mode=mode), mapped=False)


@pytest.mark.parametrize("mode", ["constant", "edge"])
def test_pad_of_the_batch_is_of_one_image(mode: str) -> None:
    agree(network("Pad", [(1, 2)], [ints(1, 0, 0, 1)], mode=mode), mapped=True)


@pytest.mark.parametrize("block", [2, 3])
@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(block: int, mode: str) -> None:
    agree(network("DepthToSpace", [(1, 2 * block**2, 2, 3)], blocksize=block, mode=mode), mapped=False)


@pytest.mark.parametrize("block", [2, 3])
def test_space_to_depth(block: int) -> None:
    agree(network("SpaceToDepth", [(1, 2, 2 * block, block)], blocksize=block), mapped=False)


@pytest.mark.parametrize("before", [np.float32, np.int64, np.int32, np.uint8, np.bool_])
@pytest.mark.parametrize("after", [np.float32, np.int64, np.int32, np.bool_])
def test_cast(before: Any, after: Any) -> None:
    import onnx

    model = network("Cast", [(1, 5)], dtype=before, to=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(after)))
    agree(model, images(model, scale=3), gradient=before == after == np.float32, mapped=False)


def test_integers_become_numbers_of_the_type_the_module_is_in() -> None:
    import torch

    from eecompile.training.torch_graph import TorchGraph

    module = TorchGraph(graph_of(network("Cast", [(1, 5)], dtype=np.uint8, to=1)))
    pixels = torch.zeros((1, 5), dtype=torch.uint8)
    assert module(pixels)[0].dtype == torch.float32
    assert module.double()(pixels)[0].dtype == torch.float64


def test_cast_to_small_integers_is_refused() -> None:
    from eecompile.training.torch_graph import TorchGraph
    from passes.errors import InputError

    with pytest.raises(InputError, match=r"'the_node' \(Cast\) .* it makes int8"):
        TorchGraph(graph_of(network("Cast", [(1, 5)], to=3)))


@pytest.mark.parametrize("op", ["Identity", "Dropout"])
def test_nothing_is_done(op: str) -> None:
    import torch

    from eecompile.training.torch_graph import TorchGraph

    agree(network(op, [(1, 2, 3)]), exact=True, mapped=False)
    x = torch.ones(2, 2, 3)
    assert (TorchGraph(graph_of(network(op, [(1, 2, 3)]))).train()(x)[0] == x).all()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(REDUCTIONS),
    st.sampled_from([None, (1,), (2,), (-1,), (1, 2), (2, -2), (0,), (0, 2)]),
    st.booleans(),
)
def test_reductions(op: str, axes: Shape | None, keep: bool) -> None:
    model = network(op, [(1, 3, 4)], [] if axes is None else [ints(*axes)], keepdims=int(keep))
    over_images = axes is None or 0 in axes
    agree(model, [positive(BATCH, 3, 4)], mapped=over_images or None)


@pytest.mark.parametrize("op", ["ReduceMean", "ReduceSum", "ReduceMax"])
def test_reduction_over_no_axes_is_nothing(op: str) -> None:
    agree(network(op, [(1, 3, 4)], [ints()], noop_with_empty_axes=1), exact=True, mapped=False)


def test_length_of_zeros_has_gradient_zero() -> None:
    import torch

    from eecompile.training.torch_graph import TorchGraph

    x = torch.zeros(1, 4, requires_grad=True)
    TorchGraph(graph_of(network("ReduceL2", [(1, 4)], [ints(1)])))(x)[0].sum().backward()
    assert x.grad is not None
    assert (x.grad == 0).all()


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize(("axis", "mapped"), [(1, False), (-1, False), (0, True)])
def test_places_of_extremes(op: str, keep: int, axis: int, mapped: bool) -> None:
    model = network(op, [(1, 3, 4)], axis=axis, keepdims=keep)
    ties = [np.round(x) for x in images(model)]
    agree(model, ties, gradient=False, mapped=mapped)


def test_the_last_of_equal_places_is_refused() -> None:
    from eecompile.training.torch_graph import TorchGraph
    from passes.errors import InputError

    with pytest.raises(InputError, match=r"'the_node' \(ArgMax\) .* of equal values it takes the last"):
        TorchGraph(graph_of(network("ArgMax", [(1, 3)], axis=1, select_last_index=1)))


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize(("axis", "mapped"), [(1, False), (-1, False), (0, True)])
def test_top_k(largest: int, axis: int, mapped: bool) -> None:
    count = 1 if axis == 0 else 3
    model = network("TopK", [(1, 3, 20)], [ints(count)], outputs=2, axis=axis, largest=largest)
    agree(model, [np.round(x) for x in images(model)], gradient=False, exact=True, mapped=mapped)
    agree(model, mapped=mapped)


def test_what_is_tested_is_what_there_is() -> None:
    from eecompile.training.operators.moves import BUILDERS

    assert BUILDERS.keys() == TESTED
