"""The one promise of pruning: without channels that nothing hears the network answers the same."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.pruning.channels import WeightCut
from passes.pruning.groups import Dependencies, find_groups
from passes.pruning.remove import remove_channels
from passes.state import copy_graph
from tests.passes.equivalence import ATOL, RTOL, batch_of, check_shapes, run_model

READERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def deafened(graph: gs.Graph, found: Dependencies, gone: set[int]) -> gs.Graph:
    """Return a copy with all channels, whose layers multiply what they read of some by zero."""
    copy = copy_graph(graph)
    nodes = {node.name: node for node in copy.nodes}
    for site in found.channels.sites:
        if not isinstance(site, WeightCut) or site.index != 1 or nodes[site.node].op not in READERS:
            continue
        node = nodes[site.node]
        if node.attrs.get("group", 1) != 1 and site.axis == 0:
            continue  # what it makes
        made = found.channels.made[site.node]
        if len(made) == len(site.ids) and (made == site.ids).all():
            continue
        values = np.array(node.inputs[1].values)
        places = np.flatnonzero(np.isin(found.channels.roots(site.ids), list(gone)))
        np.moveaxis(values, site.axis, 0)[places] = 0
        node.inputs[1] = gs.Constant(f"{site.node}_deaf_{site.axis}", values)
    return copy


def check_removal(model: onnx.ModelProto, seed: int = 0) -> Dependencies:
    """Remove some channels of every group of a network, and compare with one that does not hear them."""
    graph = from_model(model)
    found, rng = find_groups(graph), np.random.default_rng(seed)
    gone: set[int] = set()
    for group in found.groups:
        gone |= set(rng.permutation(group.units)[: rng.integers(0, len(group))].tolist())
    silent = deafened(graph, found, gone)
    assert remove_channels(graph, found, gone) == bool(gone)
    pruned = to_model(graph)
    onnx.checker.check_model(pruned, full_check=True)
    check_shapes(graph)
    for image in batch_of(model, 2, seed):
        given, answers = run_model(to_model(silent), image[None]), run_model(pruned, image[None])
        for expected, answer in zip(given, answers, strict=True):
            np.testing.assert_allclose(answer, expected, rtol=RTOL, atol=ATOL)
    if gone:
        assert pruned.ByteSize() < to_model(silent).ByteSize()
    return found
