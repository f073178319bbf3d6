"""What a validation file says, the error bars that follow, and what is refused of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from passes.errors import InputError
from targets.contract.validation import ErrorBar, kind_of, load_validation, parse_validation


def entry(network: str = "a", **other: Any) -> dict[str, Any]:
    latency = {"measured": 100, "predicted": 110}
    return {
        "network": network, "cost_model": "m", "source": "test", "fitted": False, "latency_cycles": latency,
        **other,
    }  # fmt: skip


def text(*networks: dict[str, Any], **other: Any) -> str:
    return yaml.safe_dump({"command": "python -m test", "networks": list(networks), **other})


def bar(*networks: dict[str, Any], quantity: Any = "latency", model: str = "m", **other: Any) -> ErrorBar:
    found = parse_validation(text(*networks, **other), "v.yaml").error_bar(quantity, model)
    assert found is not None
    return found


def latency(measured: float, predicted: float, left_out: float | None = None) -> dict[str, Any]:
    found = {"measured": measured, "predicted": predicted}
    return {"latency_cycles": found if left_out is None else {**found, "left_out": left_out}}


def test_the_worst_honest_error_makes_the_interval() -> None:
    """By hand: ln(100/80) is the largest, although what was fitted is further off by its fit."""
    found = bar(
        entry("a"),
        entry("b", **latency(80, 100)),
        entry("c", fitted=True, **latency(100, 300, 95)),
    )
    assert (found.low, found.high) == pytest.approx((0.8, 1.25))
    assert found.around(1000) == pytest.approx((800, 1250))
    assert found.coverage == pytest.approx(3 / 4)
    assert "3 measured networks" in found.basis and "left out" in found.basis


@pytest.mark.parametrize("ratio", [0.5, 0.9, 1.0, 1.1, 1.4])
def test_what_was_measured_lies_in_the_interval_and_it_is_not_wide(ratio: float) -> None:
    """Half of its width is at most 1.5 times the worst error, relative to what was measured."""
    low, high = bar(entry(**latency(100, 100 * ratio))).around(100 * ratio)
    assert low <= 100 * (1 + 1e-9) and high * (1 + 1e-9) >= 100
    assert (high - low) / 2 / 100 <= 1.5 * abs(ratio - 1) + 1e-9


def test_points_of_a_network_are_one_network() -> None:
    found = bar(entry("a", point="x"), entry("a", point="y", **latency(100, 150)), entry("b"))
    assert found.coverage == pytest.approx(2 / 3)
    assert found.high == pytest.approx(1.5)


def test_models_and_quantities_stand_for_themselves() -> None:
    known = parse_validation(
        text(entry("a"), entry("a", cost_model="n", **latency(100, 200)), command="c"), "v.yaml"
    )
    first, other = known.error_bar("latency", "m"), known.error_bar("latency", "n")
    assert first is not None and other is not None
    assert (first.high, other.high) == pytest.approx((1.1, 2.0))
    assert known.error_bar("latency", "none of these") is None
    assert known.error_bar("energy", "m") is None


def test_a_spread_goes_before_what_was_fitted() -> None:
    spread = {"latency": {"low": 0.9, "high": 1.3, "reason": "defensible combinations"}}
    found = bar(entry(fitted=True), spread=spread)
    assert (found.low, found.high, found.coverage) == (0.9, 1.3, None)
    assert "defensible combinations" in found.basis and "entered the fit" in found.basis


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (text(), "networks: needs 1 or more entries"),
        (text(entry(source="")), "networks[0].source: is empty"),
        (text(entry(guess=1)), "networks[0].guess: unknown key"),
        (text(entry(fitted="perhaps")), "networks[0].fitted"),
        (text(entry(**latency(0, 1))), "networks[0].latency_cycles.measured: must be > 0"),
        (text(entry(**latency(1, -1))), "networks[0].latency_cycles.predicted: must be > 0"),
        (text(entry(**latency(1, math.inf))), "networks[0].latency_cycles.predicted: expected a finite"),
        (text(entry(latency_cycles=None)), "networks[0]: neither latency_cycles nor energy_pj"),
        (text(entry(fitted=True)), "networks[0].latency_cycles.left_out: is missing"),
        (
            text(
                entry("b"), entry(fitted=True, latency_cycles=None, energy_pj={"measured": 1, "predicted": 1})
            ),
            "networks[1].energy_pj.left_out: is missing",
        ),
        (text(entry(**latency(1, 1, 1))), "latency_cycles.left_out: nothing was fitted"),
        (text(entry(), entry()), "networks[1]: 'a' by the same model at the same point is there twice"),
        (text(entry(), spread={"latency": {"low": 1.1, "high": 2, "reason": "x"}}), "spread.latency.low"),
        (text(entry(), spread={"energy": {"low": 0.5, "high": 0.9, "reason": "x"}}), "spread.energy.high"),
        ("- 1", "expected keys and values"),
        ("command: [", "not readable as YAML"),
    ],
)
def test_a_wrong_file_is_refused_by_file_and_key(content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "validation.yaml"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        load_validation(path)
    assert str(path) in caught.value.message and says in caught.value.message


def test_no_file_is_told() -> None:
    with pytest.raises(InputError, match="no such file"):
        load_validation(Path("nowhere/validation.yaml"))


def test_what_stands_behind_bars_in_a_word() -> None:
    measured, spread = ErrorBar(0.9, 1.1, 0.5, "x"), ErrorBar(0.9, 1.1, None, "x")
    pairs = ((None, None), (measured, None), (None, spread), (spread, measured))
    assert [kind_of(bars) for bars in pairs] == ["none", "measured", "spread", "measured and spread"]
