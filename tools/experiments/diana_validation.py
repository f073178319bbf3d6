"""``targets/diana/validation.yaml``, from the predictions of the measured segment."""

from __future__ import annotations

from pathlib import Path

from tools.experiments.diana_assumptions import MEASURED_CYCLES

FILE = Path(__file__).parents[2] / "targets" / "diana" / "validation.yaml"


def validation_text(predicted: int, least: int, most: int, count: int) -> str:
    """Return the file.

    Args:
        predicted: Cycles by the combination of assumptions that is taken.
        least: The fewest of any defensible combination.
        most: The most.
        count: How many combinations there are.
    """
    low, high = least / predicted, most / predicted
    return f"""\
# Written by the command below with --write; what is assumed and why: docs/results/diana_segment.md.
command: "python -m tools.experiments.diana_segment"
networks:
  - network: "first segment of ResNet18, 224 x 224, 1x1 on the skip, rows fused"
    point: nominal
    cost_model: match
    source: "a bare cycle count of silicon; no publication is named, nor the core of the 1x1"
    fitted: true
    latency_cycles: {{measured: {MEASURED_CYCLES}, predicted: {predicted}}}
spread:
  latency:
    low: {low:.4f}
    high: {high:.4f}
    reason: "least and most of {count} defensible combinations of assumptions, over the one taken"
note: >-
  The one measurement is of rows of several layers, and has been seen: assumptions were revised in its light.
  No whole network, no schedule of whole layers and no energy of DIANA was measured; the same range is shown
  around their cycles for want of a better one, and none around energy.
"""
