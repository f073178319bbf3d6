"""What a server runs behind a device: payloads decoded, and the later part of the network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from eecompile.runtime.sessions import CANNOT_LOAD, said, session
from eecompile.runtime.split.feature_codec import FeatureCodec, PayloadError, opened
from eecompile.runtime.split.records import read_parts
from passes.errors import InputError

Array = NDArray[Any]
PAYLOAD, LOGITS = "payload", "logits"


class LaterParts:
    """The parts of a ``server`` folder, each of which reads payloads that name it.

    Args:
        folder: What `split` wrote.
        threads: Of onnxruntime for one call.

    Attributes:
        names: The 8 bytes that name each part.
        files: The models.
        batched: Whether parts take any number of images.
        classes: How many logits there are.

    Raises:
        InputError: No such folder, a damaged one, or files of two splits.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self._parts: dict[bytes, tuple[int, FeatureCodec]] = {}
        self._sessions: list[ort.InferenceSession] = []
        self._codecs: list[FeatureCodec] = []
        self.files: list[Path] = []
        loaded: dict[Path, ort.InferenceSession] = {}
        for name, codec, path in read_parts(folder):
            if path not in loaded:
                loaded[path] = _loaded(path, threads)
            if codec.name_for(hashlib.sha256(path.read_bytes()).hexdigest()) != name:
                raise InputError(
                    f"{path} is another model than {folder} was written with",
                    "the folder holds files of two splits: make the split again",
                )
            self._parts[name] = len(self._codecs), codec
            self._codecs.append(codec)
            self._sessions.append(loaded[path])
            self.files.append(path)
        if not self._codecs:
            raise InputError(f"{folder} has no part: all is on the device", "there is nothing to serve")
        self.names = tuple(self._parts)
        inputs = [one.get_inputs()[0] for one in self._sessions]
        self.batched = all(isinstance(entry.shape[0], str) for entry in inputs)
        self.classes = int(self._sessions[0].get_outputs()[0].shape[1])

    def opened(self, payload: bytes) -> tuple[int, Array]:
        """Return number of the part that a payload names, and its features [1, ...].

        Raises:
            PayloadError: It is damaged, or names a part of another split.
        """
        _, name, _ = opened(payload)
        if name not in self._parts:
            raise PayloadError(f"part {name.hex()} is not served here: the device has plans of another split")
        number, codec = self._parts[name]
        return number, codec.decode(payload)

    def run(self, number: int, features: Array) -> Array:
        """Return logits [N, classes] of features [N, ...] for a part."""
        runner = self._sessions[number]
        found: Array = runner.run(None, {runner.get_inputs()[0].name: features})[0]
        return found

    def empty(self, number: int) -> Array:
        """Return features [1, ...] of zeros, as a part reads them."""
        codec = self._codecs[number]
        return np.zeros(codec.shape, codec.dtype)

    @property
    def described(self) -> Mapping[str, Any]:
        """What each part reads, in words, by its name."""
        return {name.hex(): codec.words for name, (_, codec) in self._parts.items()}


def _loaded(path: Path, threads: int) -> ort.InferenceSession:
    try:
        return session(path, threads)
    except CANNOT_LOAD as error:
        raise InputError(f"{path} cannot be loaded: {said(error)}", "make the split again") from None
