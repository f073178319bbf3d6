from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.errors import InputError, PassError
from passes.integers.quantize import Quantize, to_integers
from passes.integers.schemes import SCHEMES, scheme
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import QuantGrid, copy_graph, state_of
from tests.passes.equivalence import batch_of, check_text_form, run_model
from tests.passes.grids import activation_grid, add_grids, weight_grid
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import chain


def test_needs_grids() -> None:
    graph = from_model(chain())
    with pytest.raises(PassError, match=r"no calibrated ranges .*\n.*`data`"):
        Quantize()(graph)
    state_of(graph).symbolic = True
    with pytest.raises(PassError, match=r"no calibrated ranges .*\n.*shape-only"):
        Quantize()(graph)


def test_grids_of_nothing_here_change_nothing() -> None:
    graph = from_model(chain())
    state_of(graph).grids = {"elsewhere": activation_grid(1.0)}
    assert not Quantize()(graph)
    assert {d.subject for d in state_of(graph).declined} >= {"n0_Conv", "n1_Relu_out"}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 99), st.sampled_from([0.25, 0.1, 3.7]), st.sampled_from([(0, 255), (64, 191)]))
def test_integers_are_those_of_onnxruntime(seed: int, scale: float, bounds: tuple[int, int]) -> None:
    net = NetBuilder((1, 60))
    grid = activation_grid(scale, *bounds)
    graph = from_model(net.model(net.op("Relu", "x")))
    state_of(graph).grids = {"x": grid}
    Quantize()(graph)
    model = to_model(graph)
    integers = next(n for n in reversed(model.graph.node) if n.op_type in ("QuantizeLinear", "Clip")).output[
        0
    ]
    model.graph.output[0].CopyFrom(next(v for v in model.graph.value_info if v.name == integers))
    # halves of steps are where rounding rules differ
    x = (np.random.default_rng(seed).integers(-600, 600, (1, 60)) * (scale / 2)).astype(np.float32)
    np.testing.assert_array_equal(run_model(model, x)[0], to_integers(x, grid))


def test_weights_per_channel() -> None:
    values = np.array([[0.5, 1.5], [2.5, -300.0]], np.float32)
    assert to_integers(values, weight_grid(1.0, 0.5)).tolist() == [[0, 2], [5, -128]]
    assert to_integers(values, QuantGrid((1.0, 0.5), 0, -1, 1, "int8", axis=1)).tolist() == [[0, 1], [1, -1]]


def test_networks_that_are_quantized_stay() -> None:
    graph = from_model(chain())
    parse_pipeline("canonicalize")(graph)
    add_grids(graph, batch_of(chain(), 2))
    assert Quantize()(graph)
    for form in ("", "fold-qdq"):
        made = copy_graph(graph)
        if form:
            parse_pipeline(form)(made)
        again = from_model(to_model(made))
        assert not Quantize()(again)


def test_layers_take_their_quantizers_along() -> None:
    graph = from_model(chain())
    parse_pipeline("canonicalize,fuse-layers")(graph)
    add_grids(graph, batch_of(chain(), 2))
    parse_pipeline("quantize,fold-qdq")(graph)
    layers = state_of(graph).layers
    written = {n.name: layers.get(n.name) for n in graph.nodes if n.name != "x/quantize"}
    parse_pipeline("fuse-layers")(graph)
    assert written == {name: state_of(graph).layers[name] for name in written}


def test_schemes() -> None:
    assert scheme("int8-pow2") is SCHEMES["int8-pow2"]
    with pytest.raises(InputError, match=r"unknown .* 'int8_pow2'\ndid you mean 'int8-pow2'"):
        scheme("int8_pow2")


def test_text_form() -> None:
    check_text_form(Quantize())
