"""The Open Inference Protocol, version 2, over HTTP; and what Prometheus reads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from eecompile.server.connection import GONE_FUTURE
from eecompile.server.inference import GONE, Inference
from eecompile.server.limits import Limits, read_body
from eecompile.server.refusal import NotServedError, malformed
from eecompile.server.repository import VERSION, ServedEntry
from eecompile.server.wire import HEADER_LENGTH, read, write

_CLOSES = {408}
"""Statuses behind which a connection ends: what comes on it is no request."""


def rest_app(inference: Inference, limits: Limits) -> Starlette:
    """Return the application."""
    of_model = "/v2/models/{model}"
    of_version = "/v2/models/{model}/versions/{version}"
    face = _Rest(inference, limits)
    models = [
        Route(f"{place}{ending}", endpoint, methods=[method])
        for place in (of_model, of_version)
        for ending, endpoint, method in (
            ("", face.model, "GET"),
            ("/ready", face.model_ready, "GET"),
            ("/infer", face.infer, "POST"),
        )
    ]
    return Starlette(
        routes=[
            Route("/v2", face.server, methods=["GET"]),
            Route("/v2/health/live", face.live, methods=["GET"]),
            Route("/v2/health/ready", face.ready, methods=["GET"]),
            *models,
            Route("/v2/repository/index", face.index, methods=["POST"]),
            Route("/v2/repository/models/{model}/load", face.load, methods=["POST"]),
            Route("/v2/repository/models/{model}/unload", face.unload, methods=["POST"]),
            Route("/metrics", face.metrics, methods=["GET"]),
        ],
        exception_handlers={
            NotServedError: face.refused,
            HTTPException: _no_such_place,
            Exception: face.failed,
        },
    )


class _Rest:
    def __init__(self, inference: Inference, limits: Limits) -> None:
        self._inference, self._limits = inference, limits
        self._repository = inference.repository

    async def server(self, _: Request) -> Response:
        return JSONResponse(self._inference.server_metadata())

    async def live(self, _: Request) -> Response:
        return _state(self._inference.engine.alive, "live")

    async def ready(self, _: Request) -> Response:
        return _state(self._inference.engine.ready, "ready")

    async def model(self, request: Request) -> Response:
        return JSONResponse(self._inference.model_metadata(self._entry(request)))

    async def model_ready(self, request: Request) -> Response:
        entry = self._entry(request)
        answers = entry.model is not None and self._inference.engine.ready
        told = {"reason": reason} if (reason := entry.changed()) else {}
        return _state(answers, "ready", name=entry.name, **told)

    async def infer(self, request: Request) -> Response:
        entry = self._entry(request)
        body = await read_body(request, self._limits)
        model, _ = entry.in_service()
        asked = read(body, request.headers.get(HEADER_LENGTH), model.inputs)
        outputs = await self._inference.answer(entry, asked.question, request.scope[GONE_FUTURE])
        content, header = write(asked, entry.name, VERSION, outputs)
        if header is None:
            return Response(content, media_type="application/json")
        return Response(content, headers={HEADER_LENGTH: str(header)}, media_type="application/octet-stream")

    async def index(self, request: Request) -> Response:
        asked = await self._parameters(request)
        ready = asked.get("ready", False)
        rows = self._repository.index()
        return JSONResponse([row for row in rows if not ready or row["state"] == "READY"])

    async def load(self, request: Request) -> Response:
        if (await self._parameters(request)).get("parameters"):
            raise malformed("a model is loaded as its directory has it: no parameters are taken")
        await asyncio.to_thread(self._repository.load, request.path_params["model"])
        return JSONResponse({})

    async def unload(self, request: Request) -> Response:
        await self._parameters(request)
        await asyncio.to_thread(self._repository.unload, request.path_params["model"])
        return JSONResponse({})

    async def metrics(self, _: Request) -> Response:
        return Response(self._inference.metrics.text(), media_type="text/plain; version=0.0.4")

    async def refused(self, _: Request, error: Exception) -> Response:
        assert isinstance(error, NotServedError)
        if error.status != GONE:
            self._inference.metrics.refused(error.kind, error.message)
        headers = {"connection": "close"} if error.status in _CLOSES else {}
        if error.retry_after_s is not None:
            headers["retry-after"] = str(round(error.retry_after_s))
        return JSONResponse({"error": error.message}, error.status, headers)

    async def failed(self, request: Request, error: Exception) -> Response:
        self._inference.metrics.broke(f"{request.method} {request.url.path}", error)
        return JSONResponse({"error": f"internal error: {type(error).__name__}"}, 500)

    def _entry(self, request: Request) -> ServedEntry:
        return self._repository.get(request.path_params["model"], request.path_params.get("version", ""))

    async def _parameters(self, request: Request) -> Mapping[str, Any]:
        body = await read_body(request, self._limits)
        try:
            found = json.loads(body or b"{}")
        except (ValueError, RecursionError):
            raise malformed("the body is no JSON") from None
        if not isinstance(found, dict):
            raise malformed("the body is no JSON object")
        return found


def _state(good: bool, what: str, **more: str) -> Response:
    return JSONResponse({**more, what: good}, 200 if good else 503)


async def _no_such_place(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
