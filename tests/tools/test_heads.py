"""The table of heads: figures that add up, and refusals with their rule."""

from __future__ import annotations

from passes.exits.recognise import classifier_exits
from passes.heads.designs import parse_head
from passes.model.graph import from_model
from passes.registry import parse_pipeline
from targets.contract.registry import load_target
from tests.passes.small_nets import chain
from tools.heads import head_figures, table


def test_figures_are_those_of_the_layers() -> None:
    plain = from_model(chain(3))
    parse_pipeline("canonicalize,fold-batchnorm")(plain)
    classifier_exits(plain)
    heads = [parse_head(text) for text in ("linear", "conv", "separable{kernel=2}", "feature")]
    found = {(item.mount, item.head): item for item in head_figures(plain, load_target("diana"), heads)}
    assert [mount for mount, head in found if head == "linear"] == ["relu_0", "relu_1"]
    linear, conv = found["relu_0", "linear"], found["relu_0", "conv"]
    assert (linear.shape, linear.macs, linear.parameters) == ((4, 8, 8), 2 * 64, 2 * 64 + 2)
    weights = 32 * 4 * 9 + 2 * 32 * 16
    assert (conv.macs, conv.parameters) == (16 * 32 * 4 * 9 + 2 * 32 * 16, weights + 32 + 2)
    assert 0 < linear.cycles < conv.cycles
    assert "'exit_0/conv_1' (Conv)" in found["relu_1", "separable{kernel=2}"].refused
    assert "reads no features with 2 spatial axes" in found["relu_1", "feature"].refused
    lines = table(list(found.values())).splitlines()
    assert len(lines) == 2 + 8
    assert {line.count("|") for line in lines} == {6}
    assert lines[2] == f"| relu_0 [4, 8, 8] | `linear` | 128 | 130 | {linear.cycles:,} |"
