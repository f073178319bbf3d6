"""How much of the answer of the exit before an exit takes over, found out on validation images."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from passes.exits.chain import keep_exits
from passes.exits.recycle_answers import recycle_answers

Float64 = NDArray[np.float64]
# By the positions of the exit before and of the exit: the weight of what it takes over.
Carried = Mapping[tuple[int, int], float]

_STEPS = 100
_SMALL = 1e-8
_RIDGE = 1e-6


def carried_on(
    logits: Sequence[NDArray[Any]], labels: NDArray[np.int64], alone: Collection[int] = ()
) -> Carried:
    """Return the weight of each pair of exits.

    Args:
        logits: [N, classes] of each exit, the final one last.
        labels: [N].
        alone: Positions of exits that neither take anything over nor hand anything on.
    """
    exits = [k for k in range(len(logits)) if k not in alone]
    return {
        pair: weight
        for pair in itertools.combinations(exits, 2)
        if (weight := weight_of(logits[pair[1]], logits[pair[0]], labels))
    }


def weight_of(own: NDArray[Any], before: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Return the w >= 0 at which softmax(a (own + w before)) is likeliest for the a that suits it best.

    Both factors are fitted, since logits are too sure of themselves on images they were not trained on: w
    alone would be judged by how it changes that. The negative log-likelihood is convex in a and a w; Newton's
    method halves steps that do not lower it. Images with logits that are not finite are left out; 0 where
    the exit does best without.

    Args:
        own: Logits [N, classes] of the exit.
        before: Those of the one before.
        labels: [N].
    """
    known = np.isfinite(own).all(axis=1) & np.isfinite(before).all(axis=1)
    if not known.any():
        return 0.0
    both = np.stack([own[known], before[known]]).astype(np.float64)
    both -= both.mean(axis=2, keepdims=True)
    scale = both.std(axis=(1, 2)) + _SMALL
    both /= scale[:, None, None]
    factors = _likeliest(both, labels[known])
    weight = factors[1] / scale[1] / max(factors[0] / scale[0], _SMALL)
    return float(np.float32(weight)) if min(factors) > 0 else 0.0


def _likeliest(both: Float64, labels: NDArray[np.int64]) -> Float64:
    """Return the two factors of logits [2, N, classes] that make ``labels`` likeliest."""
    factors = np.array([1.0, 0.0])
    loss, slope, bend = _loss(both, labels, factors)
    for _ in range(_STEPS):
        step = np.linalg.solve(bend, slope)
        length = 1.0
        while length > _SMALL:
            trial = factors - length * step
            found = _loss(both, labels, trial)
            if found[0] <= loss:
                break
            length /= 2
        else:
            break
        done = np.abs(length * step).max() < _SMALL
        factors, (loss, slope, bend) = trial, found
        if done:
            break
    return factors


def _loss(both: Float64, labels: NDArray[np.int64], factors: Float64) -> tuple[float, Float64, Float64]:
    """Return the negative log-likelihood per image with a small ridge, its slope [2] and bend [2, 2]."""
    values = np.tensordot(factors, both, 1)
    values -= values.max(axis=1, keepdims=True)
    powers = np.exp(values)
    sums = powers.sum(axis=1, keepdims=True)
    shares = powers / sums
    images = np.arange(len(labels))
    mean = (shares * both).sum(axis=2)  # [2, N]
    loss = float((np.log(sums[:, 0]) - values[images, labels]).mean()) + _RIDGE / 2 * float(factors @ factors)
    slope = (mean - both[:, images, labels]).mean(axis=1) + _RIDGE * factors
    second = np.einsum("nc,inc,jnc->ij", shares, both, both) / len(labels)
    return loss, slope, second - mean @ mean.T / len(labels) + _RIDGE * np.eye(2)


def network_with(graph: gs.Graph, names: Sequence[str], weights: Sequence[float]) -> gs.Graph:
    """Return a copy of ``graph`` with the early exits ``names``; exits take over answers by ``weights``."""
    network = keep_exits(graph, names)
    if any(weights):
        recycle_answers(network, weights)
    return network
