"""Train exit heads: distillation from the final exit on frozen features.

Heads see stored features and the final exit's logits; the backbone is never touched, so its own
accuracy cannot change. :func:`train_heads` is the one entry: joint training will be another trainer of
the same signature.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eecompile.features import Features, TeacherData
from passes.errors import InputError
from passes.heads import HeadLayer

if TYPE_CHECKING:
    import torch

Float32 = NDArray[np.float32]
Array = NDArray[Any]


@dataclass(frozen=True)
class Recipe:
    """How heads are trained. Found on CIFAR-10 validation images with a frozen ResNet8.

    Attributes:
        samples: Images seen by a head with a convolution, over all epochs.
        linear_share: Share of that for heads without one, which converge sooner and overfit.
        temperature: Of the distillation.
        label_share: Weight of the true labels beside the network's answers.
        rate: Peak learning rate of the one-cycle schedule.
        linear_rate: The same for heads without a convolution.
        decay: Weight decay of AdamW, on weights only.
        dropout: Before the classifier.
        average: Decay per step of the weight average that is kept.
        batch: Images per step.
    """

    samples: int = 320_000
    linear_share: float = 0.25
    temperature: float = 4.0
    label_share: float = 0.1
    rate: float = 1e-2
    linear_rate: float = 4e-3
    decay: float = 0.02
    dropout: float = 0.1
    average: float = 0.99
    batch: int = 128


def import_torch() -> Any:
    """Return torch; raises InputError when the extra ``train`` is not installed."""
    try:
        import torch
    except ImportError as error:
        raise InputError(
            "training exit heads needs PyTorch, which is not installed", "pip install 'eecompile[train]'"
        ) from error
    return torch


def train_head(
    layers: tuple[HeadLayer, ...], shape: tuple[int, ...], features: Features, data: TeacherData,
    seed: int, recipe: Recipe, progress: Callable[[str], None],
) -> dict[str, Float32]:  # fmt: skip
    """Train one head.

    Args:
        layers: The head, from its mount on.
        shape: Shape of the stored features (channels first, no batch).
        features: The stored features: at the mount, or behind the head's leading max pooling.
        data: Teacher's answers and labels.
        seed: Of initialisation and order.
        recipe: Hyperparameters.
        progress: Told after each epoch.

    Returns:
        Parameters by name, as :func:`passes.insert_exits.set_head_parameters` takes them; batch
        normalization and the scaling of stored features are folded in.
    """
    torch = import_torch()
    _make_deterministic(torch, seed)
    if layers[0].op == "MaxPool" and shape == layers[0].output_shape(_mount_shape(layers[0], shape)):
        layers = layers[1:]
    net = _build(torch, layers, shape, recipe)
    has_conv = any(layer.op == "Conv" for layer in layers)
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.average), use_buffers=True
    )
    _fit(torch, net, average, features, data, seed, recipe, has_conv, progress)
    return _export(torch, average.module, features)


def _mount_shape(pool: HeadLayer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A mount shape that ``pool`` brings to ``shape``."""
    return (shape[0], *(s * k for s, k in zip(shape[1:], pool.kernel, strict=True)))


def _make_deterministic(torch: Any, seed: int) -> None:
    torch.manual_seed(seed)
    torch.set_num_threads(min(2, os.cpu_count() or 1))
    torch.use_deterministic_algorithms(True)


def _build(torch: Any, layers: tuple[HeadLayer, ...], shape: tuple[int, ...], recipe: Recipe) -> Any:
    nn = torch.nn
    modules: list[Any] = []
    for layer in layers:
        rank = len(shape) - 1
        if layer.op == "MaxPool":
            pool = nn.MaxPool2d if rank == 2 else nn.MaxPool1d
            modules.append(pool(layer.kernel, layer.kernel))
        elif layer.op == "Conv":
            pads = layer.pads(shape[1:])
            # torch pads the last axis first
            both = [p for axis in reversed(range(rank)) for p in (pads[axis], pads[axis + rank])]
            conv, norm = (nn.Conv2d, nn.BatchNorm2d) if rank == 2 else (nn.Conv1d, nn.BatchNorm1d)
            modules.append(nn.ConstantPad2d(both, 0.0) if rank == 2 else nn.ConstantPad1d(both, 0.0))
            modules.append(conv(shape[0], layer.channels, layer.kernel, layer.stride, bias=False))
            modules.extend([norm(layer.channels), nn.ReLU()])
        elif layer.op == "Flatten":
            modules.append(nn.Flatten())
        else:
            modules.extend([nn.Dropout(recipe.dropout), nn.Linear(shape[0], layer.channels)])
        shape = layer.output_shape(shape)
    return nn.Sequential(*modules)


