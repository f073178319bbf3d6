"""What is kept in a run directory is seen by what comes of it (`test_retuning.py`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from eecompile.cache.bundle import Bundle
from eecompile.run.kept.whole import KEPT_NAME, read_kept
from passes.errors import InputError


def test_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / KEPT_NAME).write_bytes(Bundle(told={"form": 0}).to_bytes())
    with pytest.raises(InputError, match="was written by another version"):
        read_kept(tmp_path)
    (tmp_path / KEPT_NAME).write_bytes(Bundle(told={"form": 1}).to_bytes())
    assert read_kept(tmp_path).told == {"form": 1}
