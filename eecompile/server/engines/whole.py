"""Questions of the protocol answered by `EarlyExitSession`, for engines that decide themselves what runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eecompile.runtime.early_exit import Float32
from eecompile.server.contract import Known
from eecompile.server.inference import InferQuestion, need_all_inputs, wanted_outputs
from eecompile.server.refusal import in_one_line, malformed
from eecompile.server.run_model import IMAGES, RunModel, outputs_of
from passes.errors import InputError


def files_of(run: Path) -> dict[str, Path]:
    """Return the files of a run directory that `EarlyExitSession` opens, by their place in it.

    Raises:
        InputError: No run with a trained network, or a damaged one.
    """
    summary, info, *stages = RunModel(run).files
    listed = [summary, info, run / "model.dynamic.onnx", *stages]
    return {path.relative_to(run).as_posix(): path for path in listed}


def model_input(model: RunModel, question: InferQuestion) -> tuple[Float32, Sequence[str]]:
    """Return the images of a question as the network reads them, and the outputs it wants.

    Raises:
        NotServedError: It is not what the model takes, or it gives no such output.
    """
    names = wanted_outputs(model, question.outputs)
    need_all_inputs(model, question.tensors)
    try:
        return model.session.model_input(question.tensors[IMAGES]), names
    except InputError as error:
        raise malformed(in_one_line(error)) from None


def answer(model: RunModel, batches: Sequence[Float32]) -> list[Known]:
    """Run the images of several questions together, and return the outputs of each."""
    joined = batches[0] if len(batches) == 1 else np.concatenate(batches)
    outputs = outputs_of(model.session.answer(joined))
    ends = np.cumsum([len(batch) for batch in batches])
    return [
        {name: values[end - len(batch) : end] for name, values in outputs.items()}
        for batch, end in zip(batches, ends, strict=True)
    ]
