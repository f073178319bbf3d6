"""Checkpoints of a training: written whole after each epoch, and refused where they are of another."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from passes.errors import InputError
from passes.files import write_atomic

_FORM = 2
_HASH = 64  # digits


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training, in a folder that exists while it is not over.

    Attributes:
        folder: Where; ``None`` for a training that leaves none.
        identity: What it is of, by name: a text, a hash, or texts by name; only a checkpoint that says the
            same goes on.
        resume: A checkpoint that is there is gone on from; else it is of no use and goes.
        forgiving: One that is broken or of another training is none.
    """

    folder: Path | None
    identity: Mapping[str, str | Mapping[str, str]]
    resume: bool = False
    forgiving: bool = False

    @staticmethod
    def kept_in(folder: Path | None) -> Checkpoints:
        """Return those of a folder that is one training's: it goes on where it can, else from the start."""
        return Checkpoints(folder, {}, resume=True, forgiving=True)

    def save(self, name: str, state: Mapping[str, Any]) -> None:
        """Write a state, so that a killed process leaves this one or the one before, never a half."""
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot write to {self.folder}: {error.strerror}", "choose another folder"
            ) from None
        stream = io.BytesIO()
        torch.save({"form": _FORM, "identity": dict(self.identity), "state": dict(state)}, stream)
        write_atomic(self._path(name), stream.getvalue())

    def load(self, name: str) -> dict[str, Any] | None:
        """Return the state called ``name``; ``None`` if there is none or it is not asked for.

        Raises:
            InputError: The file is broken, or of another training; it says of which.
        """
        if self.folder is None or not self.resume or not self._path(name).exists():
            return None
        try:
            return self._read(self._path(name))
        except InputError:
            if self.forgiving:
                return None
            raise

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
            form, identity, state = found["form"], found["identity"], found["state"]
        except Exception as error:  # whatever torch, pickle or zip files raise of bytes that are damaged
            raise InputError(
                f"the checkpoint {path} cannot be read: {type(error).__name__}",
                f"remove {self.folder} and train from the start",
            ) from error
        if form != _FORM:
            raise InputError(f"the checkpoint {path} is of another version", "train from the start")
        for key, expected in self.identity.items():
            if identity.get(key) != expected:
                raise InputError(
                    f"the checkpoint {path} is of another {key}{_difference(identity.get(key), expected)}",
                    f"go on with what it was made with, or remove {self.folder} and train from the start",
                )
        return dict(state)

    def clear(self) -> None:
        """Remove them: the training is over, or begins anew."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def part(self, name: str) -> Checkpoints:
        """Return those of a part of the training, in a folder of their own."""
        folder = None if self.folder is None else self.folder / name
        return replace(self, folder=folder)

    def _path(self, name: str) -> Path:
        if self.folder is None:
            raise ValueError("these checkpoints are nowhere")
        return self.folder / f"{name}.pt"


NOWHERE = Checkpoints(None, {})


def _difference(there: object, here: object) -> str:
    """Return in brackets what differs; nothing of hashes, nor of what one side lacks."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        both = [name for name in here if name in there and there[name] != here[name]]
        found = [f"{name} was {there[name]}, is {here[name]}" for name in both]
    else:
        told = all(isinstance(side, str) and len(side) < _HASH for side in (there, here))
        found = [f"was {there}, is {here}"] if told else []
    return f" ({'; '.join(found)})" if found else ""
