"""The pass and its text form."""

from __future__ import annotations

import numpy as np
import pytest

from passes.base import Pipeline, to_text
from passes.errors import InputError, PassError
from passes.model.graph import from_model
from passes.pruning.groups import find_groups
from passes.pruning.prune_channels import PruneChannels, magnitudes, removal
from passes.registry import parse_pass
from passes.state import state_of
from tests.passes.equivalence import check_stable
from tests.passes.grids import activation_grid
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import chain


def test_the_places_listed_go_and_only_once() -> None:
    graph = from_model(chain())
    weights = graph.nodes[0].inputs[1].values
    step = PruneChannels(remove=("conv_0/4:0:2-3", "n2_Conv/4:1"))
    assert parse_pass(to_text(step)) == step
    assert step(graph)
    np.testing.assert_array_equal(graph.nodes[0].inputs[1].values, weights[1:2])
    assert [list(t.inputs[1].shape)[:2] for t in graph.nodes if t.op == "Conv"] == [[1, 2], [3, 1], [4, 3]]
    check_stable(graph, Pipeline((step,)))


def test_the_smallest_go_until_as_many_are_left() -> None:
    net = NetBuilder((1, 2, 4, 4))
    stem = net.conv("x", 2, 4)
    graph = from_model(net.model(net.conv(net.op("Add", stem, net.conv(stem, 4, 4)), 4, 2)))
    found = find_groups(graph)
    sums = [np.square(node.inputs[1].values).sum(axis=(1, 2, 3)) for node in graph.nodes if node.op == "Conv"]
    both = sums[0] + sums[1]  # of both layers whose channels are one
    np.testing.assert_allclose([magnitudes(graph, found)[u] for u in found.groups[0].units], both, rtol=1e-5)
    weights = graph.nodes[0].inputs[1].values
    step = PruneChannels(keep=("conv_1:3",))
    assert step(graph)
    np.testing.assert_array_equal(graph.nodes[0].inputs[1].values, np.delete(weights, both.argmin(), axis=0))
    assert not step(graph)


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_a_layer_with_a_group_per_channel_counts_beside_what_it_reads(op: str) -> None:
    net = NetBuilder((1, 2, 4, 4))
    stem = net.op("Mul", net.conv("x", 2, 4), net.normal(4, 1, 1))
    own = net.op(op, stem, net.normal(4, 1, 3, 3), pads=[1] * 4, group=4)
    graph = from_model(net.model(net.conv(own, 4, 2)))
    found = find_groups(graph)
    weights = [node.inputs[1].values for node in (graph.nodes[0], graph.nodes[2])]
    both = sum(np.square(values).sum(axis=(1, 2, 3)) for values in weights)
    np.testing.assert_allclose([magnitudes(graph, found)[u] for u in found.groups[0].units], both, rtol=1e-5)


def test_the_text_of_a_removal_lists_runs() -> None:
    found = find_groups(from_model(chain()))
    units = found.groups[0].units
    assert removal(found.groups[0], [units[3], units[0], units[1]]) == "conv_0/4:0-1:3"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"remove": ("conv_0",)}, "`remove` cannot be 'conv_0'"),
        ({"remove": ("conv_0/4:4",)}, "of 4 channels these cannot go"),
        ({"remove": ("conv_0/4:0-3",)}, "of 4 channels these cannot go"),
        ({"remove": ("conv_0/9:1",)}, "'conv_0' has 4 channels that may go, not 9"),
        ({"remove": ("conv_9/4:1",)}, "'conv_9' has no channels that may go\ndid you mean 'conv_"),
        ({"keep": ("conv_0:0",)}, "`keep` cannot be 'conv_0:0'"),
        ({"keep": ("gemm_0:1",)}, "'gemm_0' has no channels that may go: they are what the network answers"),
    ],
)
def test_what_cannot_be_is_told(options: dict[str, tuple[str, ...]], message: str) -> None:
    graph = from_model(chain())
    with pytest.raises(InputError) as error:
        PruneChannels(**options)(graph)
    assert message in str(error.value)


def test_channels_that_stay_are_declined_with_the_reason() -> None:
    graph = from_model(chain())
    assert not PruneChannels()(graph)
    assert [(d.subject, d.reason) for d in state_of(graph).declined] == [
        ("n8_Gemm", "channels stay: they are what the network answers")
    ]


def test_a_network_with_grids_is_refused() -> None:
    graph = from_model(chain())
    state_of(graph).grids["x"] = activation_grid(0.1)
    with pytest.raises(PassError, match="prune before `quantize`"):
        PruneChannels(keep=("conv_0:2",))(graph)
