from __future__ import annotations

from pathlib import Path

import pytest

from eecompile import api
from passes.errors import InputError


@pytest.mark.parametrize("text", ["memories.l1.size_bytes", "=3", "memories.l1.size_bytes=much", ""])
def test_what_changes_no_number(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"'{text}' changes no number"):
        api.whatif(tmp_path, [text])


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b"])
def test_what_is_no_name_of_a_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no name of a file"):
        api.whatif(tmp_path, ["memories.l1.size_bytes=1"], name=name)
