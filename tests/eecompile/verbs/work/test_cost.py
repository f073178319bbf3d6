"""Costs of a network through the typed face."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from eecompile import api
from eecompile.run.prepare import prepare
from passes.errors import InputError
from passes.macs import node_macs
from passes.model.graph import load
from targets.contract.registry import load_target
from targets.objective import EDP
from tests.eecompile.small_models import write_images, write_skip_net
from tests.passes.any_networks import FORMS, NO_CLASSIFIERS, SOFTMAX_FORMS, USUAL, network
from tests.passes.quantized_nets import CLASSES, QuantizedNet, images

EXAMPLE = Path(__file__).parents[4] / "examples" / "digits_resnet.onnx"
# One core at a time, weights fetched for each inference: figures of this project's first scheduler.
FIRST = {
    "latency": (9869, 10679527.05),
    "energy": (10040, 10528558.73),
    "edp": (9873, 10536863.85),
}


@pytest.mark.parametrize("objective", list(FIRST))
def test_costs_of_the_example_never_get_worse(objective: str) -> None:
    total = api.cost(EXAMPLE, target="edge_tpu_quad", objective=objective).total
    latency_cycles, energy_pj = FIRST[objective]
    assert total.latency_cycles < latency_cycles and total.energy_pj < energy_pj


def test_the_schedule_is_made_for_the_ratios_given() -> None:
    report = api.cost(EXAMPLE, exits=2, ratios=[0.5, 0.25, 0.25])
    assert report.ratios == (0.5, 0.25, 0.25) and report.expected is not None
    named = api.cost(EXAMPLE, exits=["relu_2", "relu_4"], ratios=(0.5, 0.25, 0.25))
    assert len(named.exits) == 3
    with pytest.raises(InputError, match="whatever `ratios` says"):
        api.cost(EXAMPLE, ratios=(1.0,))


def saved(text: str, folder: Path) -> Path:
    path = folder / "net.onnx"
    onnx.save(network(text), path)
    return path


@pytest.mark.parametrize("case", NO_CLASSIFIERS)
def test_any_network_is_one_path_that_holds_all_of_it(case: str, tmp_path: Path) -> None:
    path = saved(NO_CLASSIFIERS[case][0], tmp_path)
    report = api.cost(path, "gap9")
    (final,) = report.exits
    assert (final.name, final.mount) == ("final", "")
    assert final.cost.macs == report.total.macs == sum(node_macs(node) for node in load(path).nodes)
    assert report.total.latency_cycles > 0
    (document,) = report.to_json()["exits"]
    classifier = api.cost(saved(USUAL, tmp_path), "gap9").to_json()["exits"][0]
    assert document.keys() == classifier.keys()


@pytest.mark.parametrize(
    ("case", "count"),
    [("answers side by side", 2), ("two answers", 1), ("detector", 1), ("segmentation", 1), ("yes or no", 0)],
)
def test_no_softmax_is_invented_or_lost_behind_any_network(case: str, count: int, tmp_path: Path) -> None:
    layers = api.cost(saved(NO_CLASSIFIERS[case][0], tmp_path), "gap9").layers
    assert sum(layer.layer.op_type == "Softmax" for layer in layers) == count


@pytest.mark.parametrize("target", ["diana", "gap9", "edge_tpu_quad", "max78002"])
def test_a_classifier_costs_the_same_in_whatever_form_its_logits_are(target: str, tmp_path: Path) -> None:
    plain, soft = (FORMS | {"usual": USUAL}), SOFTMAX_FORMS
    for forms in (plain, soft):
        found = {
            name: api.cost(saved(text, tmp_path), target).total.latency_cycles
            for name, text in forms.items()
            if name
            not in ("[1, C, 1, 1]", "[1, 1, C]")  # a convolution and a product of tokens: other layers
        }
        assert len(set(found.values())) == 1, found


def test_an_output_that_other_layers_read_has_the_precision_they_take(tmp_path: Path) -> None:
    layers = api.cost(saved(NO_CLASSIFIERS["autoencoder with its code"][0], tmp_path), "diana").layers
    assert [[t.bits for t in layer.layer.outputs] for layer in layers] == [[8], [8], [32]]


# The first convolution is nearly all there is: what a head behind it costs is not saved any more.
TOP_HEAVY = """(float[1,3,32,32] image) => (float[1,100] logits)
    <float[16,3,3,3] w0, float[16,16,1,1] w1, float[100,16] v> {
        a = Conv<pads=[1,1,1,1]>(image, w0)
        b = Relu(a)
        c = Conv<strides=[2,2]>(b, w1)
        d = Relu(c)
        e = GlobalAveragePool(d)
        f = Flatten(e)
        logits = Gemm<transB=1>(f, v)
    }"""


def test_exits_stand_beside_the_network_without() -> None:
    report = api.cost(EXAMPLE, exits=2)
    alone = api.cost(EXAMPLE)
    assert report.static is not None and report.static.total == alone.total
    assert alone.static is None and alone.break_even is None
    found = report.break_even
    assert found is not None and found.early is not None and not found.is_worse
    assert found.static == alone.total
    document = report.to_json()
    assert document["static"].items() >= vars(alone.total).items()
    assert document["break_even"]["share"] == found.early
    assert document["break_even"]["exits"].keys() == {"exit_0", "exit_1"}
    assert document["break_even"]["mean_over_static"] < 1 and not report.warnings
    assert alone.to_json()["static"] is None and alone.to_json()["break_even"] is None


def test_break_even_shares_are_those_at_which_the_mean_is_static() -> None:
    found = api.cost(EXAMPLE, exits=1).break_even
    assert found is not None and found.early is not None
    at = api.cost(EXAMPLE, exits=1, ratios=[found.early, 1 - found.early]).break_even
    assert at is not None and at.mean_over_static == pytest.approx(1)


def test_static_is_for_the_same_operating_point() -> None:
    report = api.cost(EXAMPLE, "gap9", exits=1, point="0.65V")
    assert report.static is not None and report.static.total == api.cost(EXAMPLE, "gap9", point="0.65V").total
    within = api.cost(EXAMPLE, "gap9", exits=1, max_latency=0.0005, objective="energy")
    assert within.point is not None and within.static is not None
    assert within.static.total == api.cost(EXAMPLE, "gap9", objective="energy", point=within.point.name).total


@pytest.mark.parametrize("target", ["diana", "gap9"])
def test_exits_that_cost_more_than_they_save_are_warned_of_first(target: str, tmp_path: Path) -> None:
    report = api.cost(saved(TOP_HEAVY, tmp_path), target, exits="relu_0", head="conv")
    found = report.break_even
    assert found is not None and found.is_worse and found.mean_over_static is not None
    first = report.warnings[0]
    assert "is above that of the network without exits" in first
    assert f"{found.mean_over_static:.2f} times as much" in first
    assert report.to_json()["warnings"][0] == first


def test_where_no_mount_saves_anything_that_is_said(tmp_path: Path) -> None:
    report = api.cost(saved(TOP_HEAVY, tmp_path), "gap9", exits=1)
    assert report.static is not None and report.break_even is not None and report.break_even.is_worse
    assert any("is above that of the network without exits" in text for text in report.warnings)


def test_heads_of_a_number_of_exits_are_the_cheapest() -> None:
    chosen = api.cost(EXAMPLE, exits=1)
    mount = chosen.exits[0].mount
    kinds = {kind: api.cost(EXAMPLE, exits=[mount], head=kind) for kind in ("linear", "conv")}
    cheapest = min(report.exits[0].cost.edp_j_cycles for report in kinds.values())
    assert chosen.exits[0].cost.edp_j_cycles == cheapest
    asked = api.cost(EXAMPLE, exits=1, head="conv")
    assert any(layer.layer.name == "exit_0/conv" for layer in asked.layers)


@pytest.mark.parametrize(
    ("told", "target", "rules"),
    [
        ({}, "diana", ()),
        ({"grids": {"image": (0.03, 0, "int8")}}, "diana", ("the input: its values have steps",)),
        ({"grids": {"image": (0.03, 0, "int8")}}, "gap9", ()),
        (
            {"steps": {"second": (1 / 512,) * 8}}, "diana",
            ("'conv_1': its weights have one step per channel, where all share one",),
        ),
        (
            {"grids": {"first": (1 / 16, 3, "int8")}, "zeros": {"last": 5}}, "gap9",
            ("'conv_0': its values have integers", "'gemm_0': its weights have a zero point of 5"),
        ),
    ],
)  # fmt: skip
def test_a_network_that_came_quantized_is_refused_as_a_run_with_images_refuses_it(
    told: dict[str, Any], target: str, rules: tuple[str, ...], tmp_path: Path
) -> None:
    onnx.save(QuantizedNet(**told).model(), tmp_path / "net.onnx")
    if not rules:
        assert api.cost(tmp_path / "net.onnx", target=target).total.energy_pj > 0
        return
    arrays: dict[str, Any] = {}
    for name in ("train", "val", "test"):
        arrays |= {f"{name}_x": images(16), f"{name}_y": np.arange(16) % CLASSES}
    np.savez(tmp_path / "images.npz", **arrays)
    refusals = []
    for call in (
        lambda: api.cost(tmp_path / "net.onnx", target=target),
        lambda: api.run(tmp_path / "net.onnx", target=target, out=tmp_path / "costs"),
        lambda: api.run(
            tmp_path / "net.onnx", data=str(tmp_path / "images.npz"), target=target, out=tmp_path / "run"
        ),
    ):
        with pytest.raises(InputError) as caught:
            call()
        refusals.append(str(caught.value))
    assert len(set(refusals)) == 1 and "requantize" in refusals[0]
    for rule in rules:
        assert rule in refusals[0]
    assert not (tmp_path / "costs").exists()


def test_what_is_not_known_of_a_quantized_network_is_not_refused(tmp_path: Path) -> None:
    """Integers without values, and targets that do not say with which numbers they compute."""
    grids = {"image": (0.03, 0, "int8")}
    onnx.save(QuantizedNet(grids=grids).model(), tmp_path / "net.onnx")
    silent = replace(load_target("diana"))
    object.__setattr__(silent, "scheme_names", lambda _core: ())
    found = prepare(tmp_path / "net.onnx", silent, EDP, None, "auto")
    assert found.costs.total.energy_pj > 0
    with pytest.raises(InputError, match="diana cannot compute with its integers"):
        prepare(tmp_path / "net.onnx", load_target("diana"), EDP, None, "auto")


@pytest.mark.parametrize("form", ["quant", "lowered"])
def test_files_of_this_compiler_are_costed_where_they_compute(form: str, tmp_path: Path) -> None:
    """Analog layers too, whose form nobody else writes; elsewhere they are refused."""
    write_skip_net(tmp_path / "net.onnx")
    write_images(tmp_path / "images.npz")
    done = api.quantize(
        tmp_path / "net.onnx", str(tmp_path / "images.npz"), target="diana", placement="analog",
        out=tmp_path / "q", preprocess="raw",
    )  # fmt: skip
    assert "ternary-analog" in done.schemes
    path = tmp_path / "q" / f"model.{form}.onnx"
    report = api.cost(path, target="diana")
    assert "analog" in {layer.core for layer in report.layers}
    with pytest.raises(InputError, match="is quantized already"):
        api.cost(path, target="edge_tpu_quad")
