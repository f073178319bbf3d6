"""Checkpoints: whole, of this training, or refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from eecompile.training.checkpoint import Checkpoints
from passes.errors import InputError

STATE = {"values": {"w": torch.arange(3.0)}, "steps": 7, "log": [{"loss": 0.5}]}


def test_a_state_comes_back(tmp_path: Path) -> None:
    Checkpoints(tmp_path / "kept", {"seed": "0"}).save("epoch", STATE)
    found = Checkpoints(tmp_path / "kept", {"seed": "0"}, resume=True).load("epoch")
    assert found is not None and found["steps"] == 7 and found["log"] == STATE["log"]
    assert found["values"]["w"].tolist() == [0, 1, 2]
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["epoch.pt"]


def test_what_is_not_asked_for_or_not_there_is_none(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, {}, resume=True)
    assert kept.load("epoch") is None
    kept.save("epoch", STATE)
    assert Checkpoints(tmp_path, {}).load("epoch") is None
    nowhere = Checkpoints(None, {}, resume=True)
    nowhere.save("epoch", STATE)
    nowhere.clear()
    assert nowhere.load("epoch") is None


def test_parts_do_not_meet(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, {}, resume=True)
    kept.part("static").save("epoch", STATE)
    assert kept.part("exits").load("epoch") is None
    assert kept.part("static").load("epoch") is not None
    assert kept.part("static").identity == kept.identity, "the folder tells them apart"
    kept.clear()
    assert not tmp_path.exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": "1"}, r"is of another seed \(was 0, is 1\)$"),
        ({"network": "b" * 64}, "is of another network$"),
        (
            {"recipe": {"rate": ".2", "epochs": "3", "new": "1"}},
            r"is of another recipe \(rate was \.1, is \.2; epochs was 2, is 3\)$",
        ),
        ({"recipe": {"rate": ".1", "epochs": "2", "new": "1"}}, "is of another recipe$"),
        ({"part": "exits"}, "is of another part$"),
    ],
)
def test_that_of_another_is_refused_with_what_differs(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    kept: dict[str, str | Mapping[str, str]] = {
        "network": "a" * 64, "recipe": {"rate": ".1", "epochs": "2", "old": "1"}, "seed": "0",
    }  # fmt: skip
    Checkpoints(tmp_path, kept).save("epoch", STATE)
    assert Checkpoints(tmp_path, kept, resume=True).load("epoch") is not None
    with pytest.raises(InputError) as error:
        Checkpoints(tmp_path, kept | changed, resume=True).load("epoch")
    assert re.search(said, error.value.message) and str(tmp_path) in (error.value.hint or "")


@pytest.mark.parametrize("kept", [b"", b"nonsense", None])
def test_a_broken_one_is_refused(tmp_path: Path, kept: bytes | None) -> None:
    checkpoints = Checkpoints(tmp_path, {}, resume=True)
    checkpoints.save("epoch", STATE)
    path = tmp_path / "epoch.pt"
    path.write_bytes(path.read_bytes()[:-200] if kept is None else kept)
    with pytest.raises(InputError, match=r"epoch\.pt cannot be read"):
        checkpoints.load("epoch")
    forgiving = replace(checkpoints, forgiving=True)
    assert forgiving.load("epoch") is None is forgiving.part("stage").load("epoch")
    forgiving.save("epoch", STATE)
    assert forgiving.load("epoch") is not None
    assert replace(forgiving, identity={"seed": "1"}).load("epoch") is None


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"form": 2, "identity": {}, "state": Path("x")}, tmp_path / "epoch.pt")
    with pytest.raises(InputError, match="cannot be read"):
        Checkpoints(tmp_path, {}, resume=True).load("epoch")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to"):
        Checkpoints(tmp_path / "file" / "kept", {}).save("epoch", STATE)
