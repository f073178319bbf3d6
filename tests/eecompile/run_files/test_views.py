"""The files of a run for viewers of graphs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from eecompile import api
from eecompile.run.prepare import cost_of
from eecompile.run_files.views import write_views
from passes.model.graph import load
from passes.registry import parse_pipeline
from targets.contract.registry import load_target
from targets.evaluation.report import CostReport
from targets.objective import EDP
from tests.eecompile.small_models import write_skip_net


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CostReport]:
    """A folder of the views of a network, and what it costs."""
    out = tmp_path_factory.mktemp("views")
    graph = load(write_skip_net(out / "m.onnx"))
    target = load_target("diana")
    parse_pipeline(target.pipeline(quantized=False))(graph)
    report = cost_of(graph, target, EDP)
    write_views(out, out / "m.onnx", report, graph)
    return out, report


def test_the_copy_answers_as_the_network_and_tells_its_costs(views: tuple[Path, CostReport]) -> None:
    out, report = views
    model = onnx.load(out / "model.annotated.onnx")
    told = [{p.key: p.value for p in node.metadata_props} for node in model.graph.node]
    energies = [float(found["eecompile.energy_pj"]) for found in told if "eecompile.energy_pj" in found]
    placed = [layer for layer in report.layers if layer.name != "final.softmax"]
    assert energies == pytest.approx([layer.energy_pj for layer in placed])
    cores = {found["eecompile.part_of"]: found["eecompile.core"] for found in told if len(found) > 2}
    assert cores == {layer.name: layer.core for layer in placed}
    images = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype(np.float32)
    answers = [
        ort.InferenceSession(out / name).run(None, {"image": images})[0]
        for name in ("m.onnx", "model.annotated.onnx")
    ]
    powers = np.exp(answers[1])  # the last Softmax is set apart
    assert np.allclose(answers[0], powers / powers.sum(), atol=1e-5)


def test_data_sets_of_both_networks(views: tuple[Path, CostReport]) -> None:
    out, report = views

    def results(path: str) -> dict[str, Any]:
        (graph,) = json.loads((out / path).read_text()).values()
        found: dict[str, Any] = graph["results"]
        return found

    names = {node.name for node in onnx.load(out / "model.annotated.onnx").graph.node}
    files = sorted(p.relative_to(out).as_posix() for p in (out / "overlay").rglob("*.json"))
    singles = ("bits", "core", "energy", "exits", "latency")
    assert files == [
        *(f"overlay/given/{name}.json" for name in singles),
        *(f"overlay/lowered/{name}.json" for name in ("all", *singles)),
    ]
    assert all(set(results(f)) <= names for f in files if "lowered" in f)
    energies = {float(f"{layer.energy_pj:.9g}") for layer in report.layers if layer.layer.origin}
    assert {float(f"{r['value']:.9g}") for r in results("overlay/lowered/energy.json").values()} == energies
    assert {float(f"{r['value']:.9g}") for r in results("overlay/given/energy.json").values()} == energies
    # None of its nodes has a name: the adapter of the viewer makes them up in order.
    assert set(results("overlay.json")) <= {"node", *(f"node_{n}" for n in range(1, 11))}


def test_without_the_file_of_the_user_nothing_is_laid_over_it(
    views: tuple[Path, CostReport], tmp_path: Path
) -> None:
    write_views(tmp_path, tmp_path / "gone.onnx", views[1], None)
    assert not list(tmp_path.iterdir())


def test_cost_writes_it_where_it_is_told(views: tuple[Path, CostReport], tmp_path: Path) -> None:
    api.cost(views[0] / "m.onnx", overlay=tmp_path / "new" / "o.json")
    assert json.loads((tmp_path / "new" / "o.json").read_text()) == json.loads(
        (views[0] / "overlay.json").read_text()
    )
