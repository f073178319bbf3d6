"""Error bars in sentences."""

from __future__ import annotations

from eecompile.wording.error_bars import NOT_VALIDATED, sentences

BAR = {"low": 0.8, "high": 1.25, "nominal_coverage": 0.8, "basis": "the largest error of 4 measured networks"}


def test_width_basis_coverage_and_note_are_told() -> None:
    spread = {**BAR, "nominal_coverage": None, "basis": "combinations"}
    latency, energy, note = sentences({"latency": BAR, "energy": spread, "note": "Look out."})
    assert "×0.80 to ×1.25" in latency and "4 measured networks; nominal coverage 80 %" in latency  # noqa: RUF001
    assert "combinations; no coverage can be given" in energy
    assert note == "Look out."


def test_what_is_not_validated_is_said() -> None:
    assert sentences(None) == (NOT_VALIDATED,)
    latency, energy = sentences({"latency": BAR, "energy": None, "note": ""})
    assert latency.startswith("Interval of latency") and "energy is not validated" in energy
