from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from typer.testing import CliRunner, Result

from eecompile.cli import main as cli
from eecompile.verbs.work.same_answers import Verifier
from passes.base import Pass, Pipeline
from passes.model.graph import from_model
from tests.eecompile.small_models import skip_net, write_images, write_skip_net

PIPELINE = "canonicalize,fold-batchnorm,insert-exits{at=1},quantize,fold-qdq,fuse-layers"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, ["opt", *(str(a) for a in arguments)])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_skip_net(tmp_path_factory.mktemp("model") / "net.onnx")


def test_whole_pipeline_is_verified_pass_by_pass(model: Path, tmp_path: Path) -> None:
    images = write_images(tmp_path / "images.npz")
    out, stages = tmp_path / "out.onnx", tmp_path / "stages"
    result = call(
        model, "-p", PIPELINE, "-d", images, "--preprocess", "raw", "--verify-each",
        "--save-stages", stages, "-o", out, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    verdicts = {row["text"].partition("{")[0]: row["check"]["verdict"] for row in document["passes"]}
    assert verdicts.pop("quantize") == "quantized"
    assert set(verdicts.values()) <= {"equal", "close"}
    assert document["passes"][3]["check"]["sqnr_db"] > 10
    assert [Path(p).name for p in document["stages"]] == [
        "00-canonicalize.onnx", "01-fold-batchnorm.onnx", "02-insert-exits.onnx",
        "03-quantize.onnx", "04-fold-qdq.onnx", "05-fuse-layers.onnx",
    ]  # fmt: skip
    onnx.checker.check_model(str(out), full_check=True)
    assert any("int8-pow2" in note for note in document["notes"])


def test_table_says_what_each_pass_did(model: Path) -> None:
    text = call(model, "-p", "canonicalize,fuse-layers", "--verify-each").stdout
    assert "canonicalize" in text
    assert "11 → 10" in text
    assert "close" in text or "equal" in text


def test_softmax_set_apart_is_compared_through_it(model: Path) -> None:
    document = json.loads(call(model, "-p", "canonicalize", "--verify-each", "--json").stdout)
    check = document["passes"][0]["check"]
    assert check["outputs"] == ["logits"]
    assert check["verdict"] in ("equal", "close")


@dataclass(frozen=True)
class Damage(Pass):
    """Scale the weights of the classifier."""

    name: ClassVar[str] = "damage"

    def run(self, graph: gs.Graph) -> bool:
        constant = graph.nodes[-2].inputs[1]
        constant.values = constant.values * np.float32(1.5)
        return True


def test_a_pass_that_changes_the_network_is_caught() -> None:
    graph = from_model(skip_net())
    verifier = Verifier(None, seed=0)
    Pipeline((Damage(),))(graph, [verifier])
    (check,) = verifier.checks
    assert check.verdict == "differs"
    assert check.max_difference is not None
    assert check.max_difference > 1e-3


def test_a_changed_network_exits_with_1(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from passes.canonical.fold_batchnorm import FoldBatchnorm

    monkeypatch.setattr(FoldBatchnorm, "run", Damage.run)
    result = call(model, "-p", "fold-batchnorm", "--verify-each")
    assert result.exit_code == 1
    assert "a pass changed what the network computes" in result.stderr
    assert "fold-batchnorm" in result.stderr


def test_nested_and_staged_networks_give_the_logits_of_an_exit(model: Path, tmp_path: Path) -> None:
    from passes.exits.chain import set_thresholds
    from passes.model.graph import load
    from passes.model.writing import save

    out = tmp_path / "exits.onnx"
    assert call(model, "-p", "canonicalize,insert-exits{at=1}", "-o", out).exit_code == 0
    graph = load(out)
    set_thresholds(graph, [0.5])
    save(graph, out)
    for text in ("nest-exits", "split-stages{stage=0}"):
        document = json.loads(call(out, "-p", text, "--verify-each", "--json").stdout)
        check = document["passes"][0]["check"]
        assert check["outputs"] == ["logits"]
        assert check["verdict"] in ("equal", "close")
    second = json.loads(call(out, "-p", "split-stages{stage=1}", "--verify-each", "--json").stdout)
    assert second["passes"][0]["check"]["verdict"] == "not comparable"


def test_folder_that_cannot_be_made(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = call(model, "-p", "canonicalize", "--save-stages", tmp_path / "file" / "stages")
    assert result.exit_code == 2
    assert "cannot write to" in result.stderr
