"""Bodies of inference requests and answers over HTTP: JSON, and bytes behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eecompile.server.contract import Array, TensorSpec
from eecompile.server.inference import InferQuestion
from eecompile.server.refusal import malformed
from eecompile.server.tensors import datatype_of, from_bytes, from_json, spec_of, to_json

HEADER_LENGTH = "Inference-Header-Content-Length"
_Size = Annotated[int, Field(ge=0, lt=2**31)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class _Input(_Strict):
    name: str
    datatype: str
    shape: list[_Size]
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class _Output(_Strict):
    name: str
    parameters: dict[str, Any] = {}


class _Request(_Strict):
    id: str = ""
    parameters: dict[str, Any] = {}
    inputs: list[_Input]
    outputs: list[_Output] = []


@dataclass(frozen=True)
class Asked:
    """A question as it came over HTTP.

    Attributes:
        question: What is asked.
        binary: Names of the outputs that are wanted as bytes; ``None``: all.
    """

    question: InferQuestion
    binary: frozenset[str] | None

    def as_bytes(self, name: str) -> bool:
        """Return whether an output is wanted as bytes."""
        return self.binary is None or name in self.binary


def read(body: bytes, header_length: str | None, inputs: Sequence[TensorSpec]) -> Asked:
    """Return what a body asks.

    Args:
        body: JSON, and behind it the bytes of tensors with ``binary_data_size``.
        header_length: Bytes of the JSON, as the header `HEADER_LENGTH` has it; ``None``: all of it.
        inputs: Of the model.

    Raises:
        NotServedError: It is not as the protocol has it, or not what the inputs take.
    """
    length = len(body) if header_length is None else _length(header_length, len(body))
    try:
        request = _Request.model_validate_json(body[:length])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise malformed(f"{place}: {first['msg']}" if place else first["msg"]) from None
    tensors: dict[str, Array] = {}
    rest = memoryview(body)[length:]
    for given in request.inputs:
        if given.name in tensors:
            raise malformed(f"input '{given.name}' is there twice")
        dtype = spec_of(given.name, given.datatype, given.shape, inputs)
        size = given.parameters.get("binary_data_size")
        if size is None:
            if given.data is None:
                raise malformed(f"input '{given.name}' has neither data nor binary_data_size")
            tensors[given.name] = from_json(given.name, given.data, dtype, given.shape)
            continue
        if given.data is not None:
            raise malformed(f"input '{given.name}' has both data and binary_data_size")
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(rest):
            raise malformed(f"binary_data_size of '{given.name}' is none of the {len(rest)} bytes left")
        tensors[given.name] = from_bytes(given.name, rest[:size], dtype, given.shape)
        rest = rest[size:]
    if rest:
        raise malformed(f"{len(rest)} bytes behind the last tensor")
    names = [output.name for output in request.outputs]
    return Asked(InferQuestion(tensors, request.id, names, request.parameters), _binary(request))


def write(asked: Asked, model: str, version: str, outputs: Mapping[str, Array]) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the bytes of its JSON where others follow."""
    described, blobs = [], []
    for name, values in outputs.items():
        entry: dict[str, Any] = {
            "name": name, "datatype": datatype_of(values), "shape": list(values.shape)
        }  # fmt: skip
        if asked.as_bytes(name):
            blob = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
            entry["parameters"] = {"binary_data_size": len(blob)}
            blobs.append(blob)
        else:
            entry["data"] = to_json(values)
        described.append(entry)
    document = {"model_name": model, "model_version": version, "outputs": described}
    if asked.question.id:
        document["id"] = asked.question.id
    header = json.dumps(document, allow_nan=False).encode()
    return b"".join([header, *blobs]), len(header) if blobs else None


def _length(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 12 or int(text) > most:
        raise malformed(f"{HEADER_LENGTH} is none of the {most} bytes of the body")
    return int(text)


def _binary(request: _Request) -> frozenset[str] | None:
    for output in request.outputs:
        if "classification" in output.parameters:
            raise malformed(
                f"output '{output.name[:100]}': classification is not an extension of this server"
            )
    whole = _flag(request.parameters, "binary_data_output")
    if not request.outputs:
        return None if whole else frozenset()
    own = {output.name: _flag(output.parameters, "binary_data") for output in request.outputs}
    return frozenset(name for name, wanted in own.items() if (whole if wanted is None else wanted))


def _flag(parameters: Mapping[str, Any], name: str) -> bool | None:
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise malformed(f"parameter '{name}' is true or false")
    return value
