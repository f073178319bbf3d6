"""Error bars around the figures of a network, and what documents say of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from targets.contract.target import Target
from targets.contract.validation import NONE, ErrorBar, kind_of
from targets.evaluation.paths import Cost


@dataclass(frozen=True)
class ErrorBars:
    """The error bars of a target; ``None`` where a quantity is not validated.

    Attributes:
        latency: Around cycles and seconds.
        energy: Around energies, at any operating point.
        command: Prints the predictions they were made from; empty where there are none.
        note: What else its validation says.
    """

    latency: ErrorBar | None = None
    energy: ErrorBar | None = None
    command: str = ""
    note: str = ""

    @classmethod
    def of(cls, target: Target) -> ErrorBars:
        """Return those of ``target`` with its options."""
        latency, energy, known = target.error_bar("latency"), target.error_bar("energy"), target.validation
        if known is None or (latency is None and energy is None):
            return cls()
        return cls(latency, energy, known.command, known.note)

    @property
    def kind(self) -> str:
        """What stands behind them in words: ``measured``, ``spread``, both, or ``none``."""
        return kind_of((self.latency, self.energy))

    def around(self, cost: Cost) -> dict[str, Any]:
        """Return the keys that go beside a cost: intervals in cycles and pJ, and what is behind them."""
        return {
            "latency_interval": None
            if self.latency is None
            else list(self.latency.around(cost.latency_cycles)),
            "energy_interval": None if self.energy is None else list(self.energy.around(cost.energy_pj)),
            "validation": self.kind,
        }

    def to_json(self) -> dict[str, Any]:
        """Return what a document says once of all its intervals."""
        if self.kind == NONE:
            return {"validation": NONE, "intervals": None}
        return {
            "validation": self.kind,
            "intervals": {
                "latency": None if self.latency is None else _bar(self.latency),
                "energy": None if self.energy is None else _bar(self.energy),
                "command": self.command,
                "note": self.note,
            },
        }


def _bar(bar: ErrorBar) -> dict[str, Any]:
    return {
        "low": bar.low,
        "high": bar.high,
        "nominal_coverage": bar.coverage,
        "basis": bar.basis,
    }
