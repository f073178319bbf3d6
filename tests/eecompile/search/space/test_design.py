"""A design as text, and what it asks of numbers."""

from __future__ import annotations

from dataclasses import replace

from eecompile.pruning.goal import PruningGoal
from eecompile.quantization.wishes import SchemeWish
from eecompile.search.space.design import Design
from passes.option_text import parse_list

DESIGN = Design("resnet8", {"width": 8}, "resnet8{width=8}", 4, None, "analog", PruningGoal("cycles", 0.15))


def test_text_says_all_and_differs_with_each() -> None:
    (read,) = parse_list(DESIGN.text, "design")
    assert {key: value for key, (value,) in read.options.items()} == {
        "backbone": "resnet8{width=8}", "bits": "4", "head_bits": "usual", "placement": "analog",
        "prune": "cycles=-15%",
    }  # fmt: skip
    others = [
        replace(DESIGN, backbone="resnet8{width=4}"), replace(DESIGN, backbone_bits=None),
        replace(DESIGN, head_bits=4), replace(DESIGN, placement="auto"), replace(DESIGN, goal=None),
    ]  # fmt: skip
    assert len({DESIGN.text, *(other.text for other in others)}) == 6


def test_usual_bits_ask_for_nothing() -> None:
    assert DESIGN.wish == SchemeWish("analog", {"backbone": 4})
    assert not replace(DESIGN, backbone_bits=None, placement="auto").wish
