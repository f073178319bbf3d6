"""The rows of the tables beside ``summary.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from eecompile.run_files.summary import QuantizationInfo, Summary
from targets.evaluation.document import layer_figures
from targets.evaluation.report import CostReport


def exit_rows(summary: Summary) -> list[Mapping[str, Any]]:
    """Return the rows of ``exits.csv``."""
    spans = {"latency_cycles": "latency_interval", "energy_pj": "energy_interval"}
    left_out = {"accuracy_quant_ci95", "speculative", *spans.values()}
    rows: list[Mapping[str, Any]] = []
    for found in summary.exits:
        row = found.model_dump(mode="json", exclude=left_out)
        for figure, interval in spans.items():
            low, high = getattr(found, interval) or (None, None)
            row |= {f"{figure}_low": low, f"{figure}_high": high}
        rows.append(row)
    return rows


def form_rows(found: QuantizationInfo) -> list[Mapping[str, Any]]:
    """Return the rows of ``quantization.csv``: one per split, exit and form of the network."""
    return [row.model_dump(mode="json") for row in found.exits]


def layer_rows(costs: CostReport) -> Sequence[Mapping[str, Any]]:
    """Return the rows of ``layers.csv``, one per placed layer."""
    rows = []
    for layer in costs.layers:
        row = layer_figures(layer)
        del row["bits"], row["declined"]
        row["origin"] = json.dumps(row.pop("origin"))
        row["cores"] = json.dumps(row.pop("cores"))
        weight, activation, output = layer.bits
        row.update(weight_bits=weight, activation_bits=activation, output_bits=output)
        rows.append(row)
    return rows
