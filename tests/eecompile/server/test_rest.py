from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eecompile.runtime import EarlyExitSession
from eecompile.server.running import RunningServer
from eecompile.version import version
from tests.eecompile.runtime.small_run import CLASS_NAMES, NAMES, SEEN, THRESHOLDS, images_of
from tests.eecompile.server.asking import HEADER_LENGTH, Client, question
from tests.eecompile.server.conftest import Made

MODEL = "/v2/models/small"
INFER = f"{MODEL}/infer"
OUTPUTS = ("logits", "label", "exit", "confidence")
IMAGES = images_of(40)


def test_the_server_says_what_it_is_and_that_it_is_well(client: Client) -> None:
    assert client.send("GET", "/v2")[:2] == (
        200,
        {
            "name": "eecompile",
            "version": version(),
            "extensions": ["model_repository", "binary_tensor_data"],
        },
    )
    assert client.send("GET", "/v2/health/live")[:2] == (200, {"live": True})
    assert client.send("GET", "/v2/health/ready")[:2] == (200, {"ready": True})


@pytest.mark.parametrize("place", [MODEL, f"{MODEL}/versions/1"])
def test_a_model_says_what_it_takes_and_gives(client: Client, place: str) -> None:
    status, told, _ = client.send("GET", place)
    assert status == 200
    assert (told["name"], told["versions"], told["platform"]) == ("small", ["1"], "onnx_onnxv1")
    assert told["inputs"] == [{"name": "images", "datatype": "FP32", "shape": [-1, 2, 3, 3]}]
    assert [(one["name"], one["datatype"], one["shape"]) for one in told["outputs"]] == [
        ("logits", "FP32", [-1, 2]), ("label", "INT64", [-1]), ("exit", "INT64", [-1]),
        ("confidence", "FP32", [-1]),
    ]  # fmt: skip
    assert told["parameters"] == {
        "input_datatypes": {"images": ["FP32", "UINT8"]}, "exits": list(NAMES),
        "thresholds": [*THRESHOLDS, None], "class_names": list(CLASS_NAMES), "preprocess": "unit",
    }  # fmt: skip
    assert client.send("GET", f"{place}/ready")[:2] == (200, {"name": "small", "ready": True})


@pytest.mark.parametrize("binary", [True, False])
def test_answers_are_those_of_the_session(client: Client, small_run: Path, binary: bool) -> None:
    """Each image alone and all at once; JSON has no NaN, so the image of NaN comes as bytes only."""
    images = IMAGES if binary else IMAGES[:-1]
    expected = EarlyExitSession(small_run).run(images)
    status, found = client.ask("small", images, binary=binary)
    assert status == 200 and tuple(found) == OUTPUTS
    for name in OUTPUTS:
        assert found[name].dtype == getattr(expected, name).dtype
        np.testing.assert_array_equal(found[name], getattr(expected, name), name)
    assert set(found["exit"]) == {0, 1, 2}
    for number in range(0, 40 if binary else 39, 5):
        one = client.ask("small", images[number : number + 1], binary=binary)[1]
        assert [one[name][0].tolist() for name in OUTPUTS[1:3]] == [
            found[name][number].tolist() for name in OUTPUTS[1:3]
        ]
        np.testing.assert_array_equal(one["logits"][0], found["logits"][number])


def test_bytes_of_pixels_are_taken_and_bytes_are_given(client: Client, small_run: Path) -> None:
    pixels = np.arange(36, dtype=np.uint8).reshape(2, 2, 3, 3)
    body, headers = question(
        pixels, outputs=[{"name": "exit", "parameters": {"binary_data": True}}, {"name": "logits"}]
    )
    status, content, told = client.send("POST", INFER, body, headers)
    length = int(told[HEADER_LENGTH.lower()])
    head = json.loads(content[:length])
    expected = EarlyExitSession(small_run).run(pixels)
    assert status == 200 and told["content-type"] == "application/octet-stream"
    assert [one["name"] for one in head["outputs"]] == ["exit", "logits"]
    assert head["outputs"][0]["parameters"] == {"binary_data_size": 16} and "data" not in head["outputs"][0]
    assert np.frombuffer(content[length:], np.int64).tolist() == expected.exit.tolist()
    assert np.array(head["outputs"][1]["data"], np.float32).tolist() == expected.logits.ravel().tolist()


def test_what_is_asked_for_is_given_back(client: Client) -> None:
    body, headers = question(IMAGES[:3], id="seven", parameters={"priority": 3, "timeout": 10_000_000})
    _, found, _ = client.send("POST", f"{MODEL}/versions/1/infer", body, headers)
    assert (found["id"], found["model_name"], found["model_version"]) == ("seven", "small", "1")


