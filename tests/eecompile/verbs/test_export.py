"""`export` refuses what changes nothing before it looks for the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eecompile import api
from passes.errors import InputError
from tests.eecompile.verbs.handed_on import handed_on


def test_a_way_to_round_without_c_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`rounding` .* changes nothing"):
        api.export(tmp_path / "missing", rounding="target")


@pytest.mark.parametrize(
    "given", [{}, {"c": True, "ray_serve": "a"}, {"model_repository": "a", "ray_serve": "b"}]
)
def test_one_form_is_asked_for(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="told several forms" if given else "not told what to write"):
        api.export(tmp_path / "missing", **given)


def test_what_was_told_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    found = handed_on(
        monkeypatch,
        "eecompile.verbs.work.export.export_run",
        lambda: api.export("run", c=True, rounding="target", out="there"),
    )
    assert found.arguments == {"run": Path("run"), "rounding": "target", "out": Path("there")}
