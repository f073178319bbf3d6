"""onnxruntime sessions: batched evaluation, and early exit one image at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as raised

Float32 = NDArray[np.float32]
Array = NDArray[Any]
BATCH = 128

REFUSED = (raised.Fail, raised.InvalidArgument, raised.InvalidGraph, raised.RuntimeException)
"""What onnxruntime raises for shapes that do not fit, and for much else: they share no base class, and which
it is depends on its version (a Squeeze that does not fit is a RuntimeException up to 1.20, a Fail later)."""
NO_KERNEL = (raised.NotImplemented,)
CANNOT_RUN = (*REFUSED, *NO_KERNEL)
CANNOT_LOAD = (*CANNOT_RUN, raised.InvalidProtobuf, raised.NoSuchFile)
OUT_OF_MEMORY = "Failed to allocate memory"  # one of REFUSED, too
_MIXED = 1e-3
"""Batches are not taken where an output differs by more than this share of its largest value: sums in another
order differ in last digits only."""


class Serializable(Protocol):
    """An ``onnx.ModelProto``; the package onnx is not needed where models come from files."""

    def SerializeToString(self) -> bytes:  # noqa: N802, the name is protobuf's
        """Return the bytes of a file."""


def session(
    model: Serializable | bytes | str | Path, threads: int = 1, *, optimize: bool = True
) -> ort.InferenceSession:
    """Return a CPU session with a fixed number of threads that do not spin.

    Without ``optimize`` each operator is computed as it is written.
    """
    options = ort.SessionOptions()
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised; it need not be printed, too
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if isinstance(model, Path):
        model = str(model)
    source = model if isinstance(model, bytes | str) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def batches(total: int, size: int = BATCH) -> Iterator[slice]:
    """Yield slices that cover ``range(total)``."""
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


def said(error: Exception) -> str:
    """Return what an error of onnxruntime says: node and reason, without its place in the C++ source."""
    text = str(error).strip().rpartition("[ONNXRuntimeError] : ")[2]
    text = re.sub(r"^\d+ : [A-Z_]+ : ", "", text).splitlines()[0] if text else type(error).__name__
    node = re.search(r"while running (\w+) node\. Name:'([^']*)' Status Message: (.*)", text)
    place = r"^\S+\.(h|cc):\d+ (.* was false\. |[^()]*::[^()]*\([^()]*\) |\w+ )?"
    if node is None:
        return re.sub(place, "", text.removeprefix("Exception during initialization: "))[:300]
    reason = re.sub(place, "", node[3])
    return f"{node[1]} '{node[2]}': {reason}"[:300].rstrip()


@dataclass(frozen=True)
class Evaluator:
    """Runs a model on many images.

    Attributes:
        session: The session.
        batch: Images per call; 1 for a model with its batch built in.
        reason: Why it is 1; empty for a model that runs in batches.
    """

    session: ort.InferenceSession
    batch: int
    reason: str = ""

    @staticmethod
    def of(make: Callable[[int | str | None], Serializable], threads: int = 2) -> Evaluator:
        """Return an evaluator of ``make("N")`` if that answers a batch as its images, else of ``make(None)``.

        Two random images are run together and each alone. Whatever is no matter of the batch (an operator
        without implementation, no memory) is raised as onnxruntime has it.

        Args:
            make: Exports the model with a symbolic batch (a string) or batch 1 (``None``).
            threads: onnxruntime threads.
        """
        model = make("N")
        try:
            symbolic = session(model, threads)
            reason = mixture([symbolic])
        except REFUSED as error:
            if OUT_OF_MEMORY in str(error):
                raise
            reason = said(error)
        if not reason:
            return Evaluator(symbolic, BATCH)
        single = session(make(None), threads)
        single.run(None, {single.get_inputs()[0].name: probe(single)[:1]})  # or it cannot run at all
        return Evaluator(single, 1, reason)

    @property
    def note(self) -> str:
        """What the user should be told; empty for a model that runs in batches."""
        if not self.reason:
            return ""
        return (
            f"the network has its batch built in ({self.reason}): it is run image by image, {BATCH} times "
            "as many calls; export it with a dynamic batch to have it run in batches"
        )

    def run(self, images: Callable[[slice], Float32], total: int, names: Sequence[str]) -> list[Array]:
        """Return the outputs ``names`` over ``total`` images, concatenated along the batch.

        Args:
            images: Gives the preprocessed float32 batch of a slice.
            total: Number of images.
            names: Output names.
        """
        parts: list[list[Array]] = [[] for _ in names]
        name = self.session.get_inputs()[0].name
        for piece in batches(total, self.batch):
            for part, value in zip(parts, self.session.run(list(names), {name: images(piece)}), strict=True):
                part.append(value)
        return [np.concatenate(p) for p in parts]


def probe(runner: ort.InferenceSession) -> Float32:
    """Return two different images of the model's input shape."""
    shape = (2, *runner.get_inputs()[0].shape[1:])
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def mixture(runners: Sequence[ort.InferenceSession]) -> str:
    """Return how two images are answered otherwise together than alone; empty if they are not.

    Args:
        runners: A model, or stages of one that read by name what the image and stages before them gave.
    """
    images, name = probe(runners[0]), runners[0].get_inputs()[0].name
    together, *alone = ({name: part} for part in (images, images[:1], images[1:]))
    for runner in runners:
        outputs = [output.name for output in runner.get_outputs()]
        for known in (together, *alone):
            given = {entry.name: known[entry.name] for entry in runner.get_inputs()}
            known.update(zip(outputs, runner.run(None, given), strict=True))
        for output in outputs:
            if reason := _differ(output, together[output], [known[output] for known in alone]):
                return reason
    return ""


def _differ(output: str, value: Array, single: Sequence[Array]) -> str:
    if value.ndim == 0 or value.shape != (2, *single[0].shape[1:]):
        return f"output '{output}' has shape {list(value.shape)} for two images"
    expected = np.concatenate(single)
    if value.dtype.kind != "f":  # a sum in another order may be rounded to the integer beside
        close = bool((np.abs(value.astype(np.int64) - expected.astype(np.int64)) <= 1).all())
    else:
        largest = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
        close = np.allclose(value, expected, rtol=0, atol=_MIXED * largest, equal_nan=True)
    return "" if close else f"output '{output}' of an image depends on the images beside it"
