from __future__ import annotations

from pathlib import Path

import pytest

from eecompile.server.contract import History, ServedModel
from eecompile.server.run_model import RunModel
from tests.eecompile.server.made_model import MadeModel, write_made


@pytest.mark.parametrize("kind", ["run", "made"])
def test_all_that_is_asked_of_a_network_is_there(kind: str, small_run: Path, tmp_path: Path) -> None:
    model: ServedModel = RunModel(small_run) if kind == "run" else MadeModel(write_made(tmp_path))
    asked = {name for name in vars(ServedModel) if not name.startswith("_")}
    assert asked == {
        "folder", "files", "platform", "inputs", "outputs", "exits", "largest_batch", "parameters", "history",
        "admit", "run_stage", "probe",
    }  # fmt: skip
    assert all(hasattr(model, name) for name in asked)
    assert len(model.history.seen) == len(model.exits) and all(path.is_file() for path in model.files)
    assert all(spec.shape[0] == -1 for spec in (*model.inputs, *model.outputs))


def test_a_network_without_a_past_says_so() -> None:
    assert History((0, 0)).confidence is None and len(History((0, 0)).leaves) == 0
