"""Bits by part: the longest name counts, and parts are whole names."""

from __future__ import annotations

import pytest

from eecompile.search.space.bits import BackboneBits, BitsByPart, bits_size, bits_text
from tests.eecompile.search.backbones.networks import backbone


def test_layers_of_parts() -> None:
    graph = backbone("resnet", {"blocks": 2, "stages": 2})
    found = BitsByPart((("stage_1", 4), ("stage_1.block_0", 2), ("stem", 8))).of_layers(graph)
    assert found == {
        "stem": 8, "stage_1.block_0.conv_1": 2, "stage_1.block_0.conv_2": 2, "stage_1.block_0.shortcut": 2,
        "stage_1.block_1.conv_1": 4, "stage_1.block_1.conv_2": 4,
    }  # fmt: skip
    assert BitsByPart((("stage", 4), ("stage_2", 4), ("stem", 4))).missing(graph) == {"stage", "stage_2"}


@pytest.mark.parametrize(
    ("bits", "text", "size"),
    [(None, "usual", 8), (4, "4", 4), (BitsByPart((("a", 4), ("b", 6))), "a:4/b:6", 6)],
)
def test_text_and_order(bits: BackboneBits, text: str, size: float) -> None:
    assert (bits_text(bits), bits_size(bits)) == (text, size)
