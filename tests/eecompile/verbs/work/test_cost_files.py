from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from eecompile.verbs.work.cost_files import check_writable, save_mapping, write_trace
from passes.errors import InputError
from passes.model.graph import from_model
from passes.registry import parse_pipeline
from targets.described.target import EngineTarget
from targets.description.readers.mapping import read_mapping
from targets.evaluation.report import CostReport, evaluate
from targets.objective import LATENCY
from tests.eecompile.small_models import skip_net
from tests.targets.small_arch import small_arch


@pytest.fixture(scope="module")
def target() -> EngineTarget:
    return EngineTarget(architecture=small_arch())


@pytest.fixture(scope="module")
def report(target: EngineTarget) -> CostReport:
    graph = from_model(skip_net())
    parse_pipeline(target.pipeline(quantized=False))(graph)
    return evaluate(graph, target, LATENCY)


def test_saved_mappings_are_those_of_the_layers_that_are_whole(
    report: CostReport, target: EngineTarget, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "deep" / "mapping.yaml"
    notes = save_mapping(report, path, target)
    mapped = [layer for layer in report.layers if layer.cost.detail is not None]
    whole = [layer for layer in mapped if layer.tiles == 1]
    assert 0 < len(whole) < len(mapped), "the test needs both"
    document = yaml.safe_load(path.read_text())
    assert [(entry["layer"], entry["core"]) for entry in document["layers"]] == [
        (layer.name, layer.core) for layer in whole
    ]
    rules = {rule.name: rule for rule in read_mapping(path, target.arch.array_dimensions)[0]}
    for layer in whole:
        assert layer.cost.detail is not None
        assert rules[layer.name].fixed == layer.cost.detail.mapping
    (note,) = notes
    assert note.startswith(f"{path} holds {len(whole)} of {len(mapped)} mappings: the other layers are cut")


def test_where_no_layer_is_cut_there_is_no_note(
    report: CostReport, target: EngineTarget, tmp_path: Path
) -> None:
    whole = replace(report)
    vars(whole)["layers"] = tuple(layer for layer in report.layers if layer.tiles == 1)
    assert save_mapping(whole, tmp_path / "mapping.yaml", target) == []
    vars(whole)["layers"] = ()
    assert save_mapping(whole, tmp_path / "empty.yaml", target) == []
    assert yaml.safe_load((tmp_path / "empty.yaml").read_text()) == {"layers": []}


def test_a_trace_holds_every_layer(report: CostReport, tmp_path: Path) -> None:
    path = tmp_path / "new" / "trace.json"
    write_trace(report, path)
    events = json.loads(path.read_text())["traceEvents"]
    named = {event["name"] for event in events if event["ph"] == "X"}
    assert {layer.name for layer in report.layers} <= named
    end = max(event["ts"] + event["dur"] for event in events if event["ph"] == "X")
    assert end == pytest.approx(report.total.latency_cycles), "without a clock, a cycle is a microsecond"


def test_checking_writes_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "deep" / "trace.json", "trace.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["schedule.trace.json", "mapping.yaml"])
def test_a_folder_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        check_writable(tmp_path, name)
    assert caught.value.message == f"{tmp_path} is a folder"
    assert caught.value.hint == f"give a file, such as {tmp_path / name}"


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file is a file"):
        check_writable(tmp_path / "file" / "trace.json", "trace.json")


def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    with pytest.raises(InputError) as caught:
        check_writable(tmp_path / "new" / "trace.json", "trace.json")
    assert caught.value.message == f"cannot write to {tmp_path / 'new'}: Permission denied"
    assert list(tmp_path.iterdir()) == []
