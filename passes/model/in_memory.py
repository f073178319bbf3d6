"""Networks that lie in no file: given as bytes, as a protobuf or as a graph."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "model.onnx"
"""What such a network is called where it is written."""


@dataclass(frozen=True)
class ModelInMemory:
    """A network as it was given, serialized; in messages it is ``the model``.

    Attributes:
        data: An ONNX file.
    """

    data: bytes

    @property
    def name(self) -> str:
        """What it is called in files that tell of it."""
        return FILE_NAME

    @property
    def stem(self) -> str:
        """The name without its ending, for folders that are called after it."""
        return Path(FILE_NAME).stem

    def __str__(self) -> str:
        return "the model"

    def __repr__(self) -> str:
        return f"ModelInMemory({len(self.data)} bytes)"


Network = Path | ModelInMemory


def sha256_of_network(network: Network) -> str:
    """Return the SHA-256 of the file, or of the bytes that it would hold, in hexadecimal."""
    if isinstance(network, ModelInMemory):
        return hashlib.sha256(network.data).hexdigest()
    with network.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def recorded(network: Network) -> str:
    """Return how files tell of a network: the path as given, or the name it gets where it is written."""
    return network.name if isinstance(network, ModelInMemory) else str(network)
