"""The model files of a run: written, then proved against the flat lowered model on every test image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.data.dataset import Split
from eecompile.deployment.proof import Agreement, check_agreement, measure
from eecompile.exits.answers import Answers
from eecompile.runtime.compiled_files import CLASSES_KEY, PREPROCESS_KEY, SEEN_KEY
from eecompile.runtime.early_exit import DynamicModel, StagedModel
from eecompile.runtime.preprocess import Preprocess
from eecompile.runtime.sessions import OUT_OF_MEMORY, REFUSED, Evaluator, Float32, mixture, session
from passes.model.writing import save, to_model
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of


@dataclass(frozen=True)
class Forms:
    """One network with chosen exits and thresholds in its three flat forms, static lowered, and as given."""

    exits: gs.Graph
    quant: gs.Graph
    lowered: gs.Graph
    static: gs.Graph
    given: gs.Graph


@dataclass(frozen=True)
class Delivery:
    """The early-exit files, loaded in onnxruntime."""

    dynamic: DynamicModel
    staged: StagedModel
    exits: int


def write_models(
    folder: Path,
    forms: Forms,
    thresholds: Sequence[np.float32],
    preprocess: Preprocess,
    seen: Sequence[int],
    class_names: Sequence[str] = (),
) -> Delivery:
    """Write ``model.{exits,quant,lowered,static,dynamic}.onnx`` and ``stages/``.

    Flat models and stages get a symbolic batch where they answer a batch as its images; the nested model
    decides for one image and has batch 1. It records what `EarlyExitSession` has to know, and all files how
    images become their input and what classes are called.

    Args:
        folder: Where to.
        forms: The network.
        thresholds: One per early exit.
        preprocess: From raw images to the model's input.
        seen: How many test images left at each exit.
        class_names: By class number; empty where unknown.
    """
    about = {PREPROCESS_KEY: json.dumps(preprocess.to_json())}
    if class_names:
        about[CLASSES_KEY] = json.dumps(list(class_names))

    def told(graph: gs.Graph) -> gs.Graph:
        found = copy_graph(graph)
        state_of(found).metadata |= about
        return found

    batch = "N" if Evaluator.of(lambda b: to_model(forms.lowered, b)).batch > 1 else None
    for name in ("exits", "quant", "lowered", "static"):
        save(told(getattr(forms, name)), folder / f"model.{name}.onnx", batch)
    (folder / "stages").mkdir()
    stages = [told(forms.lowered) for _ in range(len(thresholds) + 1)]
    for number, stage in enumerate(stages):
        parse_pipeline(f"split-stages{{stage={number}}}")(stage)
    batch = "N" if batch and _in_batches(stages) else None
    paths = [save(s, folder / "stages" / f"stage_{number}.onnx", batch) for number, s in enumerate(stages)]
    nested = told(forms.lowered)
    parse_pipeline("nest-exits")(nested)
    state_of(nested).metadata[SEEN_KEY] = json.dumps([int(s) for s in seen])
    dynamic = DynamicModel(save(nested, folder / "model.dynamic.onnx"))
    limits: list[float | None] = [*(float(t) for t in thresholds), None]
    return Delivery(dynamic, StagedModel(paths, limits), len(limits))


def _in_batches(stages: Sequence[gs.Graph]) -> bool:
    """Return whether the stages answer a batch as its images, and all that is handed on has it first."""
    if any(not t.shape or t.shape[0] != 1 for stage in stages for t in (*stage.inputs, *stage.outputs)):
        return False
    try:
        return not mixture([session(to_model(stage, "N")) for stage in stages])
    except REFUSED as error:
        if OUT_OF_MEMORY in str(error):
            raise
        return False


def prove(
    delivery: Delivery,
    forms: Forms,
    flat: Answers,
    thresholds: Sequence[np.float32],
    test: Split,
    preprocess: Preprocess,
) -> tuple[Agreement, dict[str, Any]]:
    """Compare both early-exit forms with the flat lowered model on every test image, and time them.

    Args:
        delivery: The files.
        forms: What they were made from.
        flat: Answers of the flat lowered model on ``test``.
        thresholds: One per early exit.
        test: Test images.
        preprocess: From stored images to the model's input.

    Returns:
        The agreement, and the measured milliseconds.
    """

    def image(index: int) -> Float32:
        return preprocess.apply(test.x[index : index + 1])

    agreement = check_agreement(flat, thresholds, delivery.dynamic, delivery.staged, image)
    timing = measure(forms.given, forms.static, delivery.dynamic, delivery.exits, image, len(test))
    return agreement, asdict(timing)
