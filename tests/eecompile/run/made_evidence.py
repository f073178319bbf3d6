"""A run whose answers are made up, so that every figure of it can be counted by hand.

Twelve images, all of class 0, and three exits. What leaves where under thresholds of 0.8:

======  ========  ===================================
images  leave at  what is wrong
======  ========  ===================================
0-4     exit 0    exit 0 on images 3 and 4
5-7     exit 1    exit 0 and the final one on image 7
8-11    final     all exits on image 11
======  ========  ===================================

So 9 are right where they leave, and 10 at the final exit: two were lost, one was gained.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import Dataset, Split
from eecompile.deployment.model_files import Forms
from eecompile.exits.answers import Answers
from eecompile.exits.candidates import Candidate, CandidateExit, Figures, shares
from eecompile.exits.choice import ExitChoice
from eecompile.exits.removed import RemovedExit
from eecompile.run.clock import Clock
from eecompile.run.evidence import Evidence
from eecompile.run.options import RunOptions
from eecompile.run.other_models import recost
from eecompile.run.prepare import Prepared, cost_of
from passes.confidence import MAX_SOFTMAX
from passes.exits.chain import keep_exits, set_thresholds
from passes.exits.insert_exits import InsertExits
from passes.model.graph import load
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from targets.contract.registry import load_target
from targets.contract.target import Target
from targets.evaluation.report import CostReport
from targets.evaluation.scheduling import Wishes
from targets.objective import EDP

IMAGES = 12
LEAVES_AT = [0] * 5 + [1] * 3 + [2] * 4
WRONG = ({3, 4, 7, 11}, {11}, {7, 11})
RATIOS = (5 / 12, 3 / 12, 4 / 12)
THRESHOLD = np.float32(0.8)
EXAMPLE = Path(__file__).parents[3] / "examples" / "digits_resnet.onnx"


def logits_of(confidence: Sequence[float], wrong: Sequence[int] | set[int]) -> NDArray[np.float32]:
    """Return logits [N, 2] whose largest softmax is ``confidence``, of class 1 for the ``wrong`` images."""
    sure = np.array(confidence)
    gap = np.log(sure / (1 - sure))
    z = np.zeros((len(sure), 2), np.float32)
    z[:, 0] = gap
    z[list(wrong)] = z[list(wrong)][:, ::-1]
    return z


def made_answers(wrong: Sequence[set[int]] = WRONG) -> Answers:
    """Return the answers of the table above; ``wrong`` has the images that each exit gets wrong."""
    confidence = [[0.95 if at == number else 0.6 for at in LEAVES_AT] for number in (0, 1)]
    logits = [logits_of(c, w) for c, w in zip([*confidence, [0.7] * IMAGES], wrong, strict=True)]
    return Answers(tuple(logits), np.zeros(IMAGES, np.int64), (MAX_SOFTMAX,) * 2)


@functools.cache
def network() -> gs.Graph:
    """Return the example with two early exits."""
    graph = load(EXAMPLE)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    InsertExits(("relu_2", "relu_4"), "linear")(graph)
    return graph


def costs(exits: tuple[int, ...] = (0, 1), host_scale: float = 1.0, speculate: bool = False) -> CostReport:
    """Return the costs of the example with some of its exits on DIANA."""
    return of(load_target("diana", host_scale=host_scale), exits, speculate)


@functools.cache
def of(target: Target, exits: tuple[int, ...], speculate: bool = False) -> CostReport:
    """Return the costs of the example with some of its exits on a target."""
    graph = keep_exits(network(), [f"exit_{number}" for number in exits])
    ratios = RATIOS if len(exits) == 2 else None
    return cost_of(graph, target, EDP, ratios=ratios, wishes=Wishes(speculate=speculate))


def evidence(kept: tuple[int, ...] = (0, 1), **options: Any) -> Evidence:
    """Return what such a run has found out before it sums up; some of two exits are kept."""
    graph = keep_exits(network(), [f"exit_{number}" for number in kept])
    thresholds = (THRESHOLD,) * len(kept)
    set_thresholds(graph, [float(t) for t in thresholds])
    tried = [CandidateExit(f"exit_{n}", mount, "linear", MAX_SOFTMAX) for n, mount in enumerate(("a", "b"))]
    seen = made_answers()
    found, static = costs(kept), costs(())
    names = {e.mount: f"name of {e.mount}" for e in state_of(network()).exits}
    plain = keep_exits(network(), [])
    target = load_target("diana")
    prepared = Prepared(plain, copy_graph(network()), True, target, costs(), names, False)
    result = Evidence(RunOptions(EXAMPLE, **options), prepared, Clock(lambda _: None), Path())
    images = Split(np.zeros((IMAGES, 1, 8, 8), np.uint8), np.zeros(IMAGES, np.int64))
    result.dataset = Dataset("made up", images, images, images, 2)
    result.val = result.lowered_test = seen
    result.baseline, result.training = None, {"trainer": "frozen"}
    result.float_test = made_answers(({0}, set(), {11}))
    result.calibrated, result.calibration = (
        None,
        {"images": 5, "calibration": "minmax", "schemes": ("int8-pow2",)},
    )
    result.seen = {"float": (result.float_test, result.float_test), "ptq": (seen, seen)}
    result.quant_test = made_answers(({0, 1}, {2, 3, 4}, {7, 11}))
    ratios = shares(seen.select(kept), thresholds)
    figures = Figures(kept, thresholds, ratios, found, 0.0, 0.0, 0.0)
    gone = tuple(
        RemovedExit(name=str(tried[n]), mount_name=tried[n].mount, reason="dear")
        for n in (0, 1)
        if n not in kept
    )
    candidate = Candidate(tuple(tried[n] for n in kept))
    result.chosen = ExitChoice(candidate, figures, static, gone, min_gain=2.0)
    result.guarantee, result.proxies = None, ()
    result.forms = Forms(graph, graph, graph, plain, plain)
    result.costs, result.static = found, static
    result.recosted = recost(target, lambda t: (of(t, kept), of(t, ())), lambda _: None)
    return result
