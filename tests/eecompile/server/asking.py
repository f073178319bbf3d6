"""A client of a few lines, on the standard library: it sends what no proper client would."""

from __future__ import annotations

import http.client
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
HEADER_LENGTH = "Inference-Header-Content-Length"


def question(
    images: Array, name: str = "images", binary: bool = True, **more: Any
) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a request; ``more`` are keys beside ``inputs``."""
    datatype = {"f": "FP32", "u": "UINT8"}[images.dtype.kind]
    entry: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(images.shape)}
    if not binary:
        entry["data"] = images.ravel().tolist()
        return json.dumps({"inputs": [entry], **more}).encode(), {}
    entry["parameters"] = {"binary_data_size": images.nbytes}
    head = json.dumps({"inputs": [entry], **more}).encode()
    return head + images.tobytes(), {HEADER_LENGTH: str(len(head))}


class Client:
    """One connection."""

    def __init__(self, url: str) -> None:
        self.connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """Return status, JSON (or bytes of another kind) and headers of the answer."""
        self.connection.request(method, path, body, headers or {})
        answer = self.connection.getresponse()
        content = answer.read()
        told = {name.lower(): value for name, value in answer.getheaders()}
        kind = told.get("content-type", "")
        return answer.status, json.loads(content) if kind == "application/json" else content, told

    def ask(self, model: str, images: Array, **more: Any) -> tuple[int, Any]:
        """Return status and outputs by name; or what the server says was wrong."""
        status, found, _ = self.send("POST", f"/v2/models/{model}/infer", *question(images, **more))
        if status != 200:
            return status, found["error"]
        return status, {one["name"]: values(one) for one in found["outputs"]}


def values(output: dict[str, Any]) -> Array:
    """Return the array of an output that came as JSON."""
    dtype = {"FP32": np.float32, "INT64": np.int64}[output["datatype"]]
    return np.array(output["data"], dtype).reshape(output["shape"])
