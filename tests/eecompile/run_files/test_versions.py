"""Later forms of documents are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from eecompile.run_files.versions import check_version
from passes.errors import InputError


def test_known_versions_and_none_are_read() -> None:
    check_version({"schema_version": 1}, Path("a.json"))
    check_version({}, Path("a.json"))
    check_version([], Path("a.json"))
    check_version({"schema_version": 2}, Path("a.json"), (1, 2))


def test_others_are_refused_with_what_is_read() -> None:
    with pytest.raises(InputError, match=r"a.json has schema_version 3, and this eecompile reads 1 and 2"):
        check_version({"schema_version": 3}, Path("a.json"), (1, 2))
