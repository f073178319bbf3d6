"""Figures of a summary, counted by hand from the answers of a made-up run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eecompile.run.evidence import Baseline
from eecompile.run.figures import break_even_of, saving_of
from eecompile.run.summarize import costs_only, summarize
from passes.confidence import PATIENCE
from passes.confidence.gate import LearnedGate
from passes.confidence.probabilities import MaxSoftmax
from passes.exits.chain import set_rules
from passes.state import state_of
from targets.contract.registry import load_target
from targets.objective import EDP
from targets.objective import ENERGY as JOULES
from tests.eecompile.run.made_evidence import IMAGES, RATIOS, THRESHOLD, costs, evidence, network, of
from tests.targets.validated import COVERAGE, ENERGY, LATENCY, unvalidate, validate


def test_accuracies_are_counted_where_images_leave() -> None:
    summary = summarize(evidence(), [])
    exits = summary.exits
    assert [e.name for e in exits] == ["exit_0", "exit_1", "final"]
    assert [e.ratio for e in exits] == pytest.approx(RATIOS)
    assert [e.accuracy for e in exits] == pytest.approx([3 / 5, 1, 3 / 4])
    assert [e.threshold for e in exits] == [pytest.approx(float(THRESHOLD))] * 2 + [None]
    assert summary.expected is not None
    assert summary.expected.accuracy == pytest.approx(9 / 12)
    low, high = summary.expected.accuracy_ci95
    assert 0.4 < low < 9 / 12 < high < 0.95, "twelve images tell little"


def test_shares_that_pay_are_those_of_what_was_minimised() -> None:
    made = evidence()
    found = summarize(made, []).break_even
    assert found is not None and found == break_even_of(made.costs, made.static, made.options.objective)
    made.options = replace(made.options, objective=JOULES)
    assert summarize(made, []).break_even == break_even_of(made.costs, made.static, JOULES) != found


def test_exits_tell_the_rule_they_decide_by() -> None:
    made = evidence()
    assert [e.confidence for e in summarize(made, []).exits] == ["max_softmax"] * 3
    set_rules(made.forms.exits, [MaxSoftmax(1.5), PATIENCE, LearnedGate((1.0,) * 16)])
    told = ["max_softmax{temperature=1.5}", "patience", "gate"]
    assert [e.confidence for e in summarize(made, []).exits] == told


def test_accuracies_of_the_three_forms_are_over_all_images() -> None:
    summary = summarize(evidence(), [])
    wrong = [(e.accuracy_float, e.accuracy_quant, e.accuracy_lowered) for e in summary.exits]
    counted = [tuple(round(IMAGES * (1 - a)) for a in row if a is not None) for row in wrong]
    assert counted == [(1, 2, 4), (0, 3, 1), (1, 2, 2)]
    assert summary.static.accuracy_float == pytest.approx(11 / 12)
    assert summary.static.accuracy_quant == pytest.approx(10 / 12)
    for found in summary.exits:
        assert found.accuracy_quant_ci95 is not None and found.accuracy_quant is not None
        assert found.accuracy_quant_ci95[0] < found.accuracy_quant < found.accuracy_quant_ci95[1]


def test_the_drop_is_paired() -> None:
    summary = summarize(evidence(), [])
    assert summary.drop is not None
    assert summary.drop.points == pytest.approx(100 * (2 - 1) / 12)
    low, high = summary.drop.ci95
    assert low < 0 < summary.drop.points < high, "two lost and one gained of twelve"


def test_all_is_against_static_where_the_backbone_was_trained() -> None:
    """Static errs on three images, of which the network with exits gets two right, and loses three others."""
    made = evidence()
    right = np.ones(IMAGES, bool)
    right[[5, 6, 11]] = False
    made.lowered_test = replace(made.lowered_test, static=np.where(right, 0, 1))
    made.float_test = replace(made.float_test, static=(np.arange(IMAGES) <= 3).astype(np.int64))
    made.baseline = Baseline(made.prepared.plain, made.prepared.plain)
    made.training = {"trainer": "joint"}
    summary = summarize(made, [])
    assert summary.trainer == "joint"
    assert summary.drop is not None and summary.drop.points == pytest.approx(100 * (2 - 2) / 12)
    assert summary.static.accuracy_quant == pytest.approx(9 / 12)
    assert summary.static.accuracy_float == pytest.approx(8 / 12)
    trained = summary.static_trained
    assert trained is not None
    assert trained.accuracy_quant == pytest.approx(10 / 12) == summary.exits[-1].accuracy_lowered
    assert trained.accuracy_float == pytest.approx(11 / 12)
    assert trained.accuracy_quant_ci95 != summary.static.accuracy_quant_ci95
    assert trained.macs == summary.static.macs and trained.energy_pj == summary.static.energy_pj
    assert summarize(evidence(), []).static_trained is None, "of heads alone it is the same network"


def test_costs_are_those_of_the_exits_and_what_is_expected_is_their_mean() -> None:
    made = evidence()
    summary = summarize(made, [])
    for found, path in zip(summary.exits, made.costs.exits, strict=True):
        assert (found.macs, found.latency_cycles, found.energy_pj) == (
            path.cost.macs,
            path.cost.latency_cycles,
            path.cost.energy_pj,
        )
        assert found.speculative is None
    assert summary.expected is not None and summary.saving is not None
    assert not summary.expected.speculation
    mean = sum(r * p.cost.energy_pj for r, p in zip(RATIOS, made.costs.exits, strict=True))
    assert summary.expected.energy_pj == pytest.approx(mean)
    assert summary.saving.energy == pytest.approx(1 - mean / costs(()).total.energy_pj)
    assert summary.static.energy_pj == costs(()).total.energy_pj


def test_savings_at_other_host_costs_are_those_of_both_networks_at_that_cost() -> None:
    summary = summarize(evidence(), [])
    assert [row.host_scale for row in summary.host_sensitivity] == [0, 1, 4]
    for row in summary.host_sensitivity:
        scaled, static = costs((0, 1), row.host_scale), costs((), row.host_scale)
        assert row.saving == saving_of(scaled, static, np.array(RATIOS))
        assert row.static_latency_cycles == static.total.latency_cycles
    cheap, _, dear = summary.host_sensitivity
    assert cheap.static_latency_cycles < summary.static.latency_cycles < dear.static_latency_cycles


def test_the_saving_spans_all_models_of_the_chip() -> None:
    """Counted anew here: both networks by each model and host cost, with the same shares of images."""
    summary = summarize(evidence(), [])
    target = load_target("diana")
    found = []
    for model in target.cost_models:
        for scale in (0.0, 1.0, 4.0):
            other = replace(target, cost_model=model, host_scale=scale)
            found.append(saving_of(of(other, (0, 1)), of(other, ()), np.array(RATIOS)))
    assert summary.saving is not None and summary.saving_interval is not None
    for key in ("macs", "latency", "energy", "edp"):
        values = [getattr(saving, key) for saving in found]
        assert getattr(summary.saving_interval, key) == (min(values), max(values))
    assert [c.cause for c in summary.saving_causes] == [
        "host scale", "cost model", "cost model and host scale",
    ]  # fmt: skip
    listed = [row.saving for cause in summary.saving_causes for row in cause.alternatives]
    assert len(listed) == 8 and all(saving in found for saving in listed)


def test_absolute_figures_have_the_intervals_of_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    unvalidate(monkeypatch, "diana")
    without = summarize(evidence(), [])
    assert without.expected is not None and without.known_error.startswith("not validated")
    for cost in (without.static, *without.exits, without.expected):
        assert (cost.latency_interval, cost.energy_interval, cost.validation) == (None, None, "none")
    validate(monkeypatch, "diana")
    found = summarize(evidence(), [])
    assert found.expected is not None and found.intervals is not None and found.validation == "measured"
    assert found.intervals.latency is not None
    assert found.intervals.latency.nominal_coverage == pytest.approx(COVERAGE)
    for cost in (found.static, *found.exits, found.expected):
        assert cost.latency_interval == pytest.approx(
            (cost.latency_cycles / LATENCY, cost.latency_cycles * LATENCY)
        )
        assert cost.energy_interval == pytest.approx((cost.energy_pj / ENERGY, cost.energy_pj * ENERGY))
    assert found.saving_interval == without.saving_interval, "a common error cancels in a ratio"


def test_of_exits_that_were_tried_only_those_kept_are_told_of() -> None:
    made = evidence(kept=(1,))
    summary = summarize(made, ["look here"], caution="means nothing")
    first, last = summary.exits
    mounts = [e.mount for e in state_of(network()).exits]
    assert [first.mount, last.mount] == mounts[1:]
    assert first.mount_name == f"name of {mounts[1]}"
    assert first.head == "linear"
    assert (first.ratio, last.ratio) == (3 / 12, 9 / 12)
    assert first.accuracy_float == 1
    assert first.accuracy_lowered == pytest.approx(11 / 12)
    assert last.accuracy == pytest.approx(8 / 9)
    assert [(r.mount_name, r.reason) for r in summary.removed_exits] == [("a", "dear")]
    assert summary.warnings[0] == "look here"
    assert set(made.costs.warnings) <= set(summary.warnings)
    assert (summary.caution, summary.min_gain) == ("means nothing", 2.0)


def test_an_exit_where_nothing_leaves_has_no_accuracy() -> None:
    made = evidence()
    sure = np.float32(2)
    made.chosen = type(made.chosen)(
        made.chosen.kept,
        type(made.chosen.figures)((0, 1), (sure, THRESHOLD), RATIOS, made.costs, 0.0, 0.0, 0.0),
        made.chosen.static,
        (),
        never_taken=(0,),
    )
    summary = summarize(made, [])
    assert (summary.exits[0].ratio, summary.exits[0].accuracy) == (0, None)
    assert sum(e.ratio or 0 for e in summary.exits) == pytest.approx(1)
    assert summary.never_taken == ("exit_0",)


def test_with_speculation_it_is_told_per_exit_and_expected() -> None:
    made = evidence()
    made.costs = costs((0, 1), 1.0, True)
    summary = summarize(made, [])
    assert summary.expected is not None and summary.expected.speculation
    ahead = [path.speculative for path in made.costs.exits]
    for found, speculation in zip(summary.exits, ahead, strict=True):
        assert found.speculative is not None and speculation is not None
        assert found.speculative.latency_cycles == speculation.cost.latency_cycles
        assert found.speculative.wasted_pj == speculation.wasted_pj


def test_the_options_of_the_run_are_in_it() -> None:
    summary = summarize(evidence(max_drop=2.5, optimistic=True, seed=7), [])
    assert (summary.model, summary.target, summary.objective.name) == ("digits_resnet.onnx", "diana", "edp")
    assert (summary.max_drop, summary.optimistic, summary.seed) == (2.5, True, 7)
    assert summary.dataset is not None
    assert (summary.dataset.train, summary.dataset.val, summary.dataset.test) == (IMAGES,) * 3


def test_without_data_there_are_costs_alone() -> None:
    made = evidence()
    summary = costs_only(made)
    assert (summary.dataset, summary.expected, summary.drop, summary.saving) == (None,) * 4
    assert [e.energy_pj for e in summary.exits] == [path.cost.energy_pj for path in made.costs.exits]
    assert all(e.ratio is e.accuracy is e.accuracy_quant is e.threshold is None for e in summary.exits)
    assert summary.static.accuracy_quant is None
    assert summary.break_even == break_even_of(made.costs, made.static, EDP)
    assert not summary.curve and not summary.host_sensitivity
