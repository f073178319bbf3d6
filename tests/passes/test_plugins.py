from __future__ import annotations

import json
from pathlib import Path

import pytest

from passes.errors import InputError
from passes.plugins import load_plugin, plugin_table


def test_built_in_names_stand_beside_installed_ones_and_win(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "theirs-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[things]\nb = json:loads\na = json:dumps\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = plugin_table("things", {"b": "json:load", "c": "json:dump"})
    assert list(found.items()) == [("a", "json:dumps"), ("b", "json:load"), ("c", "json:dump")]


def test_what_is_there_is_loaded_and_what_is_not_is_told() -> None:
    assert load_plugin("thing", "b", "json:loads") is json.loads
    for value in ("no.such.module:X", "json:nope"):
        with pytest.raises(InputError, match=rf"thing 'b' \({value}\) cannot be loaded") as error:
            load_plugin("thing", "b", value)
        assert "reinstall" in error.value.hint
