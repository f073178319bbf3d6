from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile.run_files.samples import Samples, ShownImages, SplitSamples, write_samples
from eecompile.runtime import EarlyExitSession
from eecompile.runtime.preprocess import Preprocess
from eecompile.server.contract import Answered, GoesOn, Known
from eecompile.server.run_model import IMAGES, RunModel
from passes.errors import InputError
from tests.eecompile.runtime.small_run import SEEN, images_of, write_records, write_small_run

OUTPUTS = ("logits", "label", "exit", "confidence")


def through(model: RunModel, images: Any, together: int) -> list[Answered]:
    """Return the answers of a network whose stages run for so many images at once."""
    found: dict[int, Answered] = {}
    waiting: list[tuple[int, Known]] = []
    for number, one in enumerate(model.admit({IMAGES: images})):
        if isinstance(one, Answered):
            found[number] = one
        else:
            waiting.append((number, one))
    for stage in range(len(model.exits)):
        after: list[tuple[int, Known]] = []
        for start in range(0, len(waiting), together):
            part = waiting[start : start + together]
            for (number, _), outcome in zip(
                part, model.run_stage(stage, [known for _, known in part]), strict=True
            ):
                if isinstance(outcome, GoesOn):
                    assert all(value.base is None or together == 1 for value in outcome.known.values())
                    after.append((number, outcome.known))
                else:
                    found[number] = outcome
        waiting = after
    assert not waiting
    return [found[number] for number in range(len(images))]


@pytest.mark.parametrize("together", [1, 3, 40])
def test_stage_by_stage_answers_are_those_of_the_session(small_run: Path, together: int) -> None:
    """Bit for bit, also of the image that holds NaN."""
    images = images_of(40)
    found = through(RunModel(small_run), images, together)
    expected = EarlyExitSession(small_run).run(images)
    for name in OUTPUTS:
        values = np.concatenate([one.outputs[name] for one in found])
        np.testing.assert_array_equal(values, getattr(expected, name), name)
    assert [one.exit for one in found] == expected.exit.tolist() and set(expected.exit) == {0, 1, 2}
    assert [one.without_answer for one in found] == [False] * 39 + [True]


def test_a_network_of_one_image_says_so(tmp_path: Path) -> None:
    folder, images = write_small_run(tmp_path / "one", built_in=True)
    model = RunModel(folder)
    assert model.largest_batch == 1 and RunModel(folder).history.seen == SEEN
    found = through(model, images[:5], 1)
    assert [one.exit for one in found] == EarlyExitSession(folder).run(images[:5]).exit.tolist()


def test_what_images_are_is_told(tmp_path: Path) -> None:
    folder, _ = write_small_run(tmp_path / "pixels")
    names, thresholds = ("exit_0", "exit_1", "final"), (0.8, 0.8)
    for white, kinds in ((255.0, ("UINT8", "FP32")), (1.0, ("FP32", "UINT8")), (None, ("FP32",))):
        rule = Preprocess("raw", (0.0,), (1.0,), shape=(2, 3, 3), white=white)
        write_records(folder, names, thresholds, SEEN, rule)
        assert RunModel(folder).inputs[0].datatypes == kinds
    with pytest.raises(InputError, match="images have shape"):
        RunModel(folder).admit({IMAGES: np.zeros((1, 4), np.float32)})


def test_probes_reach_every_stage(small_run: Path) -> None:
    model = RunModel(small_run)
    for stage in range(3):
        outcome = model.run_stage(stage, [model.probe(stage)] * 2)
        assert len(outcome) == 2


def test_answers_on_val_are_what_is_known_of_the_past(tmp_path: Path) -> None:
    folder, _ = write_small_run(tmp_path / "run")
    assert RunModel(folder).history.confidence is None
    confidence = np.array([[0.9, 0.1, 0.2], [0.95, 0.9, 0.3]], np.float32)
    numbers = np.zeros(3, np.int32)
    split = SplitSamples(
        numbers, confidence, np.zeros((3, 3), np.int32), np.ones((3, 3), np.float32), numbers
    )
    write_samples(folder, Samples(split, split, ShownImages.none("none")))
    found = RunModel(folder).history
    assert found.leaves.tolist() == [0, 1, 2] and found.confidence is not None
    np.testing.assert_array_equal(found.confidence, confidence.astype(np.float64))


def test_a_damaged_or_absent_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no directory"):
        RunModel(tmp_path / "none")
    folder, _ = write_small_run(tmp_path / "run")
    (folder / "stages" / "stage_1.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match="cannot be loaded"):
        RunModel(folder)
    (folder / "stages" / "stage_1.onnx").unlink()
    with pytest.raises(InputError, match=r"stage_1\.onnx is missing"):
        RunModel(folder)
    (folder / "summary.json").write_text(json.dumps({"exits": 3, "dataset": {"test": 1}}))
    with pytest.raises(InputError, match="cannot be read"):
        RunModel(folder)
