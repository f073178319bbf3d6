"""What is known of a point of the front beside its figures: its layers, schedule, thresholds and training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.answers import right
from eecompile.exits.thresholds import leaves_at
from eecompile.run_files.directory import write_json
from eecompile.search.space.tables import TrainingTable
from eecompile.search.worth.integers import Float32
from eecompile.search.worth.part_costs import cost_figures
from passes.confidence import ConfidenceRule
from passes.files import write_atomic
from targets.evaluation.document import layer_figures
from targets.evaluation.layers import LayerReport
from targets.evaluation.paths import Cost
from targets.evaluation.report import CostReport
from targets.schedule.view.trace import trace_text

SCHEMA_VERSION = 1
POINTS = "points"
"""Folder of these files in that of a search."""
_STEPS = 20  # of a threshold curve, before the chosen thresholds and after them


@dataclass(frozen=True)
class ThresholdMoves:
    """Answers on val of one network, whose thresholds move.

    Attributes:
        confidence: [early exits, images].
        correct: [exits, images], the final one last.
        thresholds: Those that were chosen.
        never: Of each early exit a threshold that no image reaches.
        paths: Costs of an image that leaves at each exit.
    """

    confidence: Float32
    correct: NDArray[np.bool_]
    thresholds: Sequence[np.float32]
    never: Sequence[np.float32]
    paths: Sequence[Cost]

    @staticmethod
    def of(
        logits: Sequence[Float32],
        labels: NDArray[np.int64],
        rules: Sequence[ConfidenceRule],
        thresholds: Sequence[np.float32],
        paths: Sequence[Cost],
    ) -> ThresholdMoves:
        """Return those of a network by what its exits answer on val, the final one last."""
        early = logits[:-1]
        confidence = [
            rule.evaluate(given, early[:k]) for k, (rule, given) in enumerate(zip(rules, early, strict=True))
        ]
        return ThresholdMoves(
            np.array(confidence, np.float32).reshape(len(rules), len(labels)),
            np.array([right(given, labels) for given in logits], bool),
            thresholds,
            [rule.never for rule in rules],
            paths,
        )

    def curve(self) -> list[dict[str, Any]]:
        """Return what becomes of accuracy and costs as all thresholds move together.

        They move from none leaves early, through those that were chosen, to all leave at the first exit, each
        by the same share of its own way, counted in images that are sure enough.
        """
        if not len(self.thresholds):
            return []
        moves = np.linspace(-1, 1, 2 * _STEPS + 1)
        return [self._at([self._moved(k, move) for k in range(len(self.thresholds))]) for move in moves]

    def _moved(self, exit_number: int, move: float) -> np.float32:
        """Return a threshold, moved from that chosen (0) towards never (-1) or always (1)."""
        chosen, confidence = self.thresholds[exit_number], self.confidence[exit_number]
        if move == 0:
            return chosen
        sure = np.sort(confidence[~np.isnan(confidence)])[::-1]
        now = int((sure >= chosen).sum())
        end = 0 if move < 0 else len(sure)
        leaving = round(now + abs(move) * (end - now))
        return sure[leaving - 1] if leaving else self.never[exit_number]

    def _at(self, thresholds: Sequence[np.float32]) -> dict[str, Any]:
        where = leaves_at(self.confidence, thresholds)
        ratios = (np.bincount(where, minlength=len(self.correct)) / len(where)).tolist()
        return {
            "thresholds": [float(value) for value in thresholds],
            "ratios": ratios,
            "accuracy_val": float(self.correct[where, np.arange(len(where))].mean()),
            **cost_figures(Cost.mean(list(self.paths), ratios)),
        }


@dataclass(frozen=True)
class PointDetail:
    """What the files of a point hold.

    Attributes:
        known: Exit paths, layers, threshold curve and training.
        trace: Its schedule as Chrome trace events.
    """

    known: dict[str, Any]
    trace: dict[str, Any]


def detail_of(
    report: CostReport, moves: ThresholdMoves, training: TrainingTable, quantized: bool
) -> PointDetail:
    """Return what the files of a point hold.

    Args:
        report: Of its schedule.
        moves: Its answers on val.
        training: How it was trained.
        quantized: Whether it answers in integers.
    """
    known = {
        "paths": [{"exit": path.name, **cost_figures(path.cost)} for path in report.exits],
        "layers": [_layer(item) for item in report.layers],
        "curve": moves.curve(),
        "training": {
            "epochs": training.epochs,
            "final_epochs": training.final_epochs,
            "quantize": training.quantize if quantized else "none",
            "qat_epochs": training.qat_epochs,
            "inherit": training.inherit,
        },
    }
    return PointDetail(known, report.to_trace())


def _layer(report: LayerReport) -> dict[str, Any]:
    known = layer_figures(report)
    keys = ("name", "op_type", "core", "exit", "macs", "bits", "latency_cycles", "energy_pj", "utilization")
    return {key: known[key] for key in keys}


def point_files(trial: int, point: int) -> tuple[str, str]:
    """Return what the files of a point are called in the folder of a search: what is known; its schedule."""
    name = f"{POINTS}/trial_{trial}_{point}"
    return f"{name}.json", f"{name}.trace.json"


def write_detail(folder: Path, point: Mapping[str, Any], detail: PointDetail) -> None:
    """Write the files of a point into the folder of its search."""
    names = {"schema_version": SCHEMA_VERSION, "trial": point["trial"], "point": point["point"]}
    known, schedule = (folder / name for name in point_files(point["trial"], point["point"]))
    known.parent.mkdir(parents=True, exist_ok=True)
    write_json(known, names | detail.known)
    write_atomic(schedule, trace_text(detail.trace).encode())
