from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile import api
from eecompile.runtime import EarlyExitSession
from eecompile.server.running import RunningServer
from tests.eecompile.runtime.small_run import images_of
from tests.eecompile.server.conftest import Made

tritonclient = pytest.importorskip("tritonclient.grpc", reason="gRPC needs tritonclient, of the extra 'grpc'")
messages = tritonclient.service_pb2


@pytest.fixture(scope="module")
def spoken(small_run: Path) -> Iterator[RunningServer]:
    with api.serve(small_run, port=0, grpc_port=0, max_body=100_000) as found:
        yield found


@pytest.fixture(scope="module")
def client(spoken: RunningServer) -> Iterator[Any]:
    with tritonclient.InferenceServerClient(spoken.grpc_url) as found:
        yield found


def asked(images: Any, name: str = "images") -> Any:
    datatype = {"f": "FP32", "u": "UINT8"}[images.dtype.kind]
    found = tritonclient.InferInput(name, list(images.shape), datatype)
    return found.set_data_from_numpy(images)


def test_the_official_client_is_answered_as_the_session_answers(client: Any, small_run: Path) -> None:
    images = images_of(40)
    expected = EarlyExitSession(small_run).run(images)
    found = client.infer("small", [asked(images)], request_id="seven", model_version="1")
    for name in ("logits", "label", "exit", "confidence"):
        np.testing.assert_array_equal(found.as_numpy(name), getattr(expected, name), name)
    assert found.get_response().id == "seven"
    only = client.infer("small", [asked(images[:2])], outputs=[tritonclient.InferRequestedOutput("exit")])
    assert [one.name for one in only.get_response().outputs] == ["exit"]


def test_it_says_what_it_is(client: Any) -> None:
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("small")
    assert client.get_server_metadata().name == "eecompile"
    told = client.get_model_metadata("small")
    assert (told.name, list(told.versions), told.platform) == ("small", ["1"], "onnx_onnxv1")
    assert [(one.name, one.datatype, list(one.shape)) for one in told.inputs] == [
        ("images", "FP32", [-1, 2, 3, 3])
    ]
    assert [(row.name, row.state) for row in client.get_model_repository_index().models] == [
        ("small", "READY")
    ]


def test_values_may_stand_in_contents(client: Any, small_run: Path) -> None:
    pixels = np.arange(18, dtype=np.uint8).reshape(1, 2, 3, 3)
    expected = EarlyExitSession(small_run).run(pixels).logits
    request = messages.ModelInferRequest(model_name="small")
    given = request.inputs.add(name="images", datatype="UINT8", shape=[1, 2, 3, 3])
    given.contents.uint_contents.extend(pixels.ravel().tolist())
    found = client._client_stub.ModelInfer(request)
    assert found.raw_output_contents[0] == expected.tobytes()
    given.contents.uint_contents[0] = 300
    with pytest.raises(Exception, match="its type cannot"):
        client._client_stub.ModelInfer(request)


@pytest.mark.parametrize(
    ("model", "images", "name", "code", "message"),
    [
        ("other", np.zeros((1, 2, 3, 3), np.float32), "images", "NOT_FOUND", "no model 'other'"),
        ("small", np.zeros((1, 2, 9), np.float32), "images", "INVALID_ARGUMENT", "images have shape"),
        ("small", np.zeros((1, 2, 3, 3), np.float32), "x", "INVALID_ARGUMENT", "no input 'x'"),
        ("small", np.zeros((2000, 2, 3, 3), np.float32), "images", "RESOURCE_EXHAUSTED", "larger than max"),
        ("small", np.zeros((1200, 2, 3, 3), np.float32), "images", "RESOURCE_EXHAUSTED", "at most 1024"),
    ],
)
def test_what_is_wrong_is_said_with_a_status(
    client: Any, model: str, images: Any, name: str, code: str, message: str
) -> None:
    with pytest.raises(tritonclient.InferenceServerException, match=message) as refused:
        client.infer(model, [asked(images, name)])
    assert code in refused.value.status()


def raw_request(**more: Any) -> Any:
    request = messages.ModelInferRequest(model_name="small", **more)
    request.inputs.add(name="images", datatype="FP32", shape=[1, 2, 3, 3])
    return request


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (raw_request(raw_input_contents=[b"1234"]), "4 bytes; shape .* has 72"),
        (raw_request(raw_input_contents=[b"", b""]), "2 raw_input_contents for 1 inputs"),
        (raw_request(), "0 bytes"),
    ],
)
def test_messages_no_client_writes(client: Any, request_: Any, message: str) -> None:
    with pytest.raises(Exception, match=message):
        client._client_stub.ModelInfer(request_)
    request_.inputs[0].shape[0] = -1
    with pytest.raises(Exception, match=r"has shape|raw_input_contents"):
        client._client_stub.ModelInfer(request_)


def test_models_come_and_go_and_others_say_they_are_not_there(made: Made) -> None:
    server, _, _ = made(grpc_port=0)
    with tritonclient.InferenceServerClient(server.grpc_url) as client:
        client.unload_model("made")
        assert not client.is_model_ready("made")
        with pytest.raises(tritonclient.InferenceServerException, match="unloaded"):
            client.get_model_metadata("made")
        client.load_model("made")
        assert client.is_model_ready("made")
        with pytest.raises(tritonclient.InferenceServerException, match="no parameters"):
            client.load_model("made", config="{}")
        for call in (client.load_model, client.unload_model, client.is_model_ready):
            with pytest.raises(tritonclient.InferenceServerException, match="no model 'other'"):
                call("other")
        with pytest.raises(tritonclient.InferenceServerException, match="not implemented"):
            client.get_inference_statistics()


def test_a_client_whose_time_is_over_takes_what_waits_along(made: Made) -> None:
    server, model, http = made(grpc_port=0)
    model.gate.clear()
    with tritonclient.InferenceServerClient(server.grpc_url) as client:
        given = asked(np.array([[5.0, 1.0]], np.float32), "x")
        with pytest.raises(tritonclient.InferenceServerException, match="Deadline"):
            client.infer("made", [given], client_timeout=0.2)
        end = time.monotonic() + 5
        while "eecompile_queue_images 0.0" not in http.send("GET", "/metrics")[1].decode():
            assert time.monotonic() < end
        model.gate.set()
        again = asked(np.array([[6.0, 0.0]], np.float32), "x")
        assert client.infer("made", [again]).as_numpy("tag").tolist() == [6.0]
        assert [tags for _, tags in model.ran] == [[5.0], [6.0]]


def test_it_stops_with_the_rest_and_loses_nothing(made: Made) -> None:
    server, model, _ = made(grpc_port=0)
    model.gate.clear()
    found: list[Any] = []
    with tritonclient.InferenceServerClient(server.grpc_url) as client:
        given = asked(np.array([[5.0, 1.0]], np.float32), "x")
        asks = threading.Thread(target=lambda: found.append(client.infer("made", [given]).as_numpy("tag")))
        asks.start()
        assert model.begun.wait(5)
        stops = threading.Thread(target=server.stop)
        stops.start()
        while client.is_server_ready():
            time.sleep(0.01)
        with pytest.raises(tritonclient.InferenceServerException, match="takes no more"):
            client.infer("made", [given])
        model.gate.set()
        asks.join(5)
        stops.join(5)
    assert [tags.tolist() for tags in found] == [[5.0]] and not stops.is_alive()
