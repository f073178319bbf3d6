"""The run directory: made aside, moved into place when whole."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from passes.errors import InputError
from passes.files import write_atomic

# What a run owns in its directory; other files there are the user's and stay.
OWNED = (
    "run.json", "run.log", "summary.json", "exits.csv", "layers.csv", "quantization.csv",
    "schedule.trace.json", "model.onnx", "model.exits.onnx", "model.quant.onnx", "model.lowered.onnx",
    "model.static.onnx", "model.dynamic.onnx", "stages", "samples.npz", "kept.zip", "report.html",
    "quantize.json", "described_target.yaml", "front.csv", "front.json", "front.svg",
    "overlay.json", "overlay", "model.annotated.onnx",
)  # fmt: skip


@contextmanager
def run_directory(out: Path, owned: Sequence[str] = OWNED) -> Iterator[Path]:
    """Give a fresh folder beside ``out``; on success its files replace those of an earlier run in ``out``.

    Args:
        out: The directory.
        owned: What is replaced, or goes where there is nothing new; that of a run if absent.

    Raises:
        InputError: The folder cannot be made or written to, or is a file; the disk is full.
    """
    with folders(out):
        try:
            work = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=out))
        except OSError as error:
            raise _unwritable(out, error) from None
        try:
            yield work
            if unknown := sorted(path.name for path in work.iterdir() if path.name not in owned):
                raise RuntimeError(f"{unknown[0]} is no file of a run: it would not reach {out}")
            for name in owned:
                _replace(work / name, out / name)
        except OSError as error:
            raise InputError(
                f"cannot write to {out}: {error.strerror}", "free some space or choose another folder"
            ) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)


@contextmanager
def folders(*wanted: Path) -> Iterator[None]:
    """Make folders and their parents; those that are still empty at the end, as after a failure, go again.

    Raises:
        InputError: One cannot be made, or is a file.
    """
    made: list[Path] = []
    try:
        for folder in wanted:
            _make(folder, made)
        yield
    finally:
        for folder in reversed(made):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _make(folder: Path, made: list[Path]) -> None:
    try:
        if folder.is_file():
            raise InputError(f"{folder} is a file", "give a folder")
        for part in [*reversed(folder.parents), folder]:
            if not part.exists():
                part.mkdir()
                made.append(part)
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(f"cannot write to {folder}: {error.strerror}", "choose a folder you may write to")


def _replace(new: Path, old: Path) -> None:
    if old.is_dir():
        shutil.rmtree(old)
    elif old.exists() and not new.exists():
        old.unlink()
    if new.exists():
        new.replace(old)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document, one key per line."""
    write_atomic(path, (json.dumps(document, indent=1) + "\n").encode())


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with the keys of the first one as header."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_atomic(path, text.getvalue().encode())


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
