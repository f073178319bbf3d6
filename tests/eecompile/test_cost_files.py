from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from eecompile.cost_files import check_writable, save_mapping, write_trace
from passes.errors import InputError
from passes.graph import from_model
from passes.registry import parse_pipeline
from targets.engine_target import EngineTarget
from targets.objective import EDP
from targets.readers.mapping import read_mapping
from targets.report import CostReport, evaluate
from tests.eecompile.small_models import skip_net
from tests.targets.small_arch import small_arch


@pytest.fixture(scope="module")
def target() -> EngineTarget:
    return EngineTarget(architecture=small_arch())


@pytest.fixture(scope="module")
def report(target: EngineTarget) -> CostReport:
    graph = from_model(skip_net())
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    parse_pipeline(target.pipeline(quantized=False))(graph)
    return evaluate(graph, target, EDP)


def test_saved_mappings_are_those_of_the_report(
    report: CostReport, target: EngineTarget, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "deep" / "mapping.yaml"
    notes = save_mapping(report, path, target)
    whole = [layer for layer in report.layers if layer.detail is not None and layer.tiles == 1]
    assert whole, "the test needs some"
    document = yaml.safe_load(path.read_text())
    assert [entry["layer"] for entry in document["layers"]] == [layer.name for layer in whole]
    assert [entry["core"] for entry in document["layers"]] == [layer.core for layer in whole]
    mapped = sum(layer.detail is not None for layer in report.layers)
    assert bool(notes) == (mapped > len(whole))
    rules = {rule.name: rule for rule in read_mapping(path, target.arch.array_dimensions)[0]}
    for layer in whole:
        assert layer.detail is not None
        assert rules[layer.name].fixed == layer.detail.mapping


def test_layers_cut_into_tiles_are_told(report: CostReport, target: EngineTarget, tmp_path: Path) -> None:
    layers = tuple(
        replace(layer, tiles=2) if index == 0 else replace(layer, tiles=1)
        for index, layer in enumerate(report.layers)
    )
    assert layers[0].detail is not None
    path = tmp_path / "mapping.yaml"
    (note,) = save_mapping(replace(report, layers=layers), path, target)
    mapped = sum(layer.detail is not None for layer in layers)
    assert note.startswith(f"{path} holds {mapped - 1} of {mapped} mappings")
    assert layers[0].name not in [entry["layer"] for entry in yaml.safe_load(path.read_text())["layers"]]


def test_a_trace_holds_every_layer(report: CostReport, tmp_path: Path) -> None:
    path = tmp_path / "new" / "trace.json"
    write_trace(report, path)
    events = json.loads(path.read_text())["traceEvents"]
    named = {event["name"] for event in events if event["ph"] == "X"}
    assert {layer.name for layer in report.layers} <= named
    end = max(event["ts"] + event["dur"] for event in events if event["ph"] == "X")
    assert end == pytest.approx(report.total.latency_cycles), "without a clock, a cycle is a microsecond"


def test_checking_writes_nothing(tmp_path: Path) -> None:
    check_writable("--trace", tmp_path / "new" / "deep" / "trace.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flag", "name"), [("--trace", "schedule.trace.json"), ("--save-mapping", "mapping.yaml")]
)
def test_a_folder_is_no_file(tmp_path: Path, flag: str, name: str) -> None:
    with pytest.raises(InputError) as caught:
        check_writable(flag, tmp_path)
    assert caught.value.message == f"{flag} {tmp_path} is a folder"
    assert caught.value.hint == f"give a file, such as {tmp_path / name}"


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file is a file"):
        check_writable("--trace", tmp_path / "file" / "trace.json")


def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    with pytest.raises(InputError) as caught:
        check_writable("--trace", tmp_path / "new" / "trace.json")
    assert caught.value.message == f"cannot write to {tmp_path / 'new'}: Permission denied"
    assert list(tmp_path.iterdir()) == []
