"""What the server asks of a network: that is all it knows of one.

A network is a chain of stages; behind each an image leaves with an answer, or goes on with what the next
stage needs. The server decides whose stage runs next and with whom; a network only runs it. To have another
kind of directory served, write a class that fits `ServedModel` and put it into `eecompile.server.kinds`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Known = Mapping[str, Array]
"""What one image brings along to a stage: arrays [1, …] by names that only its network reads."""


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a network as clients see it.

    Attributes:
        name: Its name in requests and answers.
        datatypes: Of the protocol (``FP32``, …) that are taken; the first one is told.
        shape: Its sizes; -1 first, for any number of images.
    """

    name: str
    datatypes: tuple[str, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Answered:
    """An image left.

    Attributes:
        exit: Number of the exit, of `ServedModel.exits`.
        outputs: Arrays [1, …] by name, all of `ServedModel.outputs`.
        without_answer: It held NaN, or its logits did.
    """

    exit: int
    outputs: Known
    without_answer: bool = False


@dataclass(frozen=True)
class GoesOn:
    """An image stays.

    Attributes:
        known: What it brings along to the next stage; nothing of it is a view of a larger array.
        confidence: At the exit that it passed; NaN if it has none.
    """

    known: Known
    confidence: float


@dataclass(frozen=True)
class History:
    """Where images left when the network was compiled, for policies and for drift.

    Attributes:
        seen: Images that left at each exit; all zero where nobody counted.
        confidence: [early exits, N] of val images; ``None`` where nobody kept them.
        leaves: [N] number of the exit at which each left.
    """

    seen: tuple[int, ...]
    confidence: NDArray[np.float64] | None = None
    leaves: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


class ServedModel(Protocol):
    """A network that is served. One thread alone calls `run_stage`; `admit` may be called beside it."""

    @property
    def folder(self) -> Path:
        """Where it came from."""

    @property
    def files(self) -> Sequence[Path]:
        """What it was loaded from: when one of them changes, the directory holds another network."""

    @property
    def platform(self) -> str:
        """What it is, as the metadata of the protocol tell it."""

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        """What a request has to bring, all of it."""

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        """What an answer holds."""

    @property
    def exits(self) -> Sequence[str]:
        """Names of the exits, one behind each stage."""

    @property
    def largest_batch(self) -> int | None:
        """Images that a stage can run at once; ``None``: any number."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """More to tell of it in its metadata: what JSON can hold."""

    @property
    def history(self) -> History:
        """Where images left when it was compiled."""

    def admit(self, tensors: Mapping[str, Array]) -> Sequence[Known | Answered]:
        """Return what each image of a request brings along to the first stage.

        Args:
            tensors: All of `inputs` by name, of one of their datatypes.

        Raises:
            InputError: Shapes or values that it cannot take; the client is told.
        """

    def run_stage(self, stage: int, images: Sequence[Known]) -> Sequence[Answered | GoesOn]:
        """Run a stage for some images at once, and return what became of each; behind the last all leave."""

    def probe(self, stage: int) -> Known:
        """Return what an image brings along to a stage, whatever it shows: time is measured with it."""
