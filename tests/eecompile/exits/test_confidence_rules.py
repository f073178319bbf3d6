"""Numpy follows the confidence rule each exit records, from answers to the files of a run."""

from __future__ import annotations

import asyncio
import functools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime as ort
import pytest
from typer.testing import CliRunner

from eecompile import api
from eecompile.cli import main as cli
from eecompile.data.dataset import Split
from eecompile.data.preprocess import preprocesses
from eecompile.data.sources import load_data
from eecompile.deployment.model_files import Forms, prove, write_models
from eecompile.exits.answers import Answers, answers
from eecompile.exits.statistics import DropBound
from eecompile.exits.thresholds import Limit, candidates, choose, leaves_at
from eecompile.report.reliability import reliability_chart
from eecompile.run_files.samples import read_samples
from eecompile.runtime.asynchronous import AsyncEarlyExitSession
from eecompile.runtime.early_exit import Decisions, Float32
from eecompile.runtime.early_exit_session import EarlyExitSession
from eecompile.runtime.preprocess import Preprocess
from passes.confidence import MARGIN, MAX_SOFTMAX, PATIENCE, RULES, ConfidenceRule, confidence_rule
from passes.confidence.gate import LearnedGate
from passes.exits.chain import keep_exits, set_rules, set_thresholds
from passes.exits.insert_exits import InsertExits
from passes.model.graph import EXITS_KEY, from_model, load
from passes.model.writing import save, to_model
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from tests.eecompile.quantization.test_calibration import EXAMPLE
from tests.eecompile.runtime.small_run import write_records
from tests.needs import needs_torch
from tests.passes.small_nets import chain


@pytest.fixture(scope="module")
def graph() -> gs.Graph:
    made = load(EXAMPLE)
    parse_pipeline("canonicalize,fold-batchnorm,insert-exits{at=2,head=linear}")(made)
    return made


def unit() -> Preprocess:
    return preprocesses("unit", load_data("digits").val.x, (1, 1, 8, 8))[0]


def test_each_exit_is_asked_by_its_own_rule(graph: gs.Graph) -> None:
    first, second, final = state_of(graph).exits
    mixed = from_model(to_model(graph))
    state_of(mixed).exits = [replace(first, confidence=MARGIN), second, final]
    seen = answers(mixed, load_data("digits").val, unit())
    np.testing.assert_array_equal(
        seen.confidence, [MARGIN.evaluate(seen.logits[0]), MAX_SOFTMAX.evaluate(seen.logits[1])]
    )
    assert not np.allclose(seen.confidence[0], MAX_SOFTMAX.evaluate(seen.logits[0]))
    assert seen.select([0]).rules == (MARGIN,)
    assert seen.select([1]).observed().rules == (MAX_SOFTMAX,)
    np.testing.assert_array_equal(seen.select([1]).confidence, seen.confidence[1:])


def test_rules_change_who_leaves() -> None:
    logits = np.log(np.array([[0.5, 0.45, 0.05], [0.7, 0.2, 0.1]], np.float32))
    by_rule = [Answers((logits, logits), np.zeros(2, np.int64), (rule,)) for rule in (MAX_SOFTMAX, MARGIN)]
    left = [seen.leaving([np.float32(0.4)])[0].tolist() for seen in by_rule]
    assert left == [[0, 0], [1, 0]]


