"""Without PyTorch there is a message that says what to install."""

from __future__ import annotations

import sys

import pytest

from eecompile.training.torch_needed import import_torch
from passes.errors import InputError
from tests.needs import needs_torch


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="needs PyTorch") as error:
        import_torch()
    assert error.value.hint == "pip install 'eecompile[train]'"


@needs_torch
def test_what_is_there_is_given() -> None:
    assert import_torch() is sys.modules["torch"]
