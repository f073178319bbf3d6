from __future__ import annotations

from pathlib import Path

import pytest

from eecompile.server.kinds import KINDS, ServedKind, load_served
from eecompile.server.run_model import RunModel
from passes.errors import InputError
from tests.eecompile.server.made_model import KIND, MadeModel, write_made


def test_what_a_directory_holds_says_who_serves_it(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(load_served(small_run), RunModel)
    monkeypatch.setattr("eecompile.server.kinds.KINDS", (*KINDS, KIND))
    found = load_served(write_made(tmp_path / "made"), threads=3)
    assert isinstance(found, MadeModel) and found.threads == 3


def test_nothing_that_can_be_served(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no directory .*none"):
        load_served(tmp_path / "none")
    with pytest.raises(
        InputError, match=r"holds nothing that can be served\nknown: a run directory \(summary"
    ):
        load_served(tmp_path)


def test_each_kind_names_a_class_that_is_there() -> None:
    for kind in KINDS:
        assert isinstance(kind, ServedKind)
        module, _, name = kind.place.partition(":")
        assert callable(getattr(__import__(module, fromlist=[name]), name))
