"""A network that a search has finished: it is delivered as it was measured there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.data.dataset import Dataset
from eecompile.data.images_hash import images_hash
from eecompile.data.in_memory import ImageSource
from eecompile.exits.answers import Answers
from eecompile.run_files.summary import StudyFigures, StudyPoint
from eecompile.runtime.preprocess import Preprocess
from passes.errors import InputError
from targets.evaluation.paths import Cost
from targets.evaluation.report import CostReport

_CLOSE = 1e-9


@dataclass(frozen=True)
class Finished:
    """What a search found of a network.

    Attributes:
        study: What the search is called.
        trial: Its design.
        point: Number of the point on the front.
        design: What the design is.
        figures: What ``front.json`` tells of it.
        quantized: The network in Q/DQ form; ``None``: it answers in float.
        integers: With which integers it computes, and how they were found.
        preprocess: How images become its input.
        images: Hash of the images, and of that.
    """

    study: str
    trial: int
    point: int
    design: str
    figures: StudyFigures
    quantized: gs.Graph | None
    integers: Mapping[str, Any]
    preprocess: Preprocess
    images: str

    def check_images(self, dataset: Dataset, spec: ImageSource) -> None:
        """Refuse other images than those of the search.

        Raises:
            InputError: They are others.
        """
        if images_hash(dataset, self.preprocess) != self.images:
            raise InputError(
                f"{spec} holds other images than those the search {self.study} was made with",
                "say with `data` where these are; for other images give the network itself to `run`",
            )

    def compared(
        self, val: Answers, test: Answers, thresholds: Sequence[np.float32], costs: CostReport
    ) -> StudyPoint:
        """Return what the search told of the network beside what was found of its files.

        Args:
            val: Answers of the delivered network on validation images, of the exits of the files.
            test: On test images.
            thresholds: Of the files.
            costs: Of the network of the files.
        """
        where, right = val.leaving(thresholds)
        shares = [float(n) / len(where) for n in np.bincount(where, minlength=len(costs.exits))]
        expected = Cost.mean([path.cost for path in costs.exits], shares)
        found = StudyFigures(
            accuracy_val=float(right.mean()),
            accuracy=float(test.leaving(thresholds)[1].mean()),
            edp_j_cycles=expected.edp_j_cycles,
            energy_pj=expected.energy_pj,
            latency_cycles=expected.latency_cycles,
            macs=expected.macs,
            worst_latency_cycles=float(costs.total.latency_cycles),
        )
        return StudyPoint(
            study=self.study,
            trial=self.trial,
            point=self.point,
            design=self.design,
            told=self.figures,
            found=found,
        )


def differences(point: StudyPoint) -> Iterator[str]:
    """Yield a warning for each figure that is not what the search told."""
    for name, told in point.told:
        found = getattr(point.found, name)
        if abs(found - told) > _CLOSE * abs(told):
            yield (
                f"{name} is {found:.6g} here, and the search {point.study} had {told:.6g}: files of it were "
                "changed, or another version of eecompile or onnxruntime answers otherwise"
            )
