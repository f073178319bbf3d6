"""The same network out of both exporters of PyTorch, at several opsets, costs the same."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import onnx
import pytest

from tests.targets.evaluation.test_equal_networks import costs, figures, layers

torch = pytest.importorskip("torch", reason="networks are exported by torch, of the extra 'train'")
pytest.importorskip("onnxscript", reason="one of the exporters of torch needs onnxscript, of the extra 'dev'")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

# (dynamo, opset): operators such as LayerNormalization, HardSwish and Gelu came with opsets between.
EXPORTS = ((False, 13), (False, 20), (True, 18))
TARGETS = ("gap9", "edge_tpu_quad")
CLASSES = 12


def conv(i: int, o: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Module:
    layer = nn.Conv2d(i, o, kernel, stride, kernel // 2, groups=groups, bias=False)
    norm = nn.BatchNorm2d(o)
    for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        assert values is not None
        nn.init.uniform_(values, 0.5, 1.5)  # what is untrained is folded to nothing by one exporter
    return nn.Sequential(layer, norm)


def head(channels: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))


def stem(*rest: nn.Module) -> nn.Module:
    return nn.Sequential(conv(4, 8, stride=2), nn.ReLU(), *rest)


class Of(nn.Module):
    """A function of its modules and the input."""

    def __init__(self, function: Callable[..., Any], *modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.inner = nn.ModuleList(modules)

    def forward(self, x: Any) -> Any:
        return self.function(x, *self.inner)


def plus(*modules: nn.Module) -> nn.Module:
    """A skip connection around ``modules``."""
    return Of(lambda x, inner: x + inner(x), nn.Sequential(*modules))


def excite(channels: int, gate: nn.Module) -> nn.Module:
    small = nn.Conv2d(channels, channels // 4, 1), nn.ReLU(), nn.Conv2d(channels // 4, channels, 1), gate
    return Of(lambda x, inner: x * inner(x), nn.Sequential(nn.AdaptiveAvgPool2d(1), *small))


def inverted(act: Callable[[], nn.Module], *more: nn.Module) -> nn.Module:
    return plus(conv(8, 16, 1), act(), conv(16, 16, groups=16), act(), *more, conv(16, 8, 1))


def channels_last(*modules: nn.Module) -> nn.Module:
    """``modules`` on [N, H, W, C]."""
    return Of(lambda x, inner: inner(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), nn.Sequential(*modules))


def shuffled(x: Any, inner: nn.Module) -> Any:
    left, right = x.chunk(2, 1)
    x = torch.cat([left, inner(right)], 1)
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def attend(x: Any, inner: nn.Module, out: nn.Module) -> Any:
    n, t, d = x.shape
    q, k, v = inner(x).reshape(n, t, 3, 2, d // 2).permute(2, 0, 3, 1, 4).unbind(0)
    weights = (q @ k.transpose(-2, -1) * (d // 2) ** -0.5).softmax(-1)
    return out((weights @ v).transpose(1, 2).reshape(n, t, d))


def tokens(*modules: nn.Module) -> nn.Module:
    patches = nn.Conv2d(4, 16, 4, 4), Of(lambda x: x.flatten(2).transpose(1, 2))
    return nn.Sequential(*patches, *modules, Of(lambda x: x.mean(1)), nn.Linear(16, CLASSES))


def gelu(approximate: str = "none") -> nn.Module:
    return Of(lambda x: functional.gelu(x, approximate=approximate))


def mlp(size: int, approximate: str = "none") -> nn.Module:
    return nn.Sequential(nn.Linear(size, 2 * size), gelu(approximate), nn.Linear(2 * size, size))


def turned(x: Any, inner: nn.Module) -> Any:
    return inner(x.transpose(1, 2)).transpose(1, 2)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet": lambda: nn.Sequential(conv(4, 8), nn.ReLU(), plus(conv(8, 8), nn.ReLU(), conv(8, 8)), head(8)),
    "vgg": lambda: nn.Sequential(
        conv(4, 8), nn.ReLU(), nn.MaxPool2d(2), conv(8, 8), nn.LeakyReLU(0.1), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(128, CLASSES),
    ),
    "mobilenet v2": lambda: stem(inverted(nn.ReLU6), head(8)),
    "mobilenet v3": lambda: stem(inverted(nn.Hardswish, excite(16, nn.Hardsigmoid())), head(8)),
    "efficientnet": lambda: stem(inverted(nn.SiLU, excite(16, nn.Sigmoid())), head(8)),
    "convnext": lambda: stem(
        plus(nn.Conv2d(8, 8, 7, 1, 3, groups=8), channels_last(nn.LayerNorm(8), mlp(8))), head(8)
    ),
    "shufflenet": lambda: stem(
        Of(shuffled, nn.Sequential(conv(4, 4, 1), nn.ReLU(), conv(4, 4, groups=4))), head(8)
    ),
    "parts by slices": lambda: stem(
        Of(lambda x, inner: torch.cat([x[:, :4], inner(x[:, 4:])], 1), conv(4, 4)), head(8)
    ),
    "densenet": lambda: stem(Of(lambda x, inner: torch.cat([x, inner(x)], 1), conv(8, 4)), head(12)),
    "group norm": lambda: nn.Sequential(
        nn.Conv2d(4, 8, 3, 2, 1), nn.GroupNorm(2, 8), nn.Mish(), nn.Conv2d(8, 8, 3, 1, 1),
        nn.InstanceNorm2d(8, affine=True), nn.ReLU(), head(8),
    ),
    "vit": lambda: tokens(
        plus(nn.LayerNorm(16), Of(attend, nn.Linear(16, 48), nn.Linear(16, 16))),
        plus(nn.LayerNorm(16), mlp(16)),
    ),
    "mixer": lambda: tokens(plus(nn.LayerNorm(16), Of(turned, mlp(16))), plus(mlp(16, "tanh"))),
}  # fmt: skip


def export(module: nn.Module, dynamo: bool, opset: int, image: Any = None) -> onnx.ModelProto:
    image = torch.randn(1, 4, 16, 16) if image is None else image
    if dynamo:
        program = torch.onnx.export(module, (image,), dynamo=True, opset_version=opset, verbose=False)
        return onnx.load_from_string(program.model_proto.SerializeToString())
    written = io.BytesIO()
    torch.onnx.export(module, (image,), written, dynamo=False, opset_version=opset)
    return onnx.load_from_string(written.getvalue())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NETWORKS)
def test_all_exports_cost_the_same(name: str) -> None:
    torch.manual_seed(0)
    module = NETWORKS[name]().eval()
    models = {(dynamo, opset): export(module, dynamo, opset) for dynamo, opset in EXPORTS}
    for target in TARGETS:
        found = {key: costs(model, target) for key, model in models.items()}
        expected = found[EXPORTS[0]]
        for key, report in found.items():
            assert figures(report) == figures(expected), (target, key)
            assert layers(report) == layers(expected), (target, key)


def joined(x: Any, inner: nn.Module) -> Any:
    return torch.cat([x[..., :4, :, :], inner(x[..., 4:, :, :])], -3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamo", [False, True])
def test_a_network_without_a_batch_axis_costs_the_same(dynamo: bool) -> None:
    torch.manual_seed(0)
    body = nn.SiLU(), plus(nn.Conv2d(8, 8, 3, 1, 1), nn.Hardswish()), Of(joined, nn.Conv2d(4, 4, 1))
    end = Of(lambda x: x.mean((-2, -1))), nn.ReLU(), nn.Linear(8, CLASSES), nn.Softmax(-1)
    module = nn.Sequential(nn.Conv2d(4, 8, 3, 2), *body, *end).eval()
    one, other = (export(module, dynamo, 18, torch.zeros(shape)) for shape in ((1, 4, 16, 16), (4, 16, 16)))
    for target in TARGETS:
        found, expected = costs(other, target), costs(one, target)
        assert figures(found) == figures(expected)
        assert layers(found) == layers(expected)
