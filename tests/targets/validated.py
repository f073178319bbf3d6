"""A validation made up for tests: latency within 25 %, energy within 50 %, each of two networks."""

from __future__ import annotations

import pytest

from targets.contract.registry import load_target
from targets.contract.target import Target
from targets.contract.validation import Validation, parse_validation

LATENCY, ENERGY, COVERAGE = 1.25, 1.5, 2 / 3
_ENTRY = """
  - network: {network}
    cost_model: {model}
    source: made up
    fitted: false
    latency_cycles: {{measured: 100, predicted: {cycles}}}
    energy_pj: {{measured: 100, predicted: {pj}}}"""


def made_validation(model: str) -> Validation:
    """Return the validation of a cost model by two networks."""
    entries = (("a", 125, 90), ("b", 99, 150))
    text = "".join(_ENTRY.format(network=n, model=model, cycles=c, pj=e) for n, c, e in entries)
    return parse_validation(f"command: python -m made_up\nnote: Made up.\nnetworks:{text}\n", "made up")


def validate(monkeypatch: pytest.MonkeyPatch, name: str, validation: Validation | None = None) -> Target:
    """Return a target by its name, its default model validated as is made up here, or as is given."""
    target = load_target(name)
    found = validation or made_validation(target.cost_model)
    monkeypatch.setattr(type(target), "validation", found)
    return target


def unvalidate(monkeypatch: pytest.MonkeyPatch, name: str) -> Target:
    """Return a target by its name, without the validation that lies beside it."""
    target = load_target(name)
    monkeypatch.setattr(type(target), "validation", None)
    return target