@needs_torch
@pytest.mark.parametrize(("told", "expected"), [(None, "margin"), ("gate", "gate")])
def test_a_run_decides_by_the_rule_of_the_file_or_the_one_told(
    graph: gs.Graph, tmp_path: Path, told: str | None, expected: str
) -> None:
    """The heads are untrained, which is enough: some images leave, and which is up to the rule."""
    given = from_model(to_model(graph))
    state = state_of(given)
    state.exits = [replace(e, confidence=MARGIN) for e in state.exits]
    path = save(given, tmp_path / "given.onnx")
    result = api.run(
        path,
        data="digits",
        out=tmp_path / "out",
        max_drop=60.0,
        optimistic=True,
        preprocess="unit",
        confidence=told,
    )
    assert result.passed, "both early-exit files decide as numpy does"
    out = tmp_path / "out"
    kept = [e.name for e in result.summary.exits]
    assert len(kept) > 1, "else nothing decides"
    for name in ("exits", "quant", "lowered"):
        written = {p.key: p.value for p in onnx.load(out / f"model.{name}.onnx").metadata_props}
        assert [e["confidence"] for e in json.loads(written[EXITS_KEY])] == [expected] * len(kept)
    assert [e.confidence for e in result.summary.exits] == [expected] * len(kept)
    recorded = json.loads((out / "run.json").read_text())["confidence"]
    assert [(entry["exit"], entry["rule"]) for entry in recorded] == [(name, expected) for name in kept]
    rules = [e.confidence for e in state_of(load(out / "model.lowered.onnx")).exits]
    assert [entry["parameters"] for entry in recorded] == [rule.parameters for rule in rules]
    samples = read_samples(out, len(kept))
    charts = [samples and reliability_chart(samples.test, number, None) for number in range(len(kept))]
    shown = [chart and chart.error for chart in charts]
    told_beside = [100 * entry["calibration_error_test"][0] for entry in recorded]
    assert shown == pytest.approx(told_beside, abs=1e-4), "the page and run.json show one number"
    assert all(len(entry["calibration_error_test"]) == 2 for entry in recorded)
    assert (not rules[0].unfitted) and ("weights" in rules[0].parameters) == (told == "gate")
    test = load_data("digits").test
    flat = ort.InferenceSession(out / "model.quant.onnx", providers=["CPUExecutionProvider"])
    logits = flat.run(None, {flat.get_inputs()[0].name: unit().apply(test.x)})
    thresholds = [np.float32(e.threshold) for e in result.summary.exits[:-1] if e.threshold is not None]
    seen = [rule.evaluate(z) for rule, z in zip(rules[:-1], logits[:-1], strict=True)]
    where = leaves_at(np.stack(seen), thresholds)
    ratios = np.bincount(where, minlength=len(kept)) / len(where)
    assert [e.ratio for e in result.summary.exits] == pytest.approx(ratios.tolist())
    assert 0 < ratios[0] < 1, "else any rule would do"


def test_opt_inserts_exits_with_a_rule_and_inspect_shows_it(tmp_path: Path) -> None:
    out = tmp_path / "margin.onnx"
    api.opt(EXAMPLE, "canonicalize,insert-exits{at=1,confidence=margin}", out=out)
    assert [e["confidence"] for e in api.inspect(out).to_json()["exits"]] == ["margin", "margin"]
    marked = load(out)
    state_of(marked).exits = [replace(e, threshold=0.25) for e in state_of(marked).exits]
    shown = CliRunner().invoke(cli.app, ["inspect", str(save(marked, out))])
    assert "0.2500 of margin" in shown.stdout
    assert InsertExits().confidence == "max_softmax"


CHAIN_RULES: dict[str, ConfidenceRule] = {
    "margin": MARGIN,
    "max_softmax{temperature=2}": confidence_rule("max_softmax{temperature=2}"),
    "patience": PATIENCE,
    "gate": LearnedGate((1.0, -1.0, 0.5, 0.2, -0.1, 0.0, -1.0, 0.5, 0.0)),
}
SHAPE = (2, 16, 16)
AS_IT_IS = Preprocess("raw", (0.0,), (1.0,), shape=SHAPE, white=None)


@functools.cache
def three_exits() -> gs.Graph:
    """Return a small network with three early exits whose heads are drawn at random."""
    graph = from_model(chain(4, 3))
    InsertExits(at=("3",), head="linear", seed=1)(graph)
    return graph


def images(count: int) -> Split:
    rng = np.random.default_rng(3)
    colours = rng.normal(0, 5, (count, SHAPE[0], 1, 1)) + rng.normal(0, 3, (count, *SHAPE))
    return Split(colours.astype(np.float32), rng.integers(0, 3, count))


def medians(seen: Answers) -> list[np.float32]:
    """Return a threshold per early exit that about half of the images that come so far reach."""
    found: list[np.float32] = []
    for number, rule in enumerate(seen.rules):
        inside = seen.leaving([*found, *[rule.never] * (3 - number)])[0] == 3
        if rule.whole:  # the first exit has nothing to agree with
            found.append(np.float32(2) if number else rule.never)
        else:
            found.append(np.float32(np.median(seen.confidence[number][inside]) + 1e-4))
    return found


