"""Train exit heads: distillation from the final exit on frozen features.

Heads see stored features and the final exit's logits; the backbone is never touched, so its own
accuracy cannot change. Heads are trained side by side, each on one thread with random numbers of its
own: small layers gain nothing from more threads, and one head never changes another. On the CPU and one
thread every operator used here repeats bit for bit, so no switch of torch is touched.
:func:`train_heads` is the one entry: joint training will be another trainer of the same signature.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eecompile.data.dataset import evenly
from eecompile.training.features import Features, TeacherData
from passes.errors import InputError
from passes.heads.layers import JOINS, STORED_BEHIND, HeadLayer, layer_names
from passes.operator_sets import FLOAT_LINEAR

if TYPE_CHECKING:
    import torch

Float32 = NDArray[np.float32]
Array = NDArray[Any]
_SCALED = 2048

_WORKING = threading.Lock()  # trainings take all cores, and one must not see the thread count of another


@dataclass(frozen=True)
class Recipe:
    """How heads are trained. Found on CIFAR-10 validation images with a frozen ResNet8.

    Attributes:
        samples: Images seen by a head with a hidden layer, over all epochs.
        linear_share: Share of that for heads without one, which converge sooner and overfit.
        temperature: Of the distillation.
        label_share: Weight of the true labels beside the network's answers.
        rate: Peak learning rate of the one-cycle schedule.
        linear_rate: The same for heads without a hidden layer.
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


@dataclass(frozen=True)
class Head:
    """One head to train.

    Attributes:
        name: Name of its exit.
        layers: The head, from its mount on.
        mount: Shape of the mount (channels first, no batch).
        features: What it sees: at the mount, or behind a first layer that has nothing to train.
    """

    name: str
    layers: tuple[HeadLayer, ...]
    mount: tuple[int, ...]
    features: Features


def train_heads(
    heads: Sequence[Head], data: TeacherData, seed: int, recipe: Recipe, progress: Callable[[str], None]
) -> dict[str, dict[str, Float32]]:
    """Train heads; the same arguments give the same weights, bit for bit, on the same machine.

    Args:
        heads: What to train.
        data: Teacher's answers and labels.
        seed: Of initialisation, order and dropout.
        recipe: Hyperparameters.
        progress: Told now and then.

    Returns:
        By exit name: parameters as :func:`passes.exits.insert_exits.set_head_parameters` takes them, with
        batch normalization and the scaling of stored features folded in.
    """
    for head in heads:
        check_alone(head.name, head.layers)
    torch = import_torch()
    stop = threading.Event()
    jobs = [_Trainer(torch, head, data, seed, recipe, progress, stop) for head in heads]
    workers = min(len(jobs), os.cpu_count() or 1)
    with _threads_kept(torch), ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            results = list(pool.map(_Trainer.run, jobs))
        except BaseException:  # an interrupt, or one head failed: the pool would wait for the others
            stop.set()
            raise
    return {head.name: result for head, result in zip(heads, results, strict=True)}


def check_alone(name: str, layers: Sequence[HeadLayer]) -> None:
    """Refuse the head of exit ``name`` if it reads another exit: here each is trained alone."""
    if any(layer.op in JOINS for layer in layers):
        raise InputError(
            f"the head of exit '{name}' reads the exit before it, and heads are trained each for itself",
            "give it a head without `reuse`; without `data` its costs can be reported",
        )


@contextmanager
def _threads_kept(torch: Any) -> Iterator[None]:
    """Give the number of threads back that torch takes in threads to come: each worker sets it to one."""
    with _WORKING:
        threads = torch.get_num_threads()
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _stored_layers(head: Head) -> tuple[HeadLayer, ...]:
    """The layers behind what is stored: a first layer without weights was run before storing."""
    shape = tuple(head.features.copies[0].shape[1:])
    first = head.layers[0]
    run = first.op in STORED_BEHIND and shape == first.output_shape(head.mount)
    return head.layers[1:] if run and shape != head.mount else head.layers


def _build(torch: Any, layers: tuple[HeadLayer, ...], shape: tuple[int, ...], dropout: Any, seed: int) -> Any:
    """Build a head with torch's usual initial weights, drawn from a generator of its own."""
    nn, make, generator = torch.nn, torch.nn.utils.skip_init, torch.Generator().manual_seed(seed)
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
            groups = shape[0] if layer.depthwise else 1
            made = make(conv, shape[0], layer.channels, layer.kernel, layer.stride, groups=groups, bias=False)
            modules.append(made)
            nn.init.kaiming_uniform_(modules[-1].weight, a=math.sqrt(5), generator=generator)
            modules.extend([norm(layer.channels), _relu(nn, layer)])
        elif layer.op == "Flatten":
            modules.append(nn.Flatten())
        elif layer.hidden:
            modules.append(make(nn.Linear, shape[0], layer.channels, bias=False))
            nn.init.kaiming_uniform_(modules[-1].weight, a=math.sqrt(5), generator=generator)
            modules.extend([nn.BatchNorm1d(layer.channels), _relu(nn, layer)])
        else:
            modules.extend([dropout, make(nn.Linear, shape[0], layer.channels)])
            nn.init.kaiming_uniform_(modules[-1].weight, a=math.sqrt(5), generator=generator)
            reach = 1 / math.sqrt(shape[0])
            nn.init.uniform_(modules[-1].bias, -reach, reach, generator=generator)
        shape = layer.output_shape(shape)
    net = nn.Sequential(*modules)
    return net.to(memory_format=torch.channels_last) if len(layers) > 2 else net