def changed(**changes: Any) -> bytes:
    """Return the body of a question whose input is changed; ``None`` takes a key away."""
    entry = {"name": "images", "datatype": "FP32", "shape": [1, 2, 3, 3], "data": [0.5] * 18}
    entry |= changes
    return json.dumps({"inputs": [{k: v for k, v in entry.items() if v is not None}]}).encode()


WRONG = {
    "no JSON": (b"{", "EOF"),
    "nothing": (b"", "EOF"),
    "no object": (b"[1]", "valid dictionary|an object"),
    "no inputs": (b"{}", "inputs: Field required"),
    "an empty list": (b'{"inputs": []}', "input 'images' is missing"),
    "deep": (b'{"inputs":' + b"[" * 50_000, "recursion"),
    "not UTF-8": (b'{"id": "\xff", "inputs": []}', "invalid unicode|UTF-8"),
    "another name": (changed(name="pictures"), "no input 'pictures'; inputs: images"),
    "another type": (changed(datatype="FP64"), "is FP32 or UINT8, not FP64"),
    "no type": (changed(datatype="BYTES"), "is FP32 or UINT8, not BYTES"),
    "another shape": (changed(shape=[2, 9]), r"images have shape \[2, 9\]"),
    "a shape of fewer": (changed(shape=[1, 2, 3, 2]), "18 values"),
    "a huge shape": (changed(shape=[2**30] * 16), "18 values"),
    "many axes": (changed(shape=[1] * 40), "40 axes"),
    "a negative shape": (changed(shape=[-1, 2, 3, 3]), "greater than or equal to 0"),
    "a shape of text": (changed(shape="all"), "valid array"),
    "no images": (changed(shape=[0, 2, 3, 3], data=[]), "a batch of no images"),
    "no data": (changed(data=None), "neither data nor"),
    "text": (changed(data=["a"] * 18), "no numbers"),
    "null": (changed(data=[None] * 18), "no numbers"),
    "rows that differ": (changed(data=[[1, 2], [3]]), "all rows alike"),
    "truth": (changed(data=[True] * 18), "no numbers"),
    "too large": (changed(data=[1e300] * 18), "too large"),
    "NaN": (changed().replace(b"0.5", b"NaN"), "too large|invalid number|expected value"),
    "no pixel": (changed(datatype="UINT8", data=[256] * 18), "its type cannot"),
    "half a pixel": (changed(datatype="UINT8"), "no numbers of its type"),
    "bytes that are not there": (
        changed(data=None, parameters={"binary_data_size": 72}),
        "none of the 0 bytes",
    ),
    "both": (changed(parameters={"binary_data_size": 0}), "both"),
    "twice": (b'{"inputs": [' + changed()[12:-2] + b"," + changed()[12:-2] + b"]}", "twice"),
    "another output": (changed()[:-1] + b', "outputs": [{"name": "x"}]}', "no output 'x'"),
    "an output twice": (changed()[:-1] + b', "outputs": [{"name": "exit"}, {"name": "exit"}]}', "twice"),
    "a class list": (
        changed()[:-1] + b', "outputs": [{"name": "logits", "parameters": {"classification": 3}}]}',
        "classification",
    ),
    "a priority of text": (changed()[:-1] + b', "parameters": {"priority": "high"}}', "'priority'"),
    "a flag that is none": (changed()[:-1] + b', "parameters": {"binary_data_output": 1}}', "true or false"),
    "too many images": (changed(shape=[65, 2, 3, 3], data=[0.0] * 65 * 18), "at most 64"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_body_is_said(client: Client, case: str) -> None:
    body, message = WRONG[case]
    status, found, _ = client.send("POST", INFER, body)
    assert status == (413 if case == "too many images" else 400) and set(found) == {"error"}
    assert re.search(message, found["error"]), found["error"]
    assert client.ask("small", IMAGES[:1])[0] == 200, "the next one on this connection is served"


@pytest.mark.parametrize("length", ["x", "-1", "99999", "٣", "1" * 5000])
def test_a_length_of_the_head_that_is_none(client: Client, length: str) -> None:
    body, _ = question(IMAGES[:1])
    status, found, _ = client.send("POST", INFER, body, {HEADER_LENGTH: length.encode().decode("latin-1")})
    assert status == 400 and HEADER_LENGTH in found["error"]


def test_bytes_that_do_not_fit_the_shape_and_bytes_behind(client: Client) -> None:
    body, headers = question(IMAGES[:1])
    assert "behind the last tensor" in client.send("POST", INFER, body + b"more", headers)[1]["error"]
    short = body.replace(b'"shape": [1,', b'"shape": [2,')
    assert "72 bytes; shape [2, 2, 3, 3] has 144" in client.send("POST", INFER, short, headers)[1]["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v2/models/smal", 404, "did you mean 'small'"),
        ("POST", "/v2/models/other/infer", 404, "no model 'other'"),
        ("GET", "/v2/models/small/versions/2", 404, "no version '2'"),
        ("POST", "/v2/repository/models/other/load", 404, "no model 'other'"),
        ("GET", INFER, 405, "Method Not Allowed"),
        ("GET", "/", 404, "Not Found"),
        ("GET", "/v1/models/small", 404, "Not Found"),
    ],
)
def test_other_places_and_methods(client: Client, method: str, path: str, status: int, message: str) -> None:
    found = client.send(method, path)
    assert found[0] == status and message in found[1]["error"]


