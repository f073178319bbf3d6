"""Confidence rules that lack parameters, fitted to what each exit of a network answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.answers import Answers
from eecompile.exits.confidence_fits import fitted
from passes.confidence import ConfidenceRule, rule_with

Float32 = NDArray[np.float32]
FittedRules = Mapping[ConfidenceRule, tuple[ConfidenceRule, ...]]
"""From a rule as it is asked for to those of all early exits, with parameters."""


def fit_rules(
    rules: Sequence[ConfidenceRule],
    val: Sequence[Float32],
    labels: NDArray[np.int64],
    train: Callable[[], tuple[Sequence[Float32], NDArray[np.int64]]],
) -> FittedRules:
    """Return those of the rules that lack parameters, fitted as `run` fits them.

    Args:
        rules: All that are tried at each exit.
        val: What each early exit answers on val, [images, classes].
        labels: Of these images.
        train: Gives the same of training images, and their labels; called if they are needed.
    """

    def learnt() -> Answers:
        logits, told = train()
        return Answers(tuple(logits), told, ())

    seen = Answers(tuple(val), labels, ())
    return {rule: fitted([rule] * len(val), seen, learnt) for rule in dict.fromkeys(rules) if rule.unfitted}


def rules_to_bytes(found: FittedRules) -> bytes:
    """Return fitted rules as the cache keeps them."""
    table = [[rule.parameters for rule in fits] for fits in found.values()]
    return json.dumps(table).encode()


def rules_of_bytes(data: bytes, rules: Sequence[ConfidenceRule]) -> FittedRules:
    """Return the rules that were kept, fitted to these."""
    asked = [rule for rule in dict.fromkeys(rules) if rule.unfitted]
    table = zip(asked, json.loads(data), strict=True)
    return {rule: tuple(rule_with(rule.name, told) for told in fits) for rule, fits in table}
