"""Training throughput of a graph as a torch module, beside the same network written as plain torch modules.

    python -m tools.bench.bench_torch_graph [--network resnet8 ...] [--batch 128] [--seconds 20]

Both have the same weights, run the same steps (forward, cross entropy, backward, SGD with momentum) on the
same images in channels-last order, and take turns, so that other load meets both alike; the time of a step is
the median over all turns. The ratio asked for is at least .9. In bfloat16 only where autocast is no slower
than plain float: a processor that does not compute it natively is many times slower.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import onnx
import torch
from torch import nn

from eecompile.training.torch_graph import TorchGraph
from passes.model.graph import from_model
from tests.passes.net_builder import NetBuilder

ASKED = 0.9
TRIES = 3  # steps by which bfloat16 is judged
SIZE, CLASSES = 32, 10
Run = Callable[[torch.Tensor], torch.Tensor]


class _Residual(nn.Module):
    """Two branches, added; ``after`` comes behind."""

    def __init__(self, branch: nn.Module, beside: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.branch, self.beside, self.after = branch, beside, after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum, and what follows it."""
        found: torch.Tensor = self.after(self.branch(x) + self.beside(x))
        return found


def _conv(cin: int, cout: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    layer = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [layer, nn.BatchNorm2d(cout)]


def _classified(*layers: nn.Module, channels: int) -> nn.Module:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))


def resnet8() -> nn.Module:
    """Return the ResNet8 of MLPerf Tiny: a stem and three stacks of one block, 12.5 M MACs."""
    blocks = []
    for cin, cout, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2)):
        branch = nn.Sequential(*_conv(cin, cout, 3, stride), nn.ReLU(), *_conv(cout, cout))
        beside = nn.Sequential(*_conv(cin, cout, 1, stride)) if stride > 1 else nn.Identity()
        blocks.append(_Residual(branch, beside, nn.ReLU()))
    return _classified(*_conv(3, 16), nn.ReLU(), *blocks, channels=64)


def mobilenet_v2() -> nn.Module:
    """Return a MobileNetV2 for images of 32 x 32: expansion 6, 17 blocks, the first strides left out."""
    stem = [*_conv(3, 32), nn.ReLU6(), *_conv(32, 32, groups=32), nn.ReLU6(), *_conv(32, 16, 1)]
    layers: list[nn.Module] = [*stem]
    cin = 16
    for cout, count, stride in ((24, 2, 1), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1)):
        for index in range(count):
            step, wide = stride if index == 0 else 1, 6 * cin
            wider, deep = _conv(cin, wide, 1), _conv(wide, wide, 3, step, wide)
            block = nn.Sequential(*wider, nn.ReLU6(), *deep, nn.ReLU6(), *_conv(wide, cout, 1))
            same = step == 1 and cin == cout
            layers.append(_Residual(block, nn.Identity(), nn.Identity()) if same else block)
            cin = cout
    return _classified(*layers, *_conv(cin, 1280, 1), nn.ReLU6(), channels=1280)


NETWORKS = {"resnet8": resnet8, "mobilenet_v2": mobilenet_v2}


def as_onnx(network: nn.Module) -> onnx.ModelProto:
    """Return the same network with the same weights as ONNX, BatchNormalization in it."""
    net = NetBuilder((1, 3, SIZE, SIZE))

    def held(*values: torch.Tensor | None) -> list[str]:
        return [net.const(value.detach().numpy()) for value in values if value is not None]

    def add(layer: nn.Module, x: str) -> str:
        if isinstance(layer, nn.Sequential):
            for part in layer:
                x = add(part, x)
            return x
        if isinstance(layer, _Residual):
            return add(layer.after, net.op("Add", add(layer.branch, x), add(layer.beside, x)))
        if isinstance(layer, nn.Conv2d):
            pads = [int(p) for p in layer.padding] * 2
            strides = list(layer.stride)
            return net.op("Conv", x, *held(layer.weight), pads=pads, strides=strides, group=layer.groups)
        if isinstance(layer, nn.BatchNorm2d):
            numbers = held(layer.weight, layer.bias, layer.running_mean, layer.running_var)
            return net.op("BatchNormalization", x, *numbers, epsilon=layer.eps)
        if isinstance(layer, nn.Linear):
            return net.op("Gemm", x, *held(layer.weight, layer.bias), transB=1)
        if isinstance(layer, nn.ReLU6):
            return net.op("Clip", x, net.const(0), net.const(6))
        plain = {nn.ReLU: "Relu", nn.AdaptiveAvgPool2d: "GlobalAveragePool", nn.Flatten: "Flatten"}
        return x if isinstance(layer, nn.Identity) else net.op(plain[type(layer)], x)

    return net.model(add(network, "x"))


