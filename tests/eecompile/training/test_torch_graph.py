from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

from passes.errors import InputError
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import copy_graph
from tests.eecompile.training.operators.single import Array, by_onnxruntime, check_gradients, images
from tests.needs import needs_torch
from tests.passes import small_nets, token_nets
from tests.passes.net_builder import NetBuilder

pytestmark = needs_torch


def graph_of(model: onnx.ModelProto, pipeline: str = "canonicalize") -> gs.Graph:
    """Return the graph of ``model`` in canonical form."""
    graph = from_model(model)
    parse_pipeline(pipeline)(graph)
    return graph


def normalized() -> onnx.ModelProto:
    """Return a network with BatchNormalization behind its activation, where nothing folds it."""
    net = NetBuilder((1, 2, 6, 6))
    x = net.batchnorm(net.op("Relu", net.conv("x", 2, 4)), 4)
    x = net.op("Relu", net.conv(x, 4, 4, strides=[2, 2]))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", x))
    return net.model(net.op("Gemm", pooled, net.normal(3, 4), net.normal(3), transB=1))


def quantized() -> onnx.ModelProto:
    """Return a network with weights and activations behind Q/DQ nodes: float weights, and integers."""
    net = NetBuilder((1, 2, 6, 6))

    def faked(x: str, scale: float, zero: str) -> str:
        step = net.const(scale)
        return net.op("DequantizeLinear", net.op("QuantizeLinear", x, step, zero), step, zero)

    signed, unsigned = net.const(0, np.int8), net.const(0, np.uint8)
    x = faked("x", 0.02, signed)
    x = net.op("Conv", x, faked(net.normal(4, 2, 3, 3), 0.02, signed), net.normal(4), pads=[1] * 4)
    x = net.op("Flatten", faked(net.op("Relu", x), 0.03, unsigned))
    weights = net.op(
        "DequantizeLinear", net.const(net.rng.integers(-9, 9, (3, 144)), np.int8), net.const(0.05)
    )
    return net.model(net.op("Gemm", x, weights, net.normal(3), transB=1))


