"""The ``server`` folder of a split as it is served: payloads of devices in, final logits out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eecompile.runtime.early_exit import NO_LABEL
from eecompile.runtime.split.feature_codec import PayloadError
from eecompile.runtime.split.later_parts import LOGITS, PAYLOAD, LaterParts
from eecompile.runtime.split.records import SERVER_FILE
from eecompile.server.contract import Answered, Array, GoesOn, History, Known, TensorSpec
from passes.errors import InputError

_FEATURES, _PART, _LABEL = "features", "part", "label"


class SplitModel:
    """The later parts of a network, one stage; which part an image needs, its payload says.

    Args:
        folder: The folder.
        threads: Of onnxruntime, for one call.

    Raises:
        InputError: No such folder, a damaged one, or one without parts.
    """

    platform = "onnx_onnxv1"
    exits = ("final",)
    history = History((0,))

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self.folder = folder
        self._parts = LaterParts(folder, threads)
        self.files: Sequence[Path] = (folder / SERVER_FILE, *dict.fromkeys(self._parts.files))
        self.largest_batch = None if self._parts.batched else 1
        self.inputs = (TensorSpec(PAYLOAD, ("UINT8",), (-1, -1)),)
        self.outputs = (
            TensorSpec(LOGITS, ("FP32",), (-1, self._parts.classes)),
            TensorSpec(_LABEL, ("INT64",), (-1,)),
        )
        self.parameters: Mapping[str, Any] = {"parts": dict(self._parts.described)}

    def admit(self, tensors: Mapping[str, Array]) -> Sequence[Known | Answered]:
        """Decode payloads, [N, bytes] uint8.

        Raises:
            InputError: One is damaged, or of a device with plans of another split.
        """
        payloads = tensors[PAYLOAD]
        if payloads.ndim != 2 or not len(payloads):
            raise InputError(f"payloads have shape {list(payloads.shape)}", "give one per image: [N, bytes]")
        try:
            opened = [self._parts.opened(payload.tobytes()) for payload in payloads]
        except PayloadError as error:
            raise InputError(str(error), "send what the `device` folder of this split encodes") from None
        return [{_FEATURES: features, _PART: np.array([number])} for number, features in opened]

    def run_stage(self, stage: int, images: Sequence[Known]) -> Sequence[Answered | GoesOn]:  # noqa: ARG002
        """Run the later parts, each for all images that need it."""
        numbers = [int(image[_PART][0]) for image in images]
        found: dict[int, Answered] = {}
        for number in dict.fromkeys(numbers):
            those = [n for n, other in enumerate(numbers) if other == number]
            logits = self._parts.run(number, np.concatenate([images[n][_FEATURES] for n in those]))
            found |= {n: _answer(logits[row : row + 1]) for row, n in enumerate(those)}
        return [found[n] for n in range(len(images))]

    def probe(self, stage: int) -> Known:  # noqa: ARG002
        """Return what an image of zeros brings along."""
        return {_FEATURES: self._parts.empty(0), _PART: np.array([0])}


def _answer(logits: Array) -> Answered:
    unknown = bool(np.isnan(logits).any())
    label = np.array([NO_LABEL if unknown else int(logits[0].argmax())])
    return Answered(0, {LOGITS: logits.copy(), _LABEL: label}, unknown)
