"""Which class serves a directory, by what it holds."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

from eecompile.server.contract import ServedModel
from passes.errors import InputError


@dataclass(frozen=True)
class ServedKind:
    """A kind of directory.

    Attributes:
        words: What it is.
        file: A file that only such a directory holds.
        place: Module and class, called with the directory and the threads for one stage.
    """

    words: str
    file: str
    place: str


KINDS = (
    ServedKind("a run directory", "summary.json", "eecompile.server.run_model:RunModel"),
    ServedKind("the server's part of a split", "split.json", "eecompile.server.split_model:SplitModel"),
)


def load_served(folder: Path, threads: int = 1) -> ServedModel:
    """Load what a directory holds.

    Args:
        folder: The directory.
        threads: Of onnxruntime, for one stage.

    Raises:
        InputError: No such directory, nothing that can be served, or a damaged one.
    """
    for kind in KINDS:
        if (folder / kind.file).is_file():
            module, _, name = kind.place.partition(":")
            found: ServedModel = getattr(importlib.import_module(module), name)(folder, threads)
            return found
    if not folder.is_dir():
        raise InputError(f"there is no directory {folder}", "name one that `run` wrote")
    known = ", ".join(f"{kind.words} ({kind.file})" for kind in KINDS)
    raise InputError(f"{folder} holds nothing that can be served", f"known: {known}")
