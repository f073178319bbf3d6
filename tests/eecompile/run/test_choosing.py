from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile.data.dataset import halves
from eecompile.exits.answers import Answers
from eecompile.exits.candidates import Candidate, Evaluation
from eecompile.exits.choice import ExitChoice
from eecompile.exits.guarantee import TESTS, differences
from eecompile.run.choosing import choose_on_val, constraints_of
from eecompile.run.clock import Clock
from eecompile.run.evidence import Evidence
from eecompile.run.options import RunOptions
from eecompile.run.prepare import cost_of
from eecompile.run_files.summary import GuaranteeInfo
from passes.confidence import MAX_SOFTMAX
from passes.errors import InputError, NoSolutionError
from targets.contract.registry import load_target
from targets.evaluation.report import CostReport
from targets.objective import EDP
from tests.eecompile.run.made_evidence import EXAMPLE, evidence

IMAGES = 800


def cost(graph: gs.Graph, ratios: Sequence[float] | None, speculate: bool) -> CostReport:
    assert not speculate
    return cost_of(graph, load_target("diana"), EDP, ratios=ratios)


def answers(spoilt: Sequence[int] = ()) -> Answers:
    """Exits are right but for images they are unsure of; ``spoilt`` ones they are sure of and wrong."""
    rng = np.random.default_rng(0)
    sure = rng.random((2, IMAGES)) * 0.49 + 0.5
    wrong = sure < np.array([[0.7], [0.6]])
    wrong[:, list(spoilt)] = True
    sure[:, list(spoilt)] = 0.98
    logits = []
    for confidence, miss in zip([*sure, np.full(IMAGES, 0.9)], [*wrong, np.zeros(IMAGES, bool)], strict=True):
        z = np.zeros((IMAGES, 2), np.float32)
        z[:, 0] = np.log(confidence / (1 - confidence)) * np.where(miss, -1, 1)
        logits.append(z)
    return Answers(tuple(logits), np.zeros(IMAGES, np.int64), (MAX_SOFTMAX,) * 2)


def asked(val: Answers, by_name: bool = False, **options: Any) -> Evidence:
    made = evidence()
    made_up = Evidence(
        RunOptions(EXAMPLE, **{"max_drop": 4.0, **options}),
        replace(made.prepared, asked=by_name),
        Clock(lambda _: None),
        Path(),
    )
    made_up.val, made_up.lowered = val, made.prepared.graph
    return made_up


def found(
    val: Answers, by_name: bool = False, **options: Any
) -> tuple[ExitChoice, GuaranteeInfo | None, list[str]]:
    made = choose_on_val(asked(val, by_name, **options), cost)
    return made.chosen, made.guarantee, made.notes


def test_what_macs_had_chosen_is_told_beside_by_the_cost_model() -> None:
    made = choose_on_val(asked(answers()), cost)
    assert [choice.proxy for choice in made.proxies] == ["MACs", "MACs²"]
    for choice in made.proxies:
        assert choice.candidate.exits and choice.figures.value >= made.chosen.figures.value * 0.98
        assert choice.figures.costs.ratios == choice.figures.ratios


@pytest.mark.parametrize(("by_name", "networks"), [(False, 4), (True, 1)])
def test_networks_are_looked_for_once(by_name: bool, networks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Candidate] = []
    whether = Evaluation.is_network

    def counted(evaluation: Evaluation, candidate: Candidate) -> bool:
        seen.append(candidate)
        return whether(evaluation, candidate)

    monkeypatch.setattr(Evaluation, "is_network", counted)
    made = choose_on_val(asked(answers(), by_name), cost)
    assert len(seen) == len(set(seen)) == networks
    assert made.chosen.kept in seen and {choice.candidate for choice in made.proxies} <= set(seen)


def test_constraints_bind_and_the_one_that_cannot_be_kept_is_named() -> None:
    free, few = (found(answers(), max_final_ratio=share)[0] for share in (1.0, 0.3))
    assert few.figures.ratios[-1] <= 0.3 + 1e-9
    assert few.figures.value >= free.figures.value
    with pytest.raises(NoSolutionError, match="`max_final_ratio`: the share of images that reach") as caught:
        found(answers(), max_final_ratio=0.0)
    assert "0 are allowed" in str(caught.value) and "`max_drop`" in str(caught.value.hint)


