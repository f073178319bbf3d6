"""Networks in memory are read as files are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx
import pytest

from passes.errors import InputError
from passes.model.graph import load
from passes.model.in_memory import ModelInMemory, recorded, sha256_of_network
from passes.model.writing import to_model
from tests.eecompile.small_models import skip_net, write_skip_net


def test_bytes_give_the_graph_of_the_file(tmp_path: Path) -> None:
    path = write_skip_net(tmp_path / "net.onnx")
    network = ModelInMemory(path.read_bytes())
    assert to_model(load(network)) == to_model(load(path))
    assert sha256_of_network(network) == sha256_of_network(path) == hashlib.sha256(network.data).hexdigest()


def test_what_it_is_called() -> None:
    network = ModelInMemory(b"abc")
    assert (str(network), network.name, network.stem) == ("the model", "model.onnx", "model")
    assert repr(network) == "ModelInMemory(3 bytes)"
    assert recorded(network) == "model.onnx" and recorded(Path("a/net.onnx")) == "a/net.onnx"


@pytest.mark.parametrize("data", [b"", b"no model at all", skip_net().SerializeToString()[:200]])
def test_what_is_no_model_is_told(data: bytes) -> None:
    with pytest.raises(InputError, match="the model is not an ONNX model"):
        load(ModelInMemory(data))


def test_weights_beside_are_absent(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(skip_net(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    from passes.state import state_of

    assert state_of(load(ModelInMemory(path.read_bytes()))).symbolic
    assert not state_of(load(path)).symbolic
