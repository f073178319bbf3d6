"""Networks in the hand of others: each is valid, runs, and is made alike each time."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from tools.zoo_foreign import FOREIGN
from tools.zoo_networks import NETWORKS, Network


def test_names_are_new() -> None:
    names = [network.name for network in (*FOREIGN, *NETWORKS)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("network", FOREIGN, ids=lambda network: network.name)
def test_a_network_is_valid_and_made_alike_each_time(network: Network) -> None:
    model = network.build()
    assert model.SerializeToString() == network.build().SerializeToString()
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given = {
        entry.name: np.ones(entry.shape, np.int64 if "int64" in entry.type else np.float32)
        for entry in session.get_inputs()
    }
    assert all(np.isfinite(found).all() for found in session.run(None, given))
