"""Numpy follows the confidence rule each exit records, from answers to the files of a run."""

from __future__ import annotations

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
from eecompile.data.preprocess import preprocesses
from eecompile.data.sources import load_data
from eecompile.exits.answers import Answers, answers
from eecompile.exits.thresholds import leaves_at
from eecompile.runtime.preprocess import Preprocess
from passes.confidence import MARGIN, MAX_SOFTMAX
from passes.exits.insert_exits import InsertExits
from passes.model.graph import EXITS_KEY, from_model, load
from passes.model.writing import save, to_model
from passes.registry import parse_pipeline
from passes.state import state_of
from tests.eecompile.quantization.test_calibration import EXAMPLE
from tests.needs import needs_torch


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
def test_a_run_keeps_the_rule_of_the_file_in_all_its_files(graph: gs.Graph, tmp_path: Path) -> None:
    """The heads are untrained, which is enough: some images leave, and which is up to the rule."""
    given = from_model(to_model(graph))
    state = state_of(given)
    state.exits = [replace(e, confidence=MARGIN) for e in state.exits]
    path = save(given, tmp_path / "given.onnx")
    result = api.run(
        path, data="digits", out=tmp_path / "out", max_drop=60.0, optimistic=True, preprocess="unit"
    )
    assert result.passed, "both early-exit files decide as numpy does"
    out = tmp_path / "out"
    kept = [e.name for e in result.summary.exits]
    assert len(kept) > 1, "else nothing decides"
    for name in ("exits", "quant", "lowered"):
        written = {p.key: p.value for p in onnx.load(out / f"model.{name}.onnx").metadata_props}
        assert [e["confidence"] for e in json.loads(written[EXITS_KEY])] == ["margin"] * len(kept)
    test = load_data("digits").test
    flat = ort.InferenceSession(out / "model.quant.onnx", providers=["CPUExecutionProvider"])
    logits = flat.run(None, {flat.get_inputs()[0].name: unit().apply(test.x)})
    thresholds = [np.float32(e.threshold) for e in result.summary.exits[:-1] if e.threshold is not None]
    where = leaves_at(np.stack([MARGIN.evaluate(z) for z in logits[:-1]]), thresholds)
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