@pytest.mark.parametrize("text", CHAIN_RULES)
def test_all_forms_decide_as_numpy_does_on_the_flat_network(text: str, tmp_path: Path) -> None:
    rule, split = CHAIN_RULES[text], images(60)
    graph = copy_graph(three_exits())
    set_rules(graph, [rule] * 4)
    flat = answers(graph, split, AS_IT_IS)
    thresholds = medians(flat)
    set_thresholds(graph, [float(t) for t in thresholds])
    where, _ = flat.leaving(thresholds)
    counts = np.bincount(where, minlength=4).tolist()
    assert all(counts[1:]) and bool(counts[0]) != rule.whole, "else the rule is not asked"

    forms = Forms(graph, graph, graph, static=keep_exits(graph, []), given=keep_exits(graph, []))
    delivery = write_models(tmp_path, forms, thresholds, AS_IT_IS, counts)
    names = [e.name for e in state_of(graph).exits]
    write_records(tmp_path, names, [float(t) for t in thresholds], counts, AS_IT_IS)
    assert delivery.staged.batched, "the batch is a symbol in files and stages"
    agreement, _ = prove(delivery, forms, flat, thresholds, split, AS_IT_IS)
    assert agreement.complete and agreement.images == 60

    chosen = np.stack([z.argmax(axis=1) for z in flat.logits])[where, np.arange(60)]
    every = np.stack([rule.evaluate(z, flat.logits[:k]) for k, z in enumerate(flat.logits)])
    for path in (tmp_path, tmp_path / "model.dynamic.onnx"):
        session = EarlyExitSession(path, max_batch=16)
        singles = [session.run(split.x[k : k + 1]) for k in range(4)]
        found = [session.run(split.x), asyncio.run(asked(session, split.x))]
        for done in found:
            np.testing.assert_array_equal(done.exit, where)
            np.testing.assert_array_equal(done.label, chosen)
            np.testing.assert_allclose(done.confidence, every[where, np.arange(60)], rtol=1e-5, atol=1e-6)
        assert [int(s.exit[0]) for s in singles] == where[:4].tolist()
        assert session.counts.drifted == 0 and session.counts.images == 124

    for name in ("lowered", "dynamic"):
        assert [e.confidence for e in state_of(load(tmp_path / f"model.{name}.onnx")).exits] == [rule] * 4
    last = ort.InferenceSession(tmp_path / "stages" / "stage_3.onnx", providers=["CPUExecutionProvider"])
    read = {entry.name for entry in last.get_inputs()}
    assert ({"exit_0", "exit_1", "exit_2"} <= read) == rule.reads_before


async def asked(session: EarlyExitSession, x: Float32) -> Decisions:
    """Answer in requests of 7 images that come together."""
    async with AsyncEarlyExitSession(session) as server:
        parts = await asyncio.gather(*(server.run(x[k : k + 7]) for k in range(0, len(x), 7)))
    return Decisions(*(np.concatenate([getattr(p, name) for p in parts]) for name in vars(parts[0])))


@pytest.mark.parametrize("kept", [(0, 1, 2), (0, 2), (1,), ()])
def test_an_exit_that_is_removed_does_not_count_for_patience(kept: tuple[int, ...]) -> None:
    graph, split = copy_graph(three_exits()), images(60)
    set_rules(graph, [PATIENCE] * 4)
    whole = answers(graph, split, AS_IT_IS)
    rest = answers(keep_exits(graph, [f"exit_{k}" for k in kept]), split, AS_IT_IS)
    np.testing.assert_array_equal(whole.select(kept).confidence, rest.confidence)
    if kept == (0, 2):
        assert (rest.confidence[1] <= 2).all() and (whole.confidence[2] > rest.confidence[1]).any()
    if kept == (0, 1, 2):  # an exit that stays but is never taken still counts
        left = whole.observed().select([2])
        np.testing.assert_array_equal(left.confidence[0], whole.confidence[2])


def test_thresholds_of_a_rule_that_counts_are_whole() -> None:
    found = candidates(np.array([1, 3, 2, 2, np.nan, 1], np.float32), PATIENCE)
    assert found.tolist() == [256.0, 3.0, 2.0, 1.0]
    one = candidates(np.array([0.5, np.nan, 0.25], np.float32), MAX_SOFTMAX)
    assert one.tolist() == [2.0, 0.375, 0.0], "what is no number leaves at no threshold"


def test_patience_is_chosen_where_two_that_agree_are_right() -> None:
    """The first exit is never taken, but asked: it stays. Few thresholds are no neighbours of each other."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    wrong = rng.random(400) < 0.4
    first = np.where(wrong, (labels + 1) % 3, labels)
    second = np.where(wrong, (labels + 2) % 3, labels)
    logits = [np.eye(3, dtype=np.float32)[answer] for answer in (first, second, labels)]
    seen = Answers(tuple(logits), labels, (PATIENCE, PATIENCE))
    found = choose(seen.observed(), [1.0, 2.0, 10.0], Limit(1.0, True), DropBound(400))
    assert [float(t) for t in found.thresholds] == [256.0, 2.0]
    assert found.cost == pytest.approx(10 - 8 * float((~wrong).mean()))


def test_no_number_is_no_answer_and_never_right() -> None:
    nan = np.full((1, 3), np.nan, np.float32)
    for rule in (*RULES.values(), LearnedGate((1.0,) * 9)):
        if not rule.unfitted:
            seen = Answers((nan, nan, nan), np.zeros(1, np.int64), (rule, rule))
            where, right = seen.leaving([rule.always, rule.always])
            assert (where.tolist(), right.tolist()) == ([2], [False]), rule.name
