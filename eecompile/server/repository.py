"""The models of a server: which are in service, and whether their directories still hold them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eecompile.server.contract import ServedModel
from eecompile.server.engine import StageEngine
from eecompile.server.jobs import ModelSlot
from eecompile.server.kinds import load_served
from eecompile.server.refusal import NotServedError
from passes.errors import InputError, did_you_mean

VERSION = "1"
Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass
class ServedEntry:
    """A model.

    Attributes:
        name: As clients call it: the name of its directory.
        folder: Its directory.
        priority: Of its requests.
        model: As it was loaded last; ``None`` while it is unloaded.
        slot: Where its images run.
        stamp: What its files were when they were loaded.
    """

    name: str
    folder: Path
    priority: float = 1.0
    model: ServedModel | None = None
    slot: ModelSlot | None = None
    stamp: Stamp = ()

    def in_service(self) -> tuple[ServedModel, ModelSlot]:
        """Return what runs; raises NotServedError while it is unloaded."""
        if self.model is None or self.slot is None:
            raise NotServedError(503, "unloaded", f"model '{self.name}' is unloaded; load it first")
        return self.model, self.slot

    def changed(self) -> str:
        """Return how the directory differs from what runs; empty if it does not."""
        if self.model is None:
            return ""
        if not self.folder.is_dir():
            return f"{self.folder} is gone; what was loaded from it still answers"
        if _stamp(self.model.files) != self.stamp:
            return f"{self.folder} holds other files than were loaded; load the model again to serve them"
        return ""


class Repository:
    """Models by their names.

    Args:
        engine: Runs them.
        threads: Of onnxruntime, for one stage.
        follow: Is called with the slot of each model that comes into service.
    """

    def __init__(self, engine: StageEngine, threads: int, follow: Callable[[ModelSlot], None]) -> None:
        self.entries: dict[str, ServedEntry] = {}
        self._engine, self._threads, self._follow = engine, threads, follow
        self._lock = threading.Lock()  # one model is loaded at a time

    def add(self, folder: Path, priority: float) -> None:
        """Load a directory and serve it by its name.

        Raises:
            InputError: It cannot be served, or there is another of its name.
        """
        name = folder.resolve().name
        if name in self.entries:
            raise InputError(
                f"{self.entries[name].folder} and {folder} would both be model '{name}'",
                "give the directories different names",
            )
        entry = ServedEntry(name, folder, priority)
        self._load(entry)
        self.entries[name] = entry

    def get(self, name: str, version: str = "") -> ServedEntry:
        """Return a model; raises NotServedError where there is none of that name and version."""
        if name not in self.entries:
            raise NotServedError(
                404, "unknown model", f"there is no model '{name}': {did_you_mean(name, self.entries)}"
            )
        if version not in ("", VERSION):
            raise NotServedError(
                404, "unknown model", f"model '{name}' has no version '{version}', only '{VERSION}'"
            )
        return self.entries[name]

    def load(self, name: str) -> None:
        """Load a model again; what runs already ends with what was loaded before.

        Raises:
            NotServedError: No such model, or its directory cannot be loaded: what was loaded before goes on.
        """
        entry = self.get(name)
        try:
            self._load(entry)
        except InputError as error:
            raise NotServedError(400, "load", f"model '{name}' was not loaded: {error.message}") from None

    def unload(self, name: str) -> None:
        """Take a model out of service once what is in is answered; raises NotServedError if there is none."""
        entry = self.get(name)
        with self._lock:
            old, entry.slot, entry.model = entry.slot, None, None
        if old is not None:
            self._engine.retire(old)

    def index(self) -> Sequence[dict[str, Any]]:
        """Return the state of each model, as the protocol has it."""
        return [
            {
                "name": entry.name,
                "version": VERSION,
                "state": "UNAVAILABLE" if entry.model is None else "READY",
                "reason": "unloaded" if entry.model is None else entry.changed(),
            }
            for entry in self.entries.values()
        ]

    def _load(self, entry: ServedEntry) -> None:
        with self._lock:
            model = load_served(entry.folder, self._threads)
            stamp = _stamp(model.files)
            slot = self._engine.put_into_service(entry.name, model)
            self._follow(slot)
            old, entry.slot = entry.slot, slot
            entry.model, entry.stamp = model, stamp
        if old is not None:
            self._engine.retire(old)


def _stamp(files: Sequence[Path]) -> Stamp:
    return tuple(_stamp_of(path) for path in files)


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
