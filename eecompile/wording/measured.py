"""What was measured on the machine that compiled, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NETWORKS = {
    "given": "your network in float",
    "static": "the same in integers",
    "dynamic": "with early exits",
}
"""Networks that are timed, by their names in ``run.json``."""
_FASTER = 0.95  # less is within what times of one machine differ by


def sentence(measured: Mapping[str, Any] | None) -> str:
    """Return what a processor gains by leaving early; empty where that was not measured."""
    times: dict[str, Any] = {name: (measured or {}).get(f"{name}_ms") for name in NETWORKS}
    if any(not isinstance(value, int | float) or value <= 0 for value in times.values()):
        return ""
    given, static, dynamic = found = [float(times[name]) for name in NETWORKS]
    told = ", ".join(f"{name} {ms:.3g} ms" for name, ms in zip(NETWORKS.values(), found, strict=True))
    start = f"On the processor of this machine (onnxruntime, one thread) an image takes: {told}."
    if dynamic <= _FASTER * min(given, static):
        return start
    if dynamic > given:
        return (
            f"{start} Here the early-exit file is {100 * (dynamic / given - 1):.0f} % slower than your own "
            "network: it is for the accelerator, not for this processor."
        )
    return f"{start} Here leaving early gains little or nothing: the savings are those of the accelerator."
