"""The Open Inference Protocol, version 2, over gRPC.

Messages and service are those that tritonclient, the protocol's own client, was generated with: pure Python,
and no copy of the protocol in this project that grows old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NoReturn

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc import service_pb2_grpc as services

from eecompile.server.contract import Array, TensorSpec
from eecompile.server.inference import Inference, InferQuestion
from eecompile.server.refusal import NotServedError, malformed
from eecompile.server.repository import VERSION
from eecompile.server.tensors import datatype_of, from_bytes, spec_of

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
# Where values of a type stand that do not come as raw bytes.
_CONTENTS = {
    "BOOL": "bool_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents",
}  # fmt: skip


async def start_rpc(inference: Inference, address: str, most_bytes: int) -> tuple[Any, int]:
    """Start serving in the running event loop.

    Args:
        inference: Answers.
        address: Host and port; port 0: any that is free.
        most_bytes: Of a message.

    Returns:
        The server of grpc.aio, and its port.

    Raises:
        RuntimeError: The address is taken, or is none.
    """
    options = [("grpc.max_receive_message_length", most_bytes), ("grpc.so_reuseport", 0)]
    server = grpc.aio.server(options=options)
    services.add_GRPCInferenceServiceServicer_to_server(_Service(inference), server)
    port = server.add_insecure_port(address)
    await server.start()
    return server, port


class _Service(services.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Methods have the names of the protocol; those that are not here are not implemented, and say so."""

    def __init__(self, inference: Inference) -> None:
        self._inference, self._repository = inference, inference.repository

    async def ServerLive(self, _: Any, __: Any) -> Any:  # noqa: N802
        return messages.ServerLiveResponse(live=self._inference.engine.alive)

    async def ServerReady(self, _: Any, __: Any) -> Any:  # noqa: N802
        return messages.ServerReadyResponse(ready=self._inference.engine.ready)

    async def ServerMetadata(self, _: Any, __: Any) -> Any:  # noqa: N802
        return messages.ServerMetadataResponse(**self._inference.server_metadata())

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            entry = self._repository.get(request.name, request.version)
        except NotServedError as error:
            await self._refuse(context, error)
        ready = entry.model is not None and self._inference.engine.ready
        return messages.ModelReadyResponse(ready=ready)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            told = self._inference.model_metadata(self._repository.get(request.name, request.version))
        except NotServedError as error:
            await self._refuse(context, error)
        return messages.ModelMetadataResponse(**{name: told[name] for name in told if name != "parameters"})

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            entry = self._repository.get(request.model_name, request.model_version)
            model, _ = entry.in_service()
            question = InferQuestion(
                _tensors(request, model.inputs),
                request.id,
                [output.name for output in request.outputs],
                {name: _value(found) for name, found in request.parameters.items()},
            )
            outputs = await self._inference.answer(entry, question)
        except NotServedError as error:
            await self._refuse(context, error)
        answer = messages.ModelInferResponse(model_name=entry.name, model_version=VERSION, id=request.id)
        for name, values in outputs.items():
            answer.outputs.add(name=name, datatype=datatype_of(values), shape=values.shape)
            answer.raw_output_contents.append(
                values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
            )
        return answer

    async def RepositoryIndex(self, request: Any, _: Any) -> Any:  # noqa: N802
        rows = [row for row in self._repository.index() if not request.ready or row["state"] == "READY"]
        return messages.RepositoryIndexResponse(models=rows)

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            if request.parameters:
                raise malformed("a model is loaded as its directory has it: no parameters are taken")
            await asyncio.to_thread(self._repository.load, request.model_name)
        except NotServedError as error:
            await self._refuse(context, error)
        return messages.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            await asyncio.to_thread(self._repository.unload, request.model_name)
        except NotServedError as error:
            await self._refuse(context, error)
        return messages.RepositoryModelUnloadResponse()

    async def _refuse(self, context: Any, error: NotServedError) -> NoReturn:
        self._inference.metrics.refused(error.kind, error.message)
        await context.abort(_CODES.get(error.status, grpc.StatusCode.UNKNOWN), error.message)
        raise AssertionError("abort raises")


def _tensors(request: Any, inputs: Sequence[TensorSpec]) -> dict[str, Array]:
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        raise malformed(f"{len(raw)} raw_input_contents for {len(request.inputs)} inputs")
    found: dict[str, Array] = {}
    for number, given in enumerate(request.inputs):
        if given.name in found:
            raise malformed(f"input '{given.name}' is there twice")
        shape = [int(size) for size in given.shape]
        dtype = spec_of(given.name, given.datatype, shape, inputs)
        if min(shape, default=0) < 0:
            raise malformed(f"input '{given.name}' has shape {shape}")
        if raw:
            data = raw[number]
        else:
            values = np.array(getattr(given.contents, _CONTENTS[given.datatype]))
            cast = values.astype(dtype)
            if not np.array_equal(cast, values, equal_nan=dtype.kind == "f"):
                raise malformed(f"the contents of '{given.name}' hold numbers that its type cannot")
            data = cast.tobytes()
        found[given.name] = from_bytes(given.name, data, dtype, shape)
    return found


def _value(parameter: Any) -> Any:
    which = parameter.WhichOneof("parameter_choice")
    return None if which is None else getattr(parameter, which)