def _fit(
    torch: Any, net: Any, average: Any, features: Features, data: TeacherData, seed: int, recipe: Recipe,
    has_conv: bool, progress: Callable[[str], None],
) -> None:  # fmt: skip
    labels = torch.from_numpy(data.labels)
    copies = [torch.from_numpy(c) for c in features.copies]
    logits = [torch.from_numpy(z) for z in data.logits]
    count = len(labels)
    batch = min(recipe.batch, count)
    samples = recipe.samples * (1.0 if has_conv else recipe.linear_share)
    epochs = int(min(120, max(3, round(samples / count))))
    rate = recipe.rate if has_conv else recipe.linear_rate
    groups = [
        {"params": [p for p in net.parameters() if p.dim() > 1], "weight_decay": recipe.decay},
        {"params": [p for p in net.parameters() if p.dim() <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate)
    steps = epochs * (count // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=rate, total_steps=steps, pct_start=0.2, cycle_momentum=False
    )
    generator = torch.Generator().manual_seed(seed)
    factor, offset = _input_scaling(features)
    net.train()
    for epoch in range(epochs):
        number = epoch % len(copies)
        order = torch.randperm(count, generator=generator)
        for step in range(count // batch):
            picked = order[step * batch : (step + 1) * batch]
            x = copies[number][picked].float().mul_(factor).add_(offset)
            loss = _loss(torch, net(x), logits[number][picked], labels[picked], recipe)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            average.update_parameters(net)
        progress(f"epoch {epoch + 1} of {epochs}")
    average.eval()


def _input_scaling(features: Features) -> tuple[float, float]:
    """Bring stored features to unit deviation with real zero kept at zero (padding must stay zero)."""
    deviation = float(features.copies[0][:2048].std()) or 1.0
    return 1 / deviation, features.offset / features.scale / deviation


def _loss(
    torch: Any, answer: torch.Tensor, teacher: torch.Tensor, labels: torch.Tensor, recipe: Recipe
) -> Any:
    """Hinton et al. 2015: cross entropy to softened answers of the teacher, and a little to the labels."""
    functional = torch.nn.functional
    t = recipe.temperature
    soft = functional.softmax(teacher / t, 1)
    distilled = -(soft * functional.log_softmax(answer / t, 1)).sum(1).mean() * t * t
    return (1 - recipe.label_share) * distilled + recipe.label_share * functional.cross_entropy(
        answer, labels
    )


def _export(torch: Any, net: Any, features: Features) -> dict[str, Float32]:
    """Fold batch normalization and input scaling into the weights, in float64."""
    factor, _ = _input_scaling(features)
    # The net saw stored * factor + offset = real * factor / scale; real features enter the graph.
    gain = factor / features.scale
    found: dict[str, Float32] = {}
    pending: Any = None
    for module in net:
        if isinstance(module, torch.nn.Conv1d | torch.nn.Conv2d):
            pending = module.weight.detach().double() * gain
            gain = 1.0
        elif isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            ratio = module.weight.detach().double() / torch.sqrt(module.running_var.double() + module.eps)
            weight = pending * ratio.reshape(-1, *[1] * (pending.dim() - 1))
            bias = module.bias.detach().double() - module.running_mean.double() * ratio
            found["conv.weight"], found["conv.bias"] = weight.float().numpy(), bias.float().numpy()
        elif isinstance(module, torch.nn.Linear):
            found["gemm.weight"] = (module.weight.detach().double() * gain).float().numpy()
            found["gemm.bias"] = module.bias.detach().numpy().copy()
            gain = 1.0
    if not all(math.isfinite(float(np.abs(v).max())) for v in found.values()):
        raise InputError(
            "training a head diverged", "check the preprocessing of the images; try another seed"
        )
    return found
