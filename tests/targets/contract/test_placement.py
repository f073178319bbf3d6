"""What a placement and a refusal say."""

from __future__ import annotations

import pytest

from targets.contract.placement import CandidateCore, Placement, Reason, Refusal
from targets.cost.layer_cost import LayerCost


def cost(cycles: int) -> LayerCost:
    return LayerCost(cycles, 0, 0, 0, 1.0, 1.0, cycles, "placeholder")


def test_the_first_candidate_is_the_chosen_one() -> None:
    candidates = (CandidateCore("slow", cost(9)), CandidateCore("fast", cost(3)))
    placement = Placement("conv_0", candidates)
    # They come sorted by what is minimised, which need not be the cycles.
    assert (placement.core, placement.cost) == ("slow", cost(9))


REASONS = (Reason("analog", "Weights are ternary"), Reason("digital", "Dilation is 1"))


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (
            Refusal("conv_0", "Conv", ("stem", "stem_relu"), REASONS, "quantize; or drop the dilation"),
            "no core takes layer 'conv_0' (Conv, from stem). Broken rules: analog: Weights are ternary; "
            "digital: Dilation is 1. To help: quantize; or drop the dilation.",
        ),
        # The compiler added it, and nothing is known to help.
        (
            Refusal("exit_0.decide", "Gelu", (), REASONS[:1], ""),
            "no core takes layer 'exit_0.decide' (Gelu). Broken rules: analog: Weights are ternary.",
        ),
    ],
)
def test_a_refusal_is_a_sentence_with_all_its_reasons(refusal: Refusal, told: str) -> None:
    assert str(refusal) == told
