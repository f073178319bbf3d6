"""Data sets for Model Explorer: ids of its adapter, figures of the schedule, the form of the format."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import onnx
import pytest

from eecompile import api
from eecompile.run_files.overlay import NAMES, data_sets, explorer_ids, of_user_file, write_overlays
from passes.model.in_memory import ModelInMemory
from targets.evaluation.report import CostReport
from tests.eecompile.small_models import skip_net

SOME = {2: "e", 5: "node", 7: "e", 8: "node_1"}
IDS = ["node", "node_1", "e", "node_2", "node_3", "node_4", "node_5", "e_1", "node_1_1", "node_6", "node_7"]


def network(names: dict[int, str]) -> ModelInMemory:
    model = skip_net()
    for number, name in names.items():
        model.graph.node[number].name = name
    return ModelInMemory(model.SerializeToString())


def test_nodes_without_a_name_get_one_and_names_are_told_apart() -> None:
    assert explorer_ids(SOME.get(number, "") for number in range(11)) == IDS
    assert explorer_ids(["b", "a", "b_1", "b"]) == ["b", "a", "b_1", "b_2"]


@pytest.mark.parametrize("names", [{}, SOME, {0: "first"}], ids=["none", "some", "one"])
def test_ids_are_those_of_the_adapter(names: dict[int, str]) -> None:
    """The ONNX adapter of Model Explorer names nodes by this pass."""
    onnx_ir = pytest.importorskip("onnx_ir", reason="comes with onnxscript, of the extra dev")
    model = onnx_ir.serde.deserialize_model(onnx.load_model_from_string(network(names).data))
    importlib.import_module("onnx_ir.passes.common").NameFixPass()(model)
    written = [names.get(number, "") for number in range(11)]
    assert explorer_ids(written) == [node.name for node in model.graph]


@pytest.fixture(scope="module")
def report() -> CostReport:
    return api.cost(network(SOME).data, exits=1, head="linear")


def test_each_figure_is_on_the_node_it_is_of(report: CostReport) -> None:
    given = network(SOME)
    found = of_user_file(report, given)
    assert set(found) == set(NAMES)
    assert all(set(data["net"]["results"]) <= set(IDS) for data in found.values())
    assert set(found["core"]["net"]["results"]) == set(IDS[:10]) - {IDS[8]}  # Flatten costs nothing
    # Convolutions are the nodes 0, 2 and 5, in the order of their layers.
    convs = [layer for layer in report.layers if layer.layer.op_type == "Conv" and layer.layer.origin]
    for number, layer in zip((0, 2, 5), convs, strict=True):
        assert found["energy"]["net"]["results"][IDS[number]] == {"value": layer.energy_pj}
        assert found["latency"]["net"]["results"][IDS[number]] == {"value": layer.cost.latency_cycles}
        assert found["core"]["net"]["results"][IDS[number]]["value"] == layer.core
        together = found["all"]["net"]["results"][IDS[number]]["value"]
        assert together.startswith(f"{100 * layer.share:.3g} % of energy, {layer.core}, 8/8/8 bits, stage ")


def test_colours_tell_costs_and_kinds_apart(report: CostReport) -> None:
    found = of_user_file(report, network(SOME))
    shares = {x.share for x in report.layers if x.layer.origin}
    coloured = [r for r in found["all"]["net"]["results"].values() if "bgColor" in r]
    assert {r["bgColor"] for r in coloured if r["value"].startswith(f"{100 * max(shares):.3g} %")} == {
        "#d7301f"
    }
    for kind in ("core", "bits", "exits"):
        results = found[kind]["net"]["results"].values()
        pairs = {(r["value"], r["bgColor"]) for r in results}
        assert len(pairs) == len({value for value, _ in pairs}) == len({colour for _, colour in pairs}) > 1


def test_a_network_that_costs_nothing_has_colours_too() -> None:
    assert data_sets("g", {})["all"] == {"g": {"name": NAMES["all"], "results": {}}}


def test_files_are_called_after_the_data_sets(report: CostReport, tmp_path: Path) -> None:
    found = of_user_file(report, network(SOME))
    write_overlays(tmp_path / "new", found)
    assert {p.stem: json.loads(p.read_text()) for p in (tmp_path / "new").iterdir()} == found