def test_bodies_that_are_too_large_or_compressed(client: Client) -> None:
    large = question(np.zeros((2000, 2, 3, 3), np.float32))
    status, found, _ = client.send("POST", INFER, *large)
    assert status == 413 and "100000 bytes at most" in found["error"]
    pieces = (b"x" * 30_000 for _ in range(5))  # without a length before it
    client.connection.request(
        "POST", INFER, pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
    )
    answer = client.connection.getresponse()
    assert answer.status == 413 and "100000 bytes" in json.loads(answer.read())["error"]
    body, headers = question(IMAGES[:1])
    status, found, _ = client.send("POST", INFER, body, headers | {"Content-Encoding": "gzip"})
    assert status == 415 and "'gzip' is not taken" in found["error"]
    assert client.ask("small", IMAGES[:1])[0] == 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
INPUT = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("images") | JSON,
        "datatype": st.sampled_from(["FP32", "UINT8", "FP16", "BYTES"]) | JSON,
        "shape": st.just([1, 2, 3, 3]) | st.lists(st.integers(-3, 40), max_size=5) | JSON,
        "data": st.just([0.5] * 18) | st.lists(st.floats(), max_size=18) | JSON,
        "parameters": st.dictionaries(st.just("binary_data_size"), st.integers() | JSON) | JSON,
    },
)
BODY = st.fixed_dictionaries(
    {"inputs": st.lists(INPUT, max_size=3) | JSON},
    optional={
        "id": st.text(max_size=5) | JSON,
        "outputs": st.lists(st.fixed_dictionaries({"name": st.sampled_from(OUTPUTS) | JSON}), max_size=3)
        | JSON,
        "parameters": st.fixed_dictionaries(
            {}, optional={"priority": JSON, "timeout": JSON, "binary_data_output": JSON}
        )
        | JSON,
    },
)


@settings(max_examples=100, deadline=None)
@given(body=BODY | JSON, tail=st.binary(max_size=8), length=st.none() | st.integers(-2, 400))
def test_whatever_a_body_says_it_is_answered_or_told_what_is_wrong(
    server: RunningServer, body: Any, tail: bytes, length: int | None
) -> None:
    client = Client(server.url)
    headers = {} if length is None else {HEADER_LENGTH: str(length)}
    status, found, _ = client.send("POST", INFER, json.dumps(body).encode() + tail, headers)
    client.connection.close()
    if status != 200:
        assert 400 <= status < 500 and found["error"]


def test_models_are_listed_taken_out_of_service_and_put_back(made: Made) -> None:
    _, model, client = made()
    images = np.array([[1.0, 0.0]], np.float32)
    whole = {"name": "made", "version": "1", "state": "READY", "reason": ""}
    assert client.send("POST", "/v2/repository/index")[:2] == (200, [whole])
    assert client.send("POST", "/v2/repository/models/made/unload")[:2] == (200, {})
    absent = whole | {"state": "UNAVAILABLE", "reason": "unloaded"}
    assert client.send("POST", "/v2/repository/index", b"{}")[1] == [absent]
    assert client.send("POST", "/v2/repository/index", b'{"ready": true}')[1] == []
    assert client.send("GET", "/v2/models/made/ready")[:2] == (503, {"name": "made", "ready": False})
    status, message = client.ask("made", images, binary=True)
    assert status == 503 and "unloaded" in message
    parameters = json.dumps({"parameters": {"config": "{}"}}).encode()
    assert client.send("POST", "/v2/repository/models/made/load", parameters)[0] == 400
    assert client.send("POST", "/v2/repository/models/made/load", b"[")[0] == 400
    assert client.send("POST", "/v2/repository/models/made/load")[:2] == (200, {})
    assert client.send("GET", "/v2/models/made/ready")[0] == 200
    status, found, _ = client.send("POST", "/v2/models/made/infer", *question(images, "x"))
    assert status == 200 and found["outputs"][0]["data"] == [1.0]
    assert type(model).last is not model, "it was loaded again"


