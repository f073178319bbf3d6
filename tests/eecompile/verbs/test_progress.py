from __future__ import annotations

import pytest

from eecompile.verbs.progress import silent


def test_silence_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    silent("a step")
    assert capsys.readouterr() == ("", "")
