"""A run directory as a model of MLServer: named in ``model-settings.json``, imported by MLServer alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from mlserver import MLModel
from mlserver.errors import InferenceError
from mlserver.types import Datatype, InferenceRequest, InferenceResponse, ResponseOutput
from mlserver.utils import get_model_uri

from eecompile.server.contract import Array, Known
from eecompile.server.engines.whole import answer, model_input
from eecompile.server.inference import InferQuestion
from eecompile.server.refusal import NotServedError, malformed
from eecompile.server.run_model import RunModel
from eecompile.server.tensors import datatype_of, from_json, spec_of, to_json


class EarlyExitRuntime(MLModel):
    """Answers with `EarlyExitSession` from the folder that ``parameters.uri`` of its settings names."""

    async def load(self) -> bool:
        """Open the folder; raises InputError where it holds no run."""
        self._model = await asyncio.to_thread(RunModel, Path(await get_model_uri(self.settings)))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer a request; raises InferenceError, status 400, where it is not what the model takes."""
        try:
            names = [output.name for output in payload.outputs or ()]
            images, wanted = model_input(self._model, InferQuestion(self._tensors(payload), outputs=names))
        except NotServedError as error:
            raise InferenceError(error.message) from None
        (found,) = await asyncio.to_thread(answer, self._model, [images])
        return InferenceResponse(
            model_name=self.name, model_version=self.version, id=payload.id, outputs=_outputs(found, wanted)
        )

    def _tensors(self, payload: InferenceRequest) -> dict[str, Array]:
        tensors: dict[str, Array] = {}
        for given in payload.inputs:
            if given.name in tensors:
                raise malformed(f"input '{given.name}' is there twice")
            dtype = spec_of(given.name, Datatype(given.datatype).value, given.shape, self._model.inputs)
            values = getattr(given.data, "root", given.data)
            tensors[given.name] = from_json(given.name, values, dtype, given.shape)
        return tensors


def _outputs(found: Known, wanted: Sequence[str]) -> list[ResponseOutput]:
    return [
        ResponseOutput(
            name=name,
            datatype=datatype_of(found[name]),
            shape=list(found[name].shape),
            data=to_json(found[name]),
        )
        for name in wanted
    ]
