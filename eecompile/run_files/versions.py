"""Which forms of JSON documents are read: of later ones it is said, before anything in them is misread."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from passes.errors import InputError

READ = (1,)
"""Forms of ``summary.json``, ``run.json`` and of the files of searches: all there are."""


def check_version(document: Any, path: Path, read: Collection[int] = READ) -> None:
    """Refuse a document of a form that is not known; without a version it is of the first.

    Args:
        document: What the file holds.
        path: The file, for the message.
        read: Versions that are read.

    Raises:
        InputError: It is of another version.
    """
    found = document.get("schema_version", 1) if isinstance(document, Mapping) else 1
    if found not in read:
        known = " and ".join(map(str, sorted(read)))
        raise InputError(
            f"{path} has schema_version {found}, and this eecompile reads {known}",
            "it was written by a later one: update eecompile, or write it again with this one",
        )