def test_a_model_that_disappears_goes_on_and_says_so(made: Made, tmp_path: Path) -> None:
    _, _, client = made()
    body = question(np.array([[1.0, 0.0]], np.float32), "x")
    file = tmp_path / "made" / "made.json"
    file.write_text('{"seconds": 0.001}')
    status, told, _ = client.send("GET", "/v2/models/made/ready")
    assert status == 200 and "holds other files than were loaded" in told["reason"]
    assert client.send("POST", "/v2/models/made/infer", *body)[0] == 200
    file.unlink()
    file.parent.rmdir()
    assert "is gone" in client.send("GET", "/v2/models/made/ready")[1]["reason"]
    assert "is gone" in client.send("POST", "/v2/repository/index")[1][0]["reason"]
    status, told, _ = client.send("POST", "/v2/repository/models/made/load")
    assert status == 400 and "was not loaded: there is no directory" in told["error"]
    assert client.send("POST", "/v2/models/made/infer", *body)[0] == 200, "what was loaded goes on"
    file.parent.mkdir()
    file.write_text("{}")
    assert client.send("POST", "/v2/repository/models/made/load")[0] == 200
    assert client.send("GET", "/v2/models/made/ready")[1] == {"name": "made", "ready": True}


def test_a_time_that_is_over_is_told_and_what_waits_is_not_run(made: Made) -> None:
    _, model, client = made()
    model.gate.clear()
    images = np.array([[1.0, 1.0]], np.float32)
    body = question(images, "x", parameters={"timeout": 50_000})
    status, told, _ = client.send("POST", "/v2/models/made/infer", *body)
    assert status == 504 and "not answered within 0.05 s" in told["error"]
    model.gate.set()
    assert client.send("POST", "/v2/models/made/infer", *question(images, "x"))[0] == 200
    assert [stage for stage, _ in model.ran].count(1) == 1, "the second stage of the first never ran"


def test_a_network_that_breaks_is_a_fault_of_the_server(made: Made) -> None:
    _, _, client = made()
    body = question(np.array([[-1.0, 0.0]], np.float32), "x")
    status, told, _ = client.send("POST", "/v2/models/made/infer", *body)
    assert status == 500 and "this image breaks it" in told["error"]


def test_a_fault_of_ours_is_an_error_object_without_a_trace(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eecompile.server.inference import Inference

    _, _, client = made()

    def broken(_: Inference) -> None:
        raise KeyError("secret")

    monkeypatch.setattr(Inference, "server_metadata", broken)
    assert client.send("GET", "/v2")[:2] == (500, {"error": "internal error: KeyError"})


def test_a_full_queue_says_when_to_come_again(made: Made) -> None:
    _, model, client = made(max_queue=2)
    model.gate.clear()
    body = question(np.array([[1.0, 0.0]] * 2, np.float32), "x")
    client.connection.request("POST", "/v2/models/made/infer", *body)
    assert model.begun.wait(5)
    other = Client(f"http://{client.connection.host}:{client.connection.port}")
    status, told, headers = other.send("POST", "/v2/models/made/infer", *body)
    assert status == 503 and headers["retry-after"] == "1" and "2 images wait of 2" in told["error"]
    metrics = other.send("GET", "/metrics")[1].decode()
    assert "eecompile_queue_images 2.0" in metrics
    assert 'eecompile_requests_refused_total{reason="queue full"} 1.0' in metrics
    model.gate.set()
    assert client.connection.getresponse().status == 200


def test_metrics_tell_where_images_left(client: Client) -> None:
    def left() -> list[float]:
        lines = client.send("GET", "/metrics")[1].decode().splitlines()
        names = [f'eecompile_images_total{{exit="{name}",model="small"}} ' for name in NAMES]
        return [float(line.removeprefix(name)) for name in names for line in lines if line.startswith(name)]

    before = left()
    exits = client.ask("small", IMAGES)[1]["exit"]
    assert (np.array(left()) - before).tolist() == np.bincount(exits, minlength=3).tolist()
    text = client.send("GET", "/metrics")[1].decode()
    for name, count in zip(NAMES, SEEN, strict=True):
        share = f'eecompile_exit_ratio_at_compile_time{{exit="{name}",model="small"}} {count / sum(SEEN)}'
        assert share in text