def tokens_first(width: int = 8, tokens: int = 4) -> onnx.ModelProto:
    """Return attention whose tokens are the first axis, as torch's own layer has it."""
    net = NetBuilder((1, tokens, width))
    x = net.op("Transpose", "x", perm=[1, 0, 2])  # [tokens, 1, width]
    parts = [net.op("MatMul", x, net.normal(width, width, scale=0.4)) for _ in range(3)]
    rows = [net.op("Reshape", part, net.const([tokens, 2, width // 2], np.int64)) for part in parts]
    q, k, v = (net.op("Transpose", row, perm=[1, 0, 2]) for row in rows)  # [heads, tokens, width of a head]
    scores = net.op("Softmax", net.op("MatMul", q, net.op("Transpose", k, perm=[0, 2, 1])), axis=-1)
    mixed = net.op("Transpose", net.op("MatMul", scores, v), perm=[1, 0, 2])
    flat = net.op("Reshape", mixed, net.const([tokens, 1, width], np.int64))
    back = net.op("Transpose", flat, perm=[1, 0, 2])
    pooled = net.op("ReduceMean", back, net.const([1], np.int64), keepdims=0)
    return net.model(net.op("Gemm", pooled, net.normal(3, width), net.normal(3), transB=1))


NETWORKS = {
    "convolutions": small_nets.chain,
    "exits": small_nets.two_exits,
    "normalized": normalized,
    "quantized": quantized,
    "attention": token_nets.vit,
    "mixer": token_nets.mixer,
    "channels last": token_nets.channels_last,
    "tokens first": tokens_first,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_each_image_is_answered_as_by_onnxruntime_and_as_alone(name: str) -> None:
    import torch

    from eecompile.training.torch_graph import TorchGraph

    model = NETWORKS[name]()
    graph = graph_of(model)
    module = TorchGraph(graph).eval()
    assert module.mapped == (name == "tokens first")
    (x,) = images(model, 3)
    expected = by_onnxruntime(to_model(graph), [x])
    with torch.no_grad():
        together = module(torch.from_numpy(x))
        alone = module(torch.from_numpy(x[1:2]))
    assert len(together) == len(expected) == len(graph.outputs)
    for many, one, wanted in zip(together, alone, expected, strict=True):
        np.testing.assert_allclose(many, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())
        np.testing.assert_allclose(one, wanted[1:2], rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("name", ["normalized", "tokens first", "attention"])
def test_gradients_of_whole_networks(name: str) -> None:
    from eecompile.training.torch_graph import TorchGraph

    model = NETWORKS[name]()
    check_gradients(TorchGraph(graph_of(model)), images(model), training=name == "normalized")


def test_what_is_learnt() -> None:
    """Weights and biases of products, scales and shifts; float weights through their quantization."""
    from eecompile.training.torch_graph import TorchGraph

    def learnt(graph: gs.Graph) -> list[tuple[str, tuple[int, ...]]]:
        module = TorchGraph(graph)
        assert [name for name, value in module.named_values().items() if value.requires_grad] == sorted(
            module.learnt, key=list(module.named_values()).index
        )
        readers = {name: graph.tensors()[name].outputs[0].op for name in module.learnt}
        return [(readers[name], tuple(module.value(name).shape)) for name in module.learnt]

    assert learnt(graph_of(normalized())) == [
        ("Conv", (4, 2, 3, 3)), ("Conv", (4,)), ("BatchNormalization", (4,)), ("BatchNormalization", (4,)),
        ("Conv", (4, 4, 3, 3)), ("Conv", (4,)), ("Gemm", (3, 4)), ("Gemm", (3,)),
    ]  # fmt: skip
    assert learnt(graph_of(quantized())) == [
        ("QuantizeLinear", (4, 2, 3, 3)), ("Conv", (4,)), ("Gemm", (3,)),
    ]  # fmt: skip


def test_values_that_are_shared_are_learnt_in_both() -> None:
    import torch

    from eecompile.training.torch_graph import TorchGraph

    whole, other = TorchGraph(graph_of(normalized())), TorchGraph(graph_of(normalized()))
    other.share(whole)
    name = whole.learnt[0]
    with torch.no_grad():
        whole.value(name).fill_(7)
    assert bool((other.value(name) == 7).all())
    x = torch.from_numpy(np.concatenate(images(normalized())))
    other.train()(x)[0].sum().backward()
    assert whole.value(name).grad is not None, "and so are gradients and running statistics"
    norms = [n for n in graph_of(normalized()).nodes if n.op == "BatchNormalization"]
    running = norms[0].inputs[3].name
    assert torch.equal(whole.value(running), other.value(running))


def test_a_class_token_is_learnt() -> None:
    from eecompile.training.torch_graph import TorchGraph

    graph = graph_of(token_nets.vit(token=True))
    (joined,) = (node for node in graph.nodes if node.op == "Concat")
    token = next(tensor for tensor in joined.inputs if isinstance(tensor, gs.Constant))
    assert token.name in TorchGraph(graph).learnt


def test_quantized_weights_are_trained_through_their_grid() -> None:
    import torch

    from eecompile.training.torch_graph import TorchGraph

    graph = graph_of(quantized())
    module = TorchGraph(graph)
    (x,) = images(quantized())
    module(torch.from_numpy(x))[0].square().sum().backward()
    for name in module.learnt:
        grad = module.value(name).grad
        assert grad is not None
        assert grad.abs().max() > 0


def trained(graph: gs.Graph, x: Array) -> Any:
    """Return the graph as a module after two steps of training."""
    import torch

    from eecompile.training.torch_graph import TorchGraph

    module = TorchGraph(graph).train()
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        module(torch.from_numpy(x))[0].square().mean().backward()
        optimizer.step()
    return module.eval()


@pytest.mark.parametrize("name", ["normalized", "quantized"])
def test_trained_values_go_back_into_the_same_constants(name: str) -> None:
    import torch

    model = NETWORKS[name]()
    graph = graph_of(model)
    before = {t.name: np.array(t.values) for t in graph.tensors().values() if isinstance(t, gs.Constant)}
    (x,) = images(model)
    module = trained(graph, x)
    for key, values in before.items():  # training leaves the graph alone
        np.testing.assert_array_equal(graph.tensors()[key].values, values)
    target = copy_graph(graph)
    module.write_back(target)
    after = {t.name: np.array(t.values) for t in target.tensors().values() if isinstance(t, gs.Constant)}
    assert after.keys() == before.keys()
    changed = {key for key in before if not np.array_equal(before[key], after[key])}
    statistics = {t.name for node in graph.nodes if node.op == "BatchNormalization" for t in node.inputs[3:5]}
    assert changed == {*module.learnt, *statistics}
    assert all(after[key].dtype == before[key].dtype for key in before)
    with torch.no_grad():
        found = module(torch.from_numpy(x))[0]
    np.testing.assert_allclose(by_onnxruntime(to_model(target), [x])[0], found, rtol=1e-4, atol=1e-5)


def test_some_values_are_written_and_unknown_ones_refused() -> None:
    graph = graph_of(normalized())
    (x,) = images(normalized())
    module = trained(graph, x)
    first, second = module.learnt[:2]
    kept = np.array(graph.tensors()[second].values)
    module.write_back(graph, [first])
    np.testing.assert_array_equal(graph.tensors()[first].values, module.value(first).detach())
    np.testing.assert_array_equal(graph.tensors()[second].values, kept)
    with pytest.raises(InputError, match="'nothing' is no constant of the trained network"):
        module.write_back(graph, ["nothing"])


@pytest.mark.parametrize("other", [small_nets.chain, tokens_first])
def test_another_network_is_not_written_into(other: Callable[[], onnx.ModelProto]) -> None:
    """Its constants may have the same names: nothing at all is written."""
    module = trained(graph_of(normalized()), images(normalized())[0])
    graph = graph_of(other())
    before = {t.name: t.values for t in graph.tensors().values() if isinstance(t, gs.Constant)}
    with pytest.raises(InputError, match=r"constant '.+' .* in the trained network .* in the graph"):
        module.write_back(graph)
    assert all(graph.tensors()[name].values is values for name, values in before.items())


def test_written_values_are_a_copy() -> None:
    import torch

    graph = graph_of(normalized())
    module = trained(graph, images(normalized())[0])
    module.write_back(graph)
    name = module.learnt[0]
    written = np.array(graph.tensors()[name].values)
    with torch.no_grad():
        module.value(name).add_(1)
    np.testing.assert_array_equal(graph.tensors()[name].values, written)


def test_evaluation_changes_nothing_and_two_passes_may_be_followed_by_one_gradient() -> None:
    import torch

    from eecompile.training.torch_graph import TorchGraph

    module = TorchGraph(graph_of(normalized()))
    x = torch.from_numpy(images(normalized())[0])
    before = {name: value.detach().clone() for name, value in module.named_values().items()}
    module.eval()(x)
    assert all(torch.equal(value, before[name]) for name, value in module.named_values().items())
    module.train()
    (module(x)[0] + module(x + 1)[0]).sum().backward()
    assert module.value(module.learnt[0]).grad is not None


def test_checkpoints_hold_the_values_and_nothing_else() -> None:
    import torch

    from eecompile.training.torch_graph import TorchGraph

    net = NetBuilder((1, 2, 5, 5))
    pooled = net.op("AveragePool", net.conv("x", 2, 4), kernel_shape=[2, 2], pads=[1, 0, 0, 1])
    graph = graph_of(net.model(net.op("Gemm", net.op("Flatten", pooled), net.normal(3, 100), transB=1)))
    module, other = TorchGraph(graph), TorchGraph(graph)
    assert len(module.state_dict()) == len(module.named_values()) == 3
    with torch.no_grad():
        module.value(module.learnt[0]).add_(1)
    other.load_state_dict(module.state_dict())
    x = torch.ones(2, 2, 5, 5)
    assert torch.equal(module(x)[0], other(x)[0])


def test_runs_in_the_type_and_order_of_memory_it_is_put_into() -> None:
    import torch

    from eecompile.training.torch_graph import TorchGraph

    model = quantized()
    module = TorchGraph(graph_of(model))
    x = torch.from_numpy(images(model)[0])
    plain = module(x)[0]
    last = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert torch.allclose(last(x.to(memory_format=torch.channels_last))[0], plain, rtol=1e-4, atol=1e-5)
    assert module.double()(x.double())[0].dtype == torch.float64


def test_absent_weights_are_named() -> None:
    from eecompile.training.torch_graph import TorchGraph

    model = small_nets.chain()
    kept = [tensor for tensor in model.graph.initializer if len(tensor.dims) != 4]
    weights = [tensor for tensor in model.graph.initializer if len(tensor.dims) == 4]
    declared = [onnx.helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in weights]
    model.graph.value_info.extend(declared)
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    with pytest.raises(InputError, match="weights of the network are absent"):
        TorchGraph(from_model(model))


def test_an_operator_without_a_torch_function_is_named_with_its_node() -> None:
    from eecompile.training.torch_graph import TorchGraph

    with pytest.raises(InputError, match=r"node '.+' \(LSTM\) cannot be trained .* has no torch"):
        TorchGraph(graph_of(token_nets.recurrent("LSTM")))


def test_statistics_of_batches_beside_what_mixes_images_are_refused() -> None:
    from eecompile.training.torch_graph import TorchGraph

    net = NetBuilder((1, 4, 3))
    x = net.op("Relu", net.batchnorm("x", 4))
    x = net.op("Softmax", net.op("Transpose", x, perm=[1, 0, 2]), axis=0)
    graph = from_model(net.model(net.op("Transpose", x, perm=[1, 0, 2])))
    with pytest.raises(InputError, match=r"BatchNormalization.* normalizes over images, and another node"):
        TorchGraph(graph)


def test_the_package_is_imported_without_torch() -> None:
    """Torch is an extra: only training asks for it."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import eecompile, eecompile.training, eecompile.training.operators\n"
        "import eecompile.api, eecompile.cli.main"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
