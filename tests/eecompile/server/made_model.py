"""A network whose images say themselves who they are, how long they stay, and what goes wrong."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from eecompile.server.contract import Answered, Array, GoesOn, History, Known, TensorSpec
from eecompile.server.kinds import ServedKind
from passes.errors import InputError

FILE = "made.json"
KIND = ServedKind("a made-up network", FILE, "tests.eecompile.server.made_model:MadeModel")
BREAKS = -1.0
"""Tag of an image whose stage raises an error."""


def write_made(folder: Path, **settings: Any) -> Path:
    """Write a directory that `MadeModel` serves; settings are those of its attributes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps(settings))
    return folder


class MadeModel:
    """Two stages; image [tag, last stage] leaves with its tag.

    Attributes:
        ran: Stage and tags of each run, in their order.
        gate: Stages wait until it is open.
        begun: A stage waits at the gate.
    """

    platform = "made"
    exits: Sequence[str] = ("early", "late")
    inputs = (TensorSpec("x", ("FP32",), (-1, 2)),)
    outputs = (TensorSpec("tag", ("FP32",), (-1,)), TensorSpec("exit", ("INT64",), (-1,)))
    parameters: Mapping[str, Any] = {}
    history = History((3, 1))
    last: ClassVar[MadeModel]

    def __init__(self, folder: Path, threads: int = 1) -> None:
        settings = json.loads((folder / FILE).read_text())
        self.folder, self.files, self.threads = folder, (folder / FILE,), threads
        self.seconds = settings.get("seconds", 0.0)
        self.largest_batch = settings.get("largest_batch")
        self.ran: list[tuple[int, list[float]]] = []
        self.gate, self.begun = threading.Event(), threading.Event()
        self.gate.set()
        MadeModel.last = self

    def admit(self, tensors: Mapping[str, Array]) -> Sequence[Known | Answered]:
        found = tensors["x"]
        if found.ndim != 2 or found.shape[1] != 2 or not len(found):
            raise InputError(f"images have shape {list(found.shape)}", "give [N, 2]")
        return [{"x": found[n : n + 1]} for n in range(len(found))]

    def run_stage(self, stage: int, images: Sequence[Known]) -> Sequence[Answered | GoesOn]:
        self.begun.set()
        self.gate.wait(10)
        time.sleep(self.seconds)
        tags = [float(image["x"][0, 0]) for image in images]
        self.ran.append((stage, tags))
        if BREAKS in tags:
            raise RuntimeError("this image breaks it")
        return [self._left(stage, image) for image in images]

    def probe(self, stage: int) -> Known:
        del stage
        return {"x": np.zeros((1, 2), np.float32)}

    def _left(self, stage: int, image: Known) -> Answered | GoesOn:
        tag, last = image["x"][0]
        if stage < last:
            return GoesOn(image, 0.5)
        return Answered(stage, {"tag": np.array([tag], np.float32), "exit": np.array([stage], np.int64)})
