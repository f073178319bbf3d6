"""Activations and arithmetic, element by element."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import torch
from torch.nn import functional

from eecompile.training.operators.step import (
    Builder,
    TorchStep,
    axes_of,
    broadcasts_images,
    constant,
    given,
    present,
    shape_of,
    text,
)

Tensor = torch.Tensor


def _plain(function: Callable[..., Any], inputs: int = 1) -> Builder:
    """Return the builder of an operator without attributes."""
    return lambda node: TorchStep(function, tuple(range(inputs)), mixes=broadcasts_images(node))


def _with(function: Callable[..., Any], **defaults: float) -> Builder:
    """Return the builder of an operator whose attributes are arguments of a function, in their order."""

    def build(node: gs.Node) -> TorchStep:
        values = [float(node.attrs.get(name, value)) for name, value in defaults.items()]
        return TorchStep(lambda x: function(x, *values))

    return build


def _folded(function: Callable[[Tensor, Tensor], Tensor]) -> Builder:
    """Return the builder of an operator of any number of inputs."""

    def build(node: gs.Node) -> TorchStep:
        return TorchStep(
            lambda *values: functools.reduce(function, values),
            tuple(range(len(node.inputs))),
            mixes=broadcasts_images(node),
        )

    return build


def _clipped(low: float | None, high: float | None, real: bool) -> Callable[[Tensor], Tensor]:
    """Return the function that clips, with the gradient of what is within.

    Of a grid its ends are within. Of ``real`` numbers they are not, as for Relu: the function for that takes
    a sixth of the time.
    """
    if low is None and high is None:
        return lambda x: x
    if real and (low, high) == (0, None):
        return functional.relu
    if real and low is not None and high is not None and low < high:
        return lambda x: functional.hardtanh(x, low, high)
    return lambda x: x.clamp(low, high)


def clip(node: gs.Node) -> TorchStep:
    """Between two numbers, each of which may be missing or be computed."""
    bounds = [given(node, 1), given(node, 2)]
    inputs = [node.inputs[index] for index in (1, 2) if given(node, index)]
    if all(isinstance(tensor, gs.Constant) for tensor in inputs):
        low, high = (
            None if value is None else value.reshape(-1)[0].item()
            for value in (constant(node, 1), constant(node, 2))
        )
        return TorchStep(_clipped(low, high, np.dtype(node.inputs[0].dtype).kind == "f"))

    def run(x: Tensor, *limits: Tensor) -> Tensor:
        rest = list(limits)
        if bounds[0]:
            x = torch.maximum(x, rest.pop(0))
        return torch.minimum(x, rest.pop(0)) if bounds[1] else x

    return TorchStep(run, present(node, 3))


def gelu(node: gs.Node) -> TorchStep:
    """Gaussian error linear unit, exact or by tanh."""
    approximate = text(node.attrs.get("approximate", "none"))
    return TorchStep(lambda x: functional.gelu(x, approximate=approximate))


def leaky_relu(node: gs.Node) -> TorchStep:
    """With a slope below zero."""
    slope = float(node.attrs.get("alpha", 0.01))
    return TorchStep(lambda x: functional.leaky_relu(x, slope))


def softmax(node: gs.Node) -> TorchStep:
    """Over one axis."""
    (axis,) = axes_of([int(node.attrs.get("axis", -1))], len(shape_of(node.inputs[0])))
    function = functional.softmax if node.op == "Softmax" else functional.log_softmax
    return TorchStep(lambda x: function(x, axis), mixes=axis == 0)


def modulo(node: gs.Node) -> TorchStep:
    """Remainder with the sign of the divisor, or with that of the dividend."""
    function = torch.fmod if int(node.attrs.get("fmod", 0)) else torch.remainder
    return TorchStep(function, (0, 1), mixes=broadcasts_images(node))


def divide(node: gs.Node) -> TorchStep:
    """Quotient; of integers it is cut off towards zero."""
    whole = np.dtype(node.outputs[0].dtype).kind in "iu"
    rounding = "trunc" if whole else None
    return TorchStep(
        lambda a, b: torch.div(a, b, rounding_mode=rounding), (0, 1), mixes=broadcasts_images(node)
    )


def _selu(x: Tensor, alpha: float, gamma: float) -> Tensor:
    return gamma * functional.elu(x, alpha)


def _hard_sigmoid(x: Tensor, alpha: float, beta: float) -> Tensor:
    return (alpha * x + beta).clamp(0, 1)


def _thresholded(x: Tensor, alpha: float) -> Tensor:
    return torch.where(x > alpha, x, torch.zeros_like(x))


def _shrink(x: Tensor, bias: float, limit: float) -> Tensor:
    return torch.where(x < -limit, x + bias, torch.where(x > limit, x - bias, torch.zeros_like(x)))


def mean(node: gs.Node) -> TorchStep:
    """Of any number of tensors."""
    total, count = _folded(torch.add)(node), len(node.inputs)
    return replace(total, run=lambda *values: total.run(*values) / count)


BUILDERS: dict[str, Builder] = {
    "Relu": _plain(functional.relu),
    "Clip": clip,
    "LeakyRelu": leaky_relu,
    "PRelu": _plain(lambda x, slope: torch.where(x < 0, slope * x, x), 2),
    "Elu": _with(functional.elu, alpha=1.0),
    "Celu": _with(functional.celu, alpha=1.0),
    "Selu": _with(_selu, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    "Gelu": gelu,
    "HardSigmoid": _with(_hard_sigmoid, alpha=0.2, beta=0.5),
    "HardSwish": _plain(functional.hardswish),
    "Mish": _plain(functional.mish),
    "Sigmoid": _plain(torch.sigmoid),
    "Softplus": _plain(functional.softplus),
    "Softsign": _plain(functional.softsign),
    "Tanh": _plain(torch.tanh),
    "ThresholdedRelu": _with(_thresholded, alpha=1.0),
    "Shrink": _with(_shrink, bias=0.0, lambd=0.5),
    "Erf": _plain(torch.erf),
    "Softmax": softmax,
    "LogSoftmax": softmax,
    "Add": _plain(torch.add, 2),
    "Sub": _plain(torch.sub, 2),
    "Mul": _plain(torch.mul, 2),
    "Div": divide,
    "Pow": _plain(torch.pow, 2),
    "Mod": modulo,
    "Max": _folded(torch.maximum),
    "Min": _folded(torch.minimum),
    "Sum": _folded(torch.add),
    "Mean": mean,
    "Sqrt": _plain(torch.sqrt),
    "Reciprocal": _plain(torch.reciprocal),
    "Exp": _plain(torch.exp),
    "Log": _plain(torch.log),
    "Neg": _plain(torch.neg),
    "Abs": _plain(torch.abs),
    "Sign": _plain(torch.sign),
    "Floor": _plain(torch.floor),
    "Ceil": _plain(torch.ceil),
    "Round": _plain(torch.round),
    "Sin": _plain(torch.sin),
    "Cos": _plain(torch.cos),
    "Where": _plain(torch.where, 3),
    "Equal": _plain(torch.eq, 2),
    "Greater": _plain(torch.gt, 2),
    "GreaterOrEqual": _plain(torch.ge, 2),
    "Less": _plain(torch.lt, 2),
    "LessOrEqual": _plain(torch.le, 2),
    "And": _plain(torch.logical_and, 2),
    "Or": _plain(torch.logical_or, 2),
    "Not": _plain(torch.logical_not),
}