def _relu(nn: Any, layer: HeadLayer) -> Any:
    return nn.Hardtanh(0.0, layer.ceiling) if layer.ceiling else nn.ReLU()


def _seeded_dropout(torch: Any, share: float, generator: Any) -> Any:
    """Dropout that draws from ``generator``, so that heads trained side by side repeat."""

    class SeededDropout(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not self.training:
                return x
            kept = torch.empty_like(x).bernoulli_(1 - share, generator=generator)
            return x * kept / (1 - share)

    return SeededDropout()


class _Trainer:
    """Trains one head on one thread."""

    def __init__(
        self,
        torch: Any,
        head: Head,
        data: TeacherData,
        seed: int,
        recipe: Recipe,
        progress: Callable[[str], None],
        stop: threading.Event,
    ) -> None:
        self._torch = torch
        self._head = head
        self._data = data
        self._recipe = recipe
        self._progress = progress
        self._stop = stop
        self._generator = torch.Generator().manual_seed(seed)
        layers = _stored_layers(head)
        shape = tuple(head.features.copies[0].shape[1:])
        dropout = _seeded_dropout(torch, recipe.dropout, self._generator)
        self._net = _build(torch, layers, shape, dropout, seed)
        self._has_hidden = any(layer.ends_in_relu for layer in layers)

    def run(self) -> dict[str, Float32]:
        """Train, and return the averaged weights; they are of no use once ``stop`` is set."""
        torch, recipe, features = self._torch, self._recipe, self._head.features
        torch.set_num_threads(1)  # of this thread, and of those to come: see _threads_kept
        labels = torch.from_numpy(self._data.labels)
        copies = [torch.from_numpy(c) for c in features.copies]
        logits = [torch.from_numpy(z) for z in self._data.logits]
        count, batch = len(labels), min(recipe.batch, len(labels))
        samples = recipe.samples * (1.0 if self._has_hidden else recipe.linear_share)
        epochs = int(min(120, max(3, round(samples / count))))
        optimizer, schedule = self._optimizer(epochs * (count // batch))
        average = torch.optim.swa_utils.AveragedModel(
            self._net,
            multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.average),
            use_buffers=True,
        )
        factor, offset = _input_scaling(features)
        layout = torch.channels_last if copies[0].dim() == 4 else torch.contiguous_format
        self._net.train()
        for epoch in range(epochs):
            number = epoch % len(copies)
            order = torch.randperm(count, generator=self._generator)
            for step in range(count // batch):
                if self._stop.is_set():
                    return {}
                picked = order[step * batch : (step + 1) * batch]
                x = copies[number][picked].float().mul_(factor).add_(offset).contiguous(memory_format=layout)
                loss = _loss(torch, self._net(x), logits[number][picked], labels[picked], recipe)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                average.update_parameters(self._net)
            self._progress(f"head {self._head.name}: epoch {epoch + 1} of {epochs}")
        average.eval()
        return _export(torch, average.module, self._head)

    def _optimizer(self, steps: int) -> tuple[Any, Any]:
        torch, recipe = self._torch, self._recipe
        rate = recipe.rate if self._has_hidden else recipe.linear_rate
        parameters = list(self._net.parameters())
        groups = [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": recipe.decay},
            {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=rate, total_steps=steps, pct_start=0.2, cycle_momentum=False
        )
        return optimizer, schedule


def _input_scaling(features: Features) -> tuple[float, float]:
    """Bring stored features to unit deviation with real zero kept at zero (padding must stay zero)."""
    deviation = float(evenly(features.copies[0], _SCALED).std()) or 1.0
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


def _export(torch: Any, net: Any, head: Head) -> dict[str, Float32]:
    """Fold batch normalization and input scaling into the weights, in float64."""
    factor, _ = _input_scaling(head.features)
    # The net saw stored * factor + offset = real * factor / scale; real features enter the graph.
    gain = factor / head.features.scale
    ops = [layer.op for layer in head.layers]
    names = iter([n for op, n in zip(ops, layer_names(ops), strict=True) if op in FLOAT_LINEAR])
    found: dict[str, Float32] = {}
    pending: Any = None
    for module in net:
        hidden = isinstance(module, torch.nn.Linear) and module.bias is None
        if hidden or isinstance(module, torch.nn.Conv1d | torch.nn.Conv2d):
            pending = module.weight.detach().double() * gain
            gain = 1.0
        elif isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            ratio = module.weight.detach().double() / torch.sqrt(module.running_var.double() + module.eps)
            weight = pending * ratio.reshape(-1, *[1] * (pending.dim() - 1))
            bias = module.bias.detach().double() - module.running_mean.double() * ratio
            name = next(names)
            found[f"{name}.weight"], found[f"{name}.bias"] = weight.float().numpy(), bias.float().numpy()
        elif isinstance(module, torch.nn.Linear):
            name = next(names)
            found[f"{name}.weight"] = (module.weight.detach().double() * gain).float().numpy()
            found[f"{name}.bias"] = module.bias.detach().numpy().copy()
            gain = 1.0
    if not all(math.isfinite(float(np.abs(v).max())) for v in found.values()):
        raise InputError(
            "training a head diverged", "check the preprocessing of the images; try another seed"
        )
    return found
