from __future__ import annotations

from typing import Any

import pytest

from eecompile.wording.measured import sentence


@pytest.mark.parametrize(
    ("given", "static", "dynamic", "said"),
    [
        (0.30, 0.36, 0.45, "is 50 % slower than your own network"),
        (0.36, 0.30, 0.37, "is 3 % slower than your own network"),
        (0.45, 0.30, 0.31, "gains little or nothing"),
        (0.45, 0.30, 0.29, "gains little or nothing"),
        (0.45, 0.36, 0.30, ""),
    ],
)
def test_a_processor_that_gains_nothing_is_told(
    given: float, static: float, dynamic: float, said: str
) -> None:
    found = sentence({"given_ms": given, "static_ms": static, "dynamic_ms": dynamic})
    assert f"your network in float {given:g} ms, the same in integers {static:g} ms" in found
    assert f"with early exits {dynamic:g} ms." in found
    assert found.endswith(" ms.") if not said else said in found


@pytest.mark.parametrize("measured", [None, {}, {"static_ms": 1.0, "dynamic_ms": 1.0}, {"given_ms": None}])
def test_what_was_not_measured_is_not_told(measured: dict[str, Any] | None) -> None:
    assert sentence(measured) == ""
