from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from targets.contract.placement import Placement
from targets.max78000.target import Max78000Target
from targets.max78002.target import Max78002Target
from targets.network.layer import Layer
from targets.testing.conformance import TargetConformance, sample_layer
from tests.targets.max78000.test_constraints import product
from tests.targets.max78000.test_jobs import conv, padded
from tests.targets.max78000.test_target import one_after_another
from tests.targets.networks import linear_layer, square

SMALL, LARGE = Max78000Target(), Max78002Target()


class TestMax78002(TargetConformance):
    target = LARGE


def placed(layer: Layer) -> Placement:
    found = LARGE.place(layer)
    assert isinstance(found, Placement), str(found)
    return found


def test_what_both_take_costs_the_same_but_is_not_known_as_well() -> None:
    for layer in (conv(), sample_layer("Gemm"), sample_layer("Add"), sample_layer("MaxPool")):
        small = SMALL.place(layer)
        assert isinstance(small, Placement)
        assert placed(layer).cost == replace(small.cost, known="placeholder")
        assert small.cost.known == "published"


def test_depthwise_layers_write_a_channel_a_cycle() -> None:
    cost = placed(linear_layer(padded(square(64, 64, 32, 3, groups=64)))).cost
    full = placed(linear_layer(padded(square(64, 64, 32, 3)))).cost
    assert cost.latency_cycles == full.latency_cycles and cost.known == "placeholder"
    assert cost.utilization < full.utilization


def test_there_is_more_room() -> None:
    layers = [linear_layer(padded(square(64, 64, 8, 3)))] * 64
    assert LARGE.shortages(one_after_another(*layers)) == ()
    (words,) = LARGE.shortages(one_after_another(*layers, layers[0]))
    assert "need 4,160 words of 72 bits of a processor's weight memory, there are 4,096" in words.sentence
    (stage,) = LARGE.shortages(one_after_another(*[replace(product(4, 4), bias=None)] * 129))
    assert "129 layers, there may be 128" in stage.sentence


def test_going_on_needs_no_new_registers() -> None:
    decision = replace(sample_layer("Softmax"), exit_name="exit_0")
    found = SMALL.place(decision)
    assert isinstance(found, Placement)
    assert placed(decision).cost.job_cycles == 340 < found.cost.job_cycles


def test_nothing_is_claimed_to_be_validated() -> None:
    assert LARGE.model.known_error.startswith("not validated")
    folder = Path(__file__).parents[3] / "targets" / "max78002"
    assert not (folder / "validation.yaml").exists()
    assert "validated" in (folder / "README.md").read_text(encoding="utf-8")
