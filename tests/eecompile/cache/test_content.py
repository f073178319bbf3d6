from __future__ import annotations

import numpy as np

from eecompile.cache.content import hash_of, network_hash
from tests.eecompile.training.small import network


def test_hashes_tell_networks_and_arrays_apart() -> None:
    graph = network()
    first = network_hash(graph)
    assert first == network_hash(network())
    graph.nodes[0].inputs[1].values = graph.nodes[0].inputs[1].values + 1
    assert network_hash(graph) != first
    renamed = network()
    renamed.nodes[0].attrs["strides"] = [1, 1]
    assert network_hash(renamed) != first
    a = np.arange(4)
    assert hash_of([a]) == hash_of([a.copy()]) != hash_of([a.reshape(2, 2)])
    assert hash_of([a, "x"]) != hash_of([a, "y"])
