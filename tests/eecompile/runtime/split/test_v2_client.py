"""A client that always comes back: with logits, or with what was wrong."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from eecompile.runtime.split.v2_client import Address, LinkError, RefusedError, V2Client, request_bytes
from passes.errors import InputError
from tests.eecompile.runtime.split.stub_server import (
    Handler,
    Stub,
    answers_another,
    drops_in_the_answer,
    says,
    stub,
    trickles,
)
from tests.eecompile.split.small_split import prepared, small_split


@pytest.fixture(scope="module")
def server() -> Iterator[Stub]:
    with stub(small_split().out / "server") as running:
        yield running


@pytest.fixture
def client(server: Stub) -> Iterator[V2Client]:
    server.fault, server.asked = None, []
    made = V2Client(Address.of(server.url, "server"), 0.4)
    yield made
    made.close()


def payload_of(server: Stub) -> bytes:
    name = server.parts.names[0]
    codec = next(
        offer.codec
        for offer in prepared().question.offers
        if name.hex() in server.parts.described and offer.codec.words == server.parts.described[name.hex()]
    )
    return codec.encode(name, np.zeros(codec.shape, codec.dtype))


def test_logits_come_back_as_bytes_or_as_numbers(server: Stub, client: V2Client) -> None:
    payload = payload_of(server)
    found = client.logits(payload)
    assert found.shape == (1, 4) and found.dtype == np.float32

    def as_numbers(handler: Handler, told: dict[str, Any], _: bytes) -> bool:
        handler.reply_logits(told["id"], found, binary=False)
        return True

    server.fault = as_numbers
    np.testing.assert_array_equal(client.logits(payload), found)
    assert server.asked == [("/v2/models/server/infer", "1"), ("/v2/models/server/infer", "2")]
    assert 0 < client.round_trip_s() < 0.4


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        (says(503), LinkError, "answered 503"),
        (says(429), LinkError, "answered 429"),
        (says(404, b'{"error": "no model"}'), RefusedError, "answered 404: .*no model"),
        (says(200, b"no json"), LinkError, "cannot be read"),
        (says(200, b"{}", 2), LinkError, "cannot be read"),
        (says(200, b"[]", 9), LinkError, "cannot be read: its head"),
        (says(200, b"x" * (2 << 20)), LinkError, "more than"),
        (says(200, json.dumps({"id": "1", "outputs": []}).encode()), LinkError, "no output 'logits'"),
        (answers_another, LinkError, "answers request another, not 1"),
        (drops_in_the_answer, LinkError, "the link broke"),
        (trickles, LinkError, "no answer within 0.4 s"),
    ],
)
def test_what_is_no_answer_is_said_in_time(
    fault: Any, kind: type[LinkError], message: str, server: Stub, client: V2Client
) -> None:
    server.fault = fault
    begun = time.perf_counter()
    with pytest.raises(LinkError, match=message) as raised:
        client.logits(payload_of(server))
    assert time.perf_counter() - begun < 2
    assert type(raised.value) is kind
    server.fault = None
    assert client.logits(payload_of(server)).shape == (1, 4), "and goes on"


@pytest.mark.parametrize(
    "output",
    [
        {"name": "logits", "datatype": "INT64", "shape": [1, 1], "data": [1]},
        {"name": "logits", "datatype": "FP32", "shape": [2, 1], "data": [1, 2]},
        {"name": "logits", "datatype": "FP32", "shape": [1, 3], "data": [1]},
        {"name": "logits", "datatype": "FP32", "shape": [1, 1], "data": ["x"]},
        {"name": "logits", "datatype": "FP32"},
    ],
)
def test_logits_of_a_wrong_kind_are_refused(output: dict[str, Any], server: Stub, client: V2Client) -> None:
    server.fault = says(200, json.dumps({"id": "1", "outputs": [output]}).encode())
    with pytest.raises(LinkError, match="cannot be read"):
        client.logits(payload_of(server))


def test_nobody_there_is_said_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(LinkError, match="no connection"):
        V2Client(Address("127.0.0.1", port, "server"), 0.4).logits(b"x")


def test_who_never_reads_does_not_hold_the_client_up() -> None:
    """A link that drops in mid-tensor: what was sent fills all that buffers hold, and nothing comes back."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        kept: list[Any] = []
        threading.Thread(target=lambda: kept.append(listener.accept()), daemon=True).start()
        client = V2Client(Address("127.0.0.1", listener.getsockname()[1], "server"), 0.3)
        begun = time.perf_counter()
        with pytest.raises(LinkError, match=r"no answer within 0\.3 s"):
            client.logits(bytes(30_000_000))
        assert time.perf_counter() - begun < 2
        kept[0][0].close()


def test_the_request_is_what_the_protocol_says() -> None:
    whole = request_bytes(Address("box", 81, "net"), b"\x00\xff", "7")
    head, _, body = whole.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v2/models/net/infer HTTP/1.1" and "Host: box:81" in lines
    length = next(int(line.split(": ")[1]) for line in lines if line.startswith("Inference-Header"))
    told = json.loads(body[:length])
    assert told["id"] == "7" and told["inputs"][0]["shape"] == [1, 2] and body[length:] == b"\x00\xff"
    assert f"Content-Length: {len(body)}" in lines


@pytest.mark.parametrize("url", ["", "https://a", "http://", "http://a:b", "ftp://a"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="is no address of a server"):
        Address.of(url, "net")
    assert Address.of("http://a:9", "net") == Address("a", 9, "net") == Address.of("a:9", "net")
