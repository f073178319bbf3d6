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


REASONS = (
    Reason("analog", "Weights are ternary"),
    Reason("digital", "Dilation is 1"),
    Reason("digital", "Padding is SAME"),
    Reason("simd", "Weights are ternary"),
)


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (
            Refusal("conv_0", "Conv", ("stem", "stem_relu"), REASONS, "quantize; or drop the dilation"),
            "no core takes layer 'conv_0' (Conv, from stem). Broken rules:\n"
            "  analog, simd: Weights are ternary\n"
            "  digital: Dilation is 1; Padding is SAME\n"
            "  To help: quantize; or drop the dilation.",
        ),
        # The compiler added it, and nothing is known to help.
        (
            Refusal("exit_0.decide", "Gelu", (), REASONS[:1], ""),
            "no core takes layer 'exit_0.decide' (Gelu). Broken rules:\n  analog: Weights are ternary",
        ),
    ],
)
def test_a_refusal_tells_all_its_reasons_core_by_core(refusal: Refusal, told: str) -> None:
    assert str(refusal) == told


def test_a_refusal_fits_a_terminal() -> None:
    long = Reason("digital", "a rule of many words that goes on and on " * 4)
    name = "/a/very/long/name/that/no/line/of/eighty/columns/holds/because/exporters/write/whole/paths/Conv"
    told = str(Refusal("conv_0", "Conv", (name,), (long, *REASONS), "do this; or " * 12 + "that"))
    lines = told.splitlines()
    assert max(len(line) for line in lines if name not in line) <= 78
    assert name in told and " ".join(told.split()).count("goes on and on") == 4
    # What belongs together is further in.
    starts = [line.split(":")[0].strip() for line in lines[1:] if not line.startswith("    ")]
    assert starts == ["digital", "analog, simd", "To help"]