def _no_autocast() -> AbstractContextManager[object]:
    return nullcontext()


def _autocast() -> AbstractContextManager[object]:
    return torch.autocast("cpu", torch.bfloat16)


class _Trainer:
    """Steps of training of one form of the network, and what they took."""

    def __init__(self, module: nn.Module, kind: Callable[[], AbstractContextManager[object]]) -> None:
        self.module = module.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.kind = kind
        learnt = [value for value in module.parameters() if value.requires_grad]
        self.optimizer = torch.optim.SGD(learnt, lr=0.01, momentum=0.9)
        self.seconds: list[float] = []

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Train one step; return its loss."""
        start = time.perf_counter()
        self.optimizer.zero_grad()
        with self.kind():
            found = self.module(images)
            logits = found[0] if isinstance(found, tuple) else found
            loss = nn.functional.cross_entropy(logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.seconds.append(time.perf_counter() - start)
        return loss.item()

    def taken(self) -> float:
        """Return the median seconds of a step, the first left out."""
        return statistics.median(self.seconds[1:])


def main() -> None:
    """Print images per second of both forms and their ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--batch", type=int, default=128, metavar="N")
    parser.add_argument("--seconds", type=float, default=20, metavar="S", help="per row [default: 20]")
    options = parser.parse_args()
    torch.manual_seed(0)
    images = torch.randn(options.batch, 3, SIZE, SIZE).to(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (options.batch,))
    threads, version = torch.get_num_threads(), torch.__version__
    print(f"images/s while training, batch {options.batch}, {threads} threads, torch {version}")
    print(f"{'network':<14}{'numbers':<10}{'modules':>9}{'graph':>9}{'ratio':>7}   (asked: {ASKED})")
    for name in options.network:
        plain = NETWORKS[name]()
        graph = from_model(as_onnx(plain))
        slower = _slower(plain, images, labels)
        for numbers, kind in (("float", _no_autocast), ("bfloat16", _autocast)):
            if kind is _autocast and slower > 1:
                print(f"{name:<14}{numbers:<10} left out: {slower:.1f} times slower than float here")
                continue
            both = (_Trainer(copy.deepcopy(plain), kind), _Trainer(TorchGraph(graph), kind))
            _take_turns(both, images, labels, options.seconds, exact=kind is _no_autocast)
            modules, found = (options.batch / trainer.taken() for trainer in both)
            print(f"{name:<14}{numbers:<10}{modules:>9.0f}{found:>9.0f}{found / modules:>7.2f}", flush=True)


def _slower(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Return how many times longer a step takes in bfloat16."""
    taken = []
    for kind in (_no_autocast, _autocast):
        trainer = _Trainer(copy.deepcopy(network), kind)
        for _ in range(TRIES + 1):
            trainer.step(images, labels)
        taken.append(trainer.taken())
    return taken[1] / taken[0]


def _take_turns(
    both: tuple[_Trainer, _Trainer], images: torch.Tensor, labels: torch.Tensor, seconds: float, exact: bool
) -> None:
    """Train both, step by step in turn.

    Raises:
        AssertionError: They are not the same network: their first losses differ.
    """
    first = [trainer.step(images, labels) for trainer in both]
    assert np.isclose(first[0], first[1], rtol=1e-4 if exact else 3e-2), f"first losses differ: {first}"
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(both[0].seconds) <= TRIES:
        for trainer in both:
            trainer.step(images, labels)


if __name__ == "__main__":
    main()
