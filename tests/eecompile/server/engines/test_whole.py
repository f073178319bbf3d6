"""Questions that run together are each answered as the session answers them alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eecompile.runtime.early_exit_session import EarlyExitSession
from eecompile.server.engines.whole import answer, files_of, model_input
from eecompile.server.inference import InferQuestion
from eecompile.server.refusal import NotServedError
from eecompile.server.run_model import RunModel
from passes.errors import InputError
from tests.eecompile.runtime.small_run import images_of, write_small_run


@pytest.fixture(scope="module")
def model(small_run: Path) -> RunModel:
    return RunModel(small_run)


def test_each_gets_its_own_answers(model: RunModel, small_run: Path) -> None:
    images = images_of(12)
    parts = [images[:1], images[1:8], images[8:]]
    batches = [model_input(model, InferQuestion({"images": part}))[0] for part in parts]
    session = EarlyExitSession(small_run)
    assert len(set(session.run(images).exit.tolist())) == 3
    for part, found in zip(parts, answer(model, batches), strict=True):
        wanted = session.run(part)
        assert found.keys() == {"logits", "label", "exit", "confidence"}
        for name, values in found.items():
            np.testing.assert_allclose(values, getattr(wanted, name), rtol=1e-6)


def test_outputs_are_those_that_are_wanted(model: RunModel) -> None:
    images = images_of(2)
    assert model_input(model, InferQuestion({"images": images}, outputs=["exit"]))[1] == ["exit"]
    assert len(model_input(model, InferQuestion({"images": images}))[1]) == 4


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (InferQuestion({}), "'images' is missing"),
        (InferQuestion({"images": images_of(2)}, outputs=["score"]), "no output 'score'"),
        (InferQuestion({"images": images_of(2)[:, :1]}), "shape"),
    ],
)
def test_what_it_does_not_take_is_refused(model: RunModel, question: InferQuestion, message: str) -> None:
    with pytest.raises(NotServedError, match=message) as refused:
        model_input(model, question)
    assert refused.value.status == 400


def test_files_of_a_run_are_those_that_a_session_opens(tmp_path: Path) -> None:
    run, _ = write_small_run(tmp_path / "run")
    (run / "report.html").write_text("not needed")
    stages = [f"stages/stage_{number}.onnx" for number in range(3)]
    assert sorted(files_of(run)) == ["model.dynamic.onnx", "run.json", *stages, "summary.json"]
    (run / stages[1]).unlink()
    with pytest.raises(InputError, match=r"stage_1\.onnx is missing"):
        files_of(run)