def test_seconds_need_a_clock() -> None:
    clockless = load_target("edge_tpu_quad")
    assert clockless.operating_point is None
    with pytest.raises(InputError, match="`max_worst_latency` is in seconds"):
        constraints_of(RunOptions(EXAMPLE, max_worst_latency=1.0), clockless)
    bound = constraints_of(RunOptions(EXAMPLE, max_latency_p95=1.0), load_target("diana"))
    assert bound.clock_hz and bound.max_latency_p95 == 1.0


def test_nothing_is_promised_where_nothing_was_asked() -> None:
    chosen, promise, notes = found(answers())
    assert chosen.kept.exits and promise is None and notes == []


def test_what_is_promised_was_seen_by_images_that_chose_nothing() -> None:
    chosen, promise, notes = found(answers(), guarantee=0.1, seed=5)
    chooses, tests = halves(IMAGES, 5)
    assert promise is not None and notes == []
    assert (promise.chosen_on, promise.images) == (len(chooses), len(tests)) == (400, 400)
    assert promise.p_value is not None and promise.p_value <= promise.level == 0.1
    assert 0 < promise.accepted <= promise.path
    kept, thresholds = chosen.figures.kept, chosen.figures.thresholds
    held = answers().part(tests).select(kept)
    right = held.leaving(thresholds)[1]
    static = held.correct[-1]
    assert (promise.lost, promise.gained) == ((static & ~right).sum(), (right & ~static).sum())
    seen = np.bincount(answers().part(chooses).select(kept).leaving(thresholds)[0], minlength=len(kept) + 1)
    assert chosen.figures.ratios == pytest.approx(seen / 400), "shares are those of the images that choose"
    assert chosen.figures.costs.ratios == chosen.figures.ratios


@pytest.mark.parametrize("by_name", [False, True])
def test_where_no_thresholds_pass_nobody_leaves_early_and_that_is_told(by_name: bool) -> None:
    """Every image that tests is lost at the exits; those that choose never see it."""
    spoilt = answers(halves(IMAGES, 0)[1].tolist())
    chosen, promise, notes = found(spoilt, by_name, guarantee=0.05)
    fine = found(answers(), by_name, guarantee=0.05)[1]
    assert promise is not None and fine is not None
    assert promise.path == fine.path, "the path is not chosen by the images that test it"
    assert (promise.accepted, promise.p_value, promise.lost) == (0, None, None)
    assert len(notes) == 1 and "nobody leaves early" in notes[0] and "0.05 at most" in notes[0]
    if by_name:
        assert chosen.never_taken == (0, 1) and chosen.figures.ratios == (0.0, 0.0, 1.0)
    else:
        assert chosen.kept == Candidate() and chosen.figures.ratios == (1.0,)
        assert any("nobody leaves early" in item.reason for item in chosen.removed)


@pytest.mark.parametrize(("max_drop", "form"), [(4.0, "binomial"), (8.0, "wsr")])
def test_the_form_of_the_test_is_told_and_its_p_values_are_meant(max_drop: float, form: str) -> None:
    chosen, promise, _ = found(answers(), by_name=True, guarantee=0.1, max_drop=max_drop)
    assert promise is not None and promise.test == form and promise.images == 400
    held = answers().part(halves(IMAGES, 0)[1]).select(chosen.figures.kept)
    seen = differences(held.observed(), chosen.figures.thresholds)
    p_values = {name: TESTS[name](seen, max_drop / 100) for name in ("binomial", "wsr")}
    assert promise.p_value == p_values[form] and len(set(p_values.values())) == 2


def test_too_few_images_are_told_with_the_number_that_is_needed() -> None:
    few = answers().part(np.arange(60))
    _, promise, notes = found(few, by_name=True, guarantee=0.1)
    assert promise is not None and promise.images == 30
    assert "no fewer than 57 images" in notes[0] and "half of val is 30" in notes[0]
