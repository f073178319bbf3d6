"""The model files of a run: written, then proved against the flat quantized model on every test image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.data.dataset import Split
from eecompile.data.preprocess import Preprocess
from eecompile.deployment.proof import Agreement, check_agreement, measure
from eecompile.exits.answers import Answers
from eecompile.runtime.early_exit import DynamicModel, StagedModel
from eecompile.runtime.sessions import Evaluator, Float32
from passes.model.writing import save, to_model
from passes.registry import parse_pipeline
from passes.state import copy_graph


@dataclass(frozen=True)
class Forms:
    """One network with chosen exits and thresholds in its three flat forms, and static lowered."""

    exits: gs.Graph
    quant: gs.Graph
    lowered: gs.Graph
    static: gs.Graph


@dataclass(frozen=True)
class Delivery:
    """The early-exit files, loaded in onnxruntime."""

    dynamic: DynamicModel
    staged: StagedModel
    exits: int


def write_models(folder: Path, forms: Forms, thresholds: Sequence[np.float32]) -> Delivery:
    """Write ``model.{exits,quant,lowered,dynamic}.onnx`` and ``stages/``.

    Flat models get a symbolic batch, so that accuracy can be measured in batches; the early-exit
    forms decide per image and have batch 1.
    """
    batch = "N" if Evaluator.of(lambda b: to_model(forms.lowered, b)).batch > 1 else None
    for name, graph in (("exits", forms.exits), ("quant", forms.quant), ("lowered", forms.lowered)):
        save(graph, folder / f"model.{name}.onnx", batch)
    (folder / "stages").mkdir()
    paths = []
    for number in range(len(thresholds) + 1):
        stage = copy_graph(forms.lowered)
        parse_pipeline(f"split-stages{{stage={number}}}")(stage)
        paths.append(save(stage, folder / "stages" / f"stage_{number}.onnx"))
    nested = copy_graph(forms.lowered)
    parse_pipeline("nest-exits")(nested)
    dynamic = DynamicModel(save(nested, folder / "model.dynamic.onnx"))
    limits: list[float | None] = [*(float(t) for t in thresholds), None]
    return Delivery(dynamic, StagedModel(paths, limits), len(limits))


def prove(
    delivery: Delivery,
    forms: Forms,
    flat: Answers,
    thresholds: Sequence[np.float32],
    test: Split,
    preprocess: Preprocess,
) -> tuple[Agreement, dict[str, Any]]:
    """Compare both early-exit forms with the flat quantized model on every test image, and time them.

    Args:
        delivery: The files.
        forms: What they were made from.
        flat: Answers of the flat quantized model on ``test``.
        thresholds: One per early exit.
        test: Test images.
        preprocess: From stored images to the model's input.

    Returns:
        The agreement, and the measured milliseconds.
    """

    def image(index: int) -> Float32:
        return preprocess.apply(test.x[index : index + 1])

    agreement = check_agreement(flat, thresholds, delivery.dynamic, delivery.staged, image)
    timing = measure(forms.static, delivery.dynamic, delivery.exits, image, len(test))
    return agreement, asdict(timing)
