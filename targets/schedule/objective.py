"""What a schedule is judged by: expected latency, energy or their product over the exits."""

from __future__ import annotations

from collections.abc import Sequence

J_PER_PJ = 1e-12


def uniform(count: int) -> tuple[float, ...]:
    """Return equal ratios for ``count`` exits: what is assumed where no ratios are known."""
    return tuple(1.0 / count for _ in range(count))


def expected(
    objective: str, ratios: Sequence[float], latencies: Sequence[int], energies_pj: Sequence[float]
) -> float:
    """Return the mean over exits of latency (cycles), energy (pJ) or their product.

    Args:
        objective: ``latency``, ``energy`` or ``edp``.
        ratios: Share of inputs that leave at each exit.
        latencies: Cycles of each exit path.
        energies_pj: Energy of each exit path.
    """
    if objective == "latency":
        return sum(r * t for r, t in zip(ratios, latencies, strict=True))
    if objective == "energy":
        return sum(r * e for r, e in zip(ratios, energies_pj, strict=True))
    return sum(r * t * e for r, t, e in zip(ratios, latencies, energies_pj, strict=True))
