from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eecompile import api
from passes.errors import InputError


@pytest.mark.parametrize("settings", [{"memories.l1.size_bytes": "much"}, {1: 2}, ["a=1"], {"a": True}])
def test_what_changes_no_number(settings: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="number"):
        api.whatif(tmp_path, settings)


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b"])
def test_what_is_no_name_of_a_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no name of a file"):
        api.whatif(tmp_path, {"memories.l1.size_bytes": 1}, name=name)
