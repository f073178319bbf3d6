"""A run directory as a deployment of Ray Serve: imported by the ``app.py`` of an export alone."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from eecompile.runtime.early_exit import Float32
from eecompile.runtime.early_exit_session import MAX_BATCH
from eecompile.server.contract import Known
from eecompile.server.engines.ray_files import DEPLOYMENT
from eecompile.server.engines.whole import answer, files_of, model_input
from eecompile.server.inference import metadata_of
from eecompile.server.limits import Limits, read_body
from eecompile.server.refusal import NotServedError
from eecompile.server.repository import VERSION
from eecompile.server.run_model import RunModel
from eecompile.server.wire import HEADER_LENGTH, read, write
from eecompile.version import version

_WAIT_S = 0.002
"""How long a request waits for others to run with."""


def application_of(run: Path, name: str) -> Any:
    """Return the application that answers for a run directory.

    Its files go to the replicas with it: they need no folder that all machines see.

    Args:
        run: The run directory.
        name: Of the model, as clients call it.

    Raises:
        InputError: No run with a trained network, or a damaged one.
    """
    files = {place: path.read_bytes() for place, path in files_of(run).items()}
    deployment: Any = EarlyExitReplica
    return deployment.bind(name, files)


@serve.deployment(name=DEPLOYMENT)
class EarlyExitReplica:
    """Speaks the Open Inference Protocol, version 2, over HTTP; images that wait together run together.

    Args:
        name: Of the model.
        files: Of the run directory, by their place in it.
    """

    def __init__(self, name: str, files: dict[str, bytes]) -> None:
        self._name, self._limits = name, Limits()
        with tempfile.TemporaryDirectory() as folder:
            for place, content in files.items():
                path = Path(folder, place)
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
            self._model = RunModel(Path(folder))
        of_model = f"/v2/models/{name}"
        of_version = f"{of_model}/versions/{VERSION}"
        self._told: dict[str, dict[str, Any]] = {
            "/v2": {"name": "eecompile", "version": version(), "extensions": ["binary_tensor_data"]},
            "/v2/health/live": {"live": True},
            "/v2/health/ready": {"ready": True},
            **{place: metadata_of(name, self._model) for place in (of_model, of_version)},
            **{f"{place}/ready": {"name": name, "ready": True} for place in (of_model, of_version)},
        }
        self._infers = {f"{place}/infer" for place in (of_model, of_version)}

    async def __call__(self, request: Request) -> Response:
        """Answer a request over HTTP."""
        place = request.scope["path"].removeprefix(request.scope.get("root_path", "")).rstrip("/")
        try:
            if place in self._infers and request.method == "POST":
                return await self._infer(request)
            if place in self._told and request.method in ("GET", "HEAD"):
                return JSONResponse(self._told[place])
            known = place in self._told or place in self._infers
            raise NotServedError(405 if known else 404, "place", f"no {request.method} of {place[:200]}")
        except NotServedError as error:
            return JSONResponse({"error": error.message}, error.status)

    async def _infer(self, request: Request) -> Response:
        body = await read_body(request, self._limits)
        asked = read(body, request.headers.get(HEADER_LENGTH), self._model.inputs)
        images, wanted = model_input(self._model, asked.question)
        found: Known = await self._together(images)
        content, header = write(asked, self._name, VERSION, {name: found[name] for name in wanted})
        if header is None:
            return Response(content, media_type="application/json")
        return Response(content, headers={HEADER_LENGTH: str(header)}, media_type="application/octet-stream")

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=_WAIT_S)
    async def _together(self, batches: Sequence[Float32]) -> list[Known]:
        return await asyncio.to_thread(answer, self._model, batches)
