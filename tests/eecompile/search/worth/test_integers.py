from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.quantization.wishes import SchemeWish
from eecompile.search.worth.images import for_families
from eecompile.search.worth.integers import Numbers, logits_of, packed, unpacked
from passes.model.graph import from_model
from passes.registry import parse_pipeline
from passes.state import state_of
from targets.contract.registry import load_target
from targets.objective import EDP
from tests.eecompile.search.small import write_images
from tests.passes.small_nets import chain


def test_answers_are_kept_to_the_bit() -> None:
    logits = tuple(np.random.default_rng(k).normal(size=(5, 3)).astype(np.float32) for k in range(12))
    again = unpacked(packed(logits))
    assert len(again) == 12 and all(np.array_equal(a, b) for a, b in zip(logits, again, strict=True))


def test_bits_that_are_wished_for_are_those_it_computes_with() -> None:
    graph = from_model(chain(2, 3))
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    numbers = Numbers(load_target("gap9"), EDP)
    few = numbers.assigned(graph, SchemeWish("auto", {"backbone": 4}))
    usual = numbers.assigned(graph, SchemeWish("auto", {}))

    def widths(made: gs.Graph) -> set[int]:
        found = state_of(made).precisions.values()
        return {precision.weights.bits for precision in found if precision.weights is not None}

    assert widths(usual) == {8} and 4 in widths(few)
    assert not state_of(graph).precisions


def test_integers_answer_nearly_as_floats_do(tmp_path: Path) -> None:
    images = for_families(str(write_images(tmp_path, 64, 32)), "auto", 0)
    from eecompile.search.backbones.registry import backbone_family
    from eecompile.training.fresh_weights import draw_network
    from passes.exits.recognise import classifier_exits

    graph = backbone_family("resnet").graph(
        images.shape, 3, {"width": 4, "blocks": 1, "stages": 2, "kernel": 3}
    )
    classifier_exits(graph)
    draw_network(graph, 0)
    numbers = Numbers(load_target("diana"), EDP)
    lowered = numbers.lowered(numbers.calibrated(graph, SchemeWish("auto", {}), images))
    real, integer = (logits_of(g, images.dataset.val, images)[-1] for g in (graph, lowered))
    assert not np.array_equal(real, integer)
    assert np.abs(real - integer).max() < 0.2 * np.abs(real).max()
