"""A request from its tensors to its answers, whatever it travelled on."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from eecompile.server.contract import Array, ServedModel
from eecompile.server.engine import StageEngine
from eecompile.server.refusal import NotServedError, in_one_line, malformed
from eecompile.server.repository import VERSION, Repository, ServedEntry
from eecompile.version import version
from passes.errors import InputError

if TYPE_CHECKING:  # its library is an extra, and who asks for metadata needs none
    from eecompile.server.metrics import Metrics

EXTENSIONS = ("model_repository", "binary_tensor_data")
GONE = 499
"""Status of a request whose client did not wait; nobody reads it."""
# Seconds of a client's timeout at most: the clock of an event loop cannot count further.
_LONGEST_S = 1e6


@dataclass(frozen=True)
class InferQuestion:
    """What a client asks.

    Attributes:
        tensors: Inputs by name.
        id: Given back with the answer.
        outputs: Names of those that it wants; all if empty.
        parameters: ``priority``: larger is more important; ``timeout``: microseconds after which it
            does not want an answer any more.
    """

    tensors: Mapping[str, Array]
    id: str = ""
    outputs: Sequence[str] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)


class Inference:
    """Answers questions.

    Args:
        repository: The models.
        engine: Runs them.
        metrics: Are told what is refused.
        slo_s: Seconds from arrival to deadline; ``None``: no deadline.
    """

    def __init__(
        self, repository: Repository, engine: StageEngine, metrics: Metrics, slo_s: float | None = None
    ) -> None:
        self.repository, self.engine, self.metrics = repository, engine, metrics
        self._slo_s = math.inf if slo_s is None else slo_s

    async def answer(
        self, entry: ServedEntry, question: InferQuestion, gone: asyncio.Future[None] | None = None
    ) -> dict[str, Array]:
        """Return the outputs that are wanted, [N, …] each.

        Args:
            entry: The model.
            question: What is asked of it.
            gone: Is done when the client is not there any more; ``None`` where that cancels this call.

        Raises:
            NotServedError: It cannot be answered, its time is over, or the client is gone; what waits of it
                then is not run.
        """
        model, slot = entry.in_service()
        wanted = wanted_outputs(model, question.outputs)
        need_all_inputs(model, question.tensors)
        priority = _number(question.parameters, "priority") or entry.priority
        timeout_us = _number(question.parameters, "timeout")
        timeout = None if not timeout_us else min(timeout_us * 1e-6, _LONGEST_S)
        try:
            images = model.admit(question.tensors)
        except InputError as error:
            raise malformed(in_one_line(error)) from None
        deadline = self._slo_s if timeout is None else min(timeout, self._slo_s)
        job = self.engine.submit(slot, images, deadline, priority)
        done, left = asyncio.wrap_future(job.done), False

        def leave(_: object) -> None:
            nonlocal left
            left = done.cancel()

        if gone is not None:
            gone.add_done_callback(leave)
        try:
            async with asyncio.timeout(timeout):
                found = await done
        except TimeoutError:
            if done.cancelled():
                message = f"not answered within {timeout:g} s, as asked for"
                raise NotServedError(504, "timeout", message) from None
            found = done.result()  # it came in the same turn of the loop
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not left or (task is not None and task.cancelling()):
                raise
            raise NotServedError(GONE, "client gone", "the client is gone") from None
        finally:
            if gone is not None:
                gone.remove_done_callback(leave)
            if done.cancelled():
                self.engine.drop(job)
                self.metrics.dropped()
        return {
            name: found[0].outputs[name]
            if len(found) == 1
            else np.concatenate([one.outputs[name] for one in found])
            for name in wanted
        }

    def server_metadata(self) -> dict[str, Any]:
        """Return what the server is."""
        return {"name": "eecompile", "version": version(), "extensions": list(EXTENSIONS)}

    def model_metadata(self, entry: ServedEntry) -> dict[str, Any]:
        """Return what a model takes and gives."""
        model, _ = entry.in_service()
        return metadata_of(entry.name, model)


def metadata_of(name: str, model: ServedModel) -> dict[str, Any]:
    """Return what a model takes and gives, as the protocol has it."""
    tensors = {
        key: [{"name": spec.name, "datatype": spec.datatypes[0], "shape": list(spec.shape)} for spec in specs]
        for key, specs in (("inputs", model.inputs), ("outputs", model.outputs))
    }
    datatypes = {spec.name: list(spec.datatypes) for spec in model.inputs}
    return {
        "name": name, "versions": [VERSION], "platform": model.platform, **tensors,
        "parameters": {"input_datatypes": datatypes, **model.parameters},
    }  # fmt: skip


def wanted_outputs(model: ServedModel, names: Sequence[str]) -> Sequence[str]:
    """Return the names of the outputs to answer with; raises NotServedError where there is none of a name."""
    known = [spec.name for spec in model.outputs]
    for name in names:
        if name not in known:
            raise malformed(f"there is no output '{name[:100]}'; outputs: {', '.join(known)}")
    if len(set(names)) < len(names):
        raise malformed("an output is asked for twice")
    return names or known


def need_all_inputs(model: ServedModel, tensors: Mapping[str, Array]) -> None:
    """Raise NotServedError where an input of the model is missing."""
    if missing := [spec.name for spec in model.inputs if spec.name not in tensors]:
        raise malformed(f"input '{missing[0]}' is missing")


def _number(parameters: Mapping[str, Any], name: str) -> float | None:
    value = parameters.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**63:
        raise malformed(f"parameter '{name}' is no number, 0 or above")
    return float(value)
