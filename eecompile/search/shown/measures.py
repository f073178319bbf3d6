"""What a point of a front can be looked at by: objectives and other figures, with words and units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from eecompile.exits.fronts.front_problem import ACCURACY, MEMORY, WORST_LATENCY
from eecompile.search.worth.inner_front import KEYS
from eecompile.search.worth.part_costs import EDP, ENERGY, LATENCY, MACS
from eecompile.wording import quantities

TEST_ACCURACY, EXITS = "test_accuracy", "exits"


@dataclass(frozen=True)
class ShownMeasure:
    """A figure of a point.

    Attributes:
        key: What it is called in files.
        words: What it is.
        unit: Of what the page shows: of a file's number times ``factor``.
        factor: See ``unit``.
        rises: It is the better the larger.
    """

    key: str
    words: str
    unit: str
    factor: float = 1.0
    rises: bool = False

    def text(self, value: float | None) -> str:
        """Return a number of a file in words, with its unit."""
        if value is None:
            return quantities.ABSENT
        if self.unit == "%":
            return quantities.percent(value, 2)
        if self.unit == "cycles":
            return f"{quantities.cycles(value)} cycles"
        if self.unit == "exits":
            return f"{value:.0f}"
        return quantities.quantity(value * self.factor, self.unit)


MEASURES: Mapping[str, ShownMeasure] = {
    ACCURACY: ShownMeasure(KEYS[ACCURACY], "accuracy on val", "%", 100, rises=True),
    TEST_ACCURACY: ShownMeasure("accuracy", "accuracy on test", "%", 100, rises=True),
    EDP: ShownMeasure(KEYS[EDP], "expected energy-delay product", "J·cycles"),
    ENERGY: ShownMeasure(KEYS[ENERGY], "expected energy per image", "J", 1e-12),
    LATENCY: ShownMeasure(KEYS[LATENCY], "expected latency", "cycles"),
    MACS: ShownMeasure(KEYS[MACS], "expected multiply-accumulates", "MACs"),
    WORST_LATENCY: ShownMeasure(KEYS[WORST_LATENCY], "latency of the last exit", "cycles"),
    MEMORY: ShownMeasure(KEYS[MEMORY], "peak memory", "B"),
    EXITS: ShownMeasure("early_exits", "early exits", "exits"),
}
"""By name: as in ``[objectives]`` of a space, and two more. Expected: mean over the images."""
IN_SECONDS: Mapping[str, ShownMeasure] = {
    **MEASURES,
    EDP: replace(MEASURES[EDP], key="edp_js", unit="J·s"),
    LATENCY: replace(MEASURES[LATENCY], key="latency_s", unit="s"),
    WORST_LATENCY: replace(MEASURES[WORST_LATENCY], key="worst_latency_s", unit="s"),
}
"""The same, where cycles are no common unit: times in seconds."""
FIGURES: Mapping[str, ShownMeasure] = {m.key: m for m in (*MEASURES.values(), *IN_SECONDS.values())}
"""All that is kept of a point, by key, whichever unit it is then shown in."""
COSTS = (EDP, ENERGY, LATENCY, MACS)
"""Those that are a mean over the images, so that thresholds move them."""
