"""What is recorded with a compiled network: in a run directory, or in ``model.dynamic.onnx`` itself."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eecompile.runtime.json_object import damaged, read_object
from eecompile.runtime.preprocess import Preprocess
from passes.errors import InputError

EXITS_KEY = "eecompile.exits"
PREPROCESS_KEY = "eecompile.preprocess"
SEEN_KEY = "eecompile.seen"
CLASSES_KEY = "eecompile.classes"
DYNAMIC = "model.dynamic.onnx"
_DAMAGED = (KeyError, TypeError, ValueError, IndexError)
_NO_MORE = "the file is damaged or from another tool"


@dataclass(frozen=True)
class Recorded:
    """What a session has to know besides the models.

    Attributes:
        exits: Names of the exits, the final one last.
        thresholds: One per exit; ``None`` for the final one.
        seen: How many images left at each exit when the network was compiled.
        preprocess: From raw images to the model's input.
    """

    exits: tuple[str, ...]
    thresholds: tuple[float | None, ...]
    seen: tuple[int, ...]
    preprocess: Preprocess


def from_directory(folder: Path) -> tuple[Recorded, list[Path]]:
    """Return what a run directory records, and its stages.

    Raises:
        InputError: Not a run directory, or one without a network that was trained; damaged files.
    """
    summary = _document(folder / "summary.json")
    info = _document(folder / "run.json")
    if summary.get("dataset") is None or "preprocess" not in info:
        raise InputError(
            f"{folder} holds costs alone: nothing was trained there", "make the run with images (`data`)"
        )
    try:
        exits, images = summary["exits"], int(summary["dataset"]["test"])
        recorded = _recorded(exits, [round(float(e["ratio"]) * images) for e in exits], info["preprocess"])
    except _DAMAGED as error:
        raise damaged(folder, error, _NO_MORE) from None
    stages = [folder / "stages" / f"stage_{number}.onnx" for number in range(len(recorded.exits))]
    for path in (folder / DYNAMIC, *stages):
        if not path.is_file():
            raise InputError(f"{path} is missing", "give the whole folder that a run was written to")
    return recorded, stages


def from_metadata(metadata: Mapping[str, str], path: Path) -> Recorded:
    """Return what ``model.dynamic.onnx`` records in itself.

    Raises:
        InputError: It records nothing, or something damaged.
    """
    if missing := [key for key in (EXITS_KEY, PREPROCESS_KEY, SEEN_KEY) if key not in metadata]:
        raise InputError(
            f"{path} does not record {missing[0]}", f"give the {DYNAMIC} or the folder that `run` wrote"
        )
    try:
        exits, preprocess, seen = (json.loads(metadata[k]) for k in (EXITS_KEY, PREPROCESS_KEY, SEEN_KEY))
        return _recorded(exits, [int(count) for count in seen], preprocess)
    except _DAMAGED as error:
        raise damaged(path, error, _NO_MORE) from None


def class_names(metadata: Mapping[str, str], path: Path) -> tuple[str, ...]:
    """Return what classes are called, by their numbers; empty where the data named none.

    Raises:
        InputError: Something damaged.
    """
    try:
        return tuple(str(name) for name in json.loads(metadata.get(CLASSES_KEY, "[]")))
    except _DAMAGED as error:
        raise damaged(path, error, _NO_MORE) from None


def same_threshold(metadata: Mapping[str, str], recorded: Recorded, number: int, path: Path) -> None:
    """Raise InputError if a stage was written for another exit or threshold than are recorded."""
    try:
        (item,) = json.loads(metadata[EXITS_KEY])
        same = item["name"] == recorded.exits[number] and item["threshold"] == recorded.thresholds[number]
    except _DAMAGED as error:
        raise damaged(path, error, _NO_MORE) from None
    if not same:
        raise InputError(
            f"{path} is of exit '{item['name']}' with threshold {item['threshold']}, summary.json says "
            f"'{recorded.exits[number]}' with {recorded.thresholds[number]}",
            "the folder holds files of two runs, or one was edited: make the run again",
        )


def _recorded(exits: Sequence[Mapping[str, Any]], seen: Sequence[int], preprocess: object) -> Recorded:
    names = tuple(str(item["name"]) for item in exits)
    thresholds = tuple(item["threshold"] for item in exits)
    if not names or thresholds[-1] is not None:
        raise ValueError("the last exit has to be without a threshold")
    for name, threshold in zip(names[:-1], thresholds[:-1], strict=True):
        if not isinstance(threshold, int | float) or not math.isfinite(threshold):
            raise ValueError(f"exit '{name}' has the threshold {threshold}, which is no number")
    if len(seen) != len(names) or min(seen) < 0:
        raise ValueError(f"{list(seen)} images left at {len(names)} exits")
    return Recorded(names, thresholds, tuple(seen), Preprocess.from_json(preprocess))


def _document(path: Path) -> dict[str, Any]:
    try:
        return read_object(path, _NO_MORE)
    except FileNotFoundError:
        raise InputError(
            f"{path.parent} is not a run directory: no {path.name}",
            "give the folder that a run was written to",
        ) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", "check its permissions") from None
