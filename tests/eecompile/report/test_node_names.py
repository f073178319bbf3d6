from __future__ import annotations

from typing import Any

import pytest

from eecompile.report.node_names import node_names, origin_of, renamed


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("", ()),
        ('["conv", "bn"]', ("conv", "bn")),
        ("a/BiasAdd;a/Conv2D", ("a/BiasAdd;a/Conv2D",)),
        ("17", ("17",)),
        ('["a"', ('["a"',)),
    ],
)
def test_an_origin_is_a_list_or_in_earlier_versions_a_name(text: str, nodes: tuple[str, ...]) -> None:
    assert origin_of(text) == nodes


def test_layers_are_called_by_their_first_node_and_never_alike() -> None:
    layers = [("conv_0", ("stem", "bn")), ("exit_0/gemm", ()), ("gemm_0", ("lstm",)), ("gemm_1", ("lstm",))]
    assert node_names(layers) == {
        "conv_0": "stem",
        "exit_0/gemm": "exit_0/gemm",
        "gemm_0": "lstm (gemm_0)",
        "gemm_1": "lstm (gemm_1)",
    }


def test_events_of_layers_are_renamed_and_no_others() -> None:
    events: list[dict[str, Any]] = [
        {"ph": "X", "name": "conv_0", "args": {"for": "conv_0", "bytes": 4}},
        {"ph": "C", "name": "conv_0", "args": {"bits": 3}},
        {"ph": "X", "name": "load"},
        {"ph": "X"},
    ]
    found = renamed(events, {"conv_0": "stem"})
    assert found == (
        {"ph": "X", "name": "stem", "args": {"for": "stem", "bytes": 4}},
        *events[1:],
    )
    assert events[0]["name"] == "conv_0", "what was given is as it was"
