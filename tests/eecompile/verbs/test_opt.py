"""`opt` hands on what was told, and its progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eecompile import api
from eecompile.verbs.progress import silent
from passes.errors import InputError
from tests.eecompile.small_models import write_skip_net
from tests.eecompile.verbs.handed_on import handed_on, words


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        (
            {"out": "new.onnx", "save_stages": "stages", "verify_each": True, "seed": 7},
            {"out": Path("new.onnx"), "save_stages": Path("stages"), "verify_each": True, "seed": 7},
        ),
        (
            {"data": "digits", "preprocess": "unit", "target": "gap9", "progress": words},
            {"data": "digits", "preprocess": "unit", "target": "gap9", "progress": words},
        ),
    ],
)
def test_opt_hands_on_what_was_told(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    defaults = {
        "model": Path("net.onnx"), "pipeline": "canonicalize", "out": None, "data": None,
        "preprocess": "auto", "target": None, "verify_each": False, "save_stages": None, "seed": 0,
        "progress": silent,
    }  # fmt: skip
    found = handed_on(
        monkeypatch,
        "eecompile.verbs.work.optimize.optimize",
        lambda: api.opt("net.onnx", "canonicalize", **given),
    )
    assert found.arguments == defaults | expected


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_opt_takes_no_seed_that_a_generator_does_not(seed: int) -> None:
    with pytest.raises(InputError, match="`seed` must be between"):
        api.opt("missing.onnx", "canonicalize", verify_each=True, seed=seed)


def test_progress_is_told_to_who_asks_and_not_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_skip_net(tmp_path / "net.onnx")
    told: list[str] = []
    loud = api.opt(model, "canonicalize,fuse-layers", progress=told.append)
    assert [text for text in told if text in ("canonicalize", "fuse-layers")] == [
        "canonicalize",
        "fuse-layers",
    ]
    quiet = api.opt(model, "canonicalize,fuse-layers")
    assert [step.text for step in quiet.steps] == [step.text for step in loud.steps]
    assert capsys.readouterr() == ("", "")
