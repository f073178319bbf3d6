from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eecompile.report.findings.costliest import costliest, layer_shares
from eecompile.report.reading import LayerRow, RunFiles, read_run
from eecompile.run_files.summary import Summary
from tests.eecompile.fabricated_run import summary, write_run
from tests.eecompile.report.findings.asked_for import check_trials, typed


def layer(name: str, cycles: float, energy: float, leaves: str = "exit_0", **more: Any) -> LayerRow:
    costs: dict[str, Any] = {"latency_cycles": cycles, "compute_cycles": cycles, "energy_pj": energy}
    return LayerRow(name, core="digital", exit=leaves, **(costs | more))


def run(*layers: LayerRow, with_data: bool = True, **changes: Any) -> RunFiles:
    document = Summary.model_validate({**summary(with_data), **changes})
    return RunFiles(document, {}, layers, (), names={item.name: f"user/{item.name}" for item in layers})


def test_a_layer_counts_as_often_as_images_get_to_it() -> None:
    layers = [layer("a", 100, 10), layer("b", 100, 10, "exit_1"), layer("c", 100, 10, "final")]
    found = layer_shares(layers, run().summary)
    # 40 % leave at exit_0, 27 % at exit_1.
    assert [item.reached for item in found] == pytest.approx([1, 0.6, 0.33])
    assert [item.energy for item in found] == pytest.approx([1 / 1.93, 0.6 / 1.93, 0.33 / 1.93])
    plain = layer_shares(layers, run(with_data=False).summary)
    assert [item.latency for item in plain] == pytest.approx([1 / 3] * 3)


def test_layers_without_cost_have_no_share() -> None:
    (found,) = layer_shares([layer("a", 0, 0)], run().summary)
    assert (found.energy, found.latency) == (0, 0) and costliest(run(layer("a", 0, 0))) == ()


def test_of_energy_or_time_that_which_was_minimised_says_which_are_told() -> None:
    layers = (layer("hungry", 10, 90), layer("slow", 90, 10))
    (found,) = costliest(run(*layers), 1)
    assert (found.figure, found.unit) == ("90 %", "of the energy")
    assert found.finding == (
        "user/hungry (on digital) takes 90 % of the energy and 10 % of the time of the average image"
    )
    (found,) = costliest(run(*layers, objective="latency"), 1)
    assert (found.figure, found.unit) == ("90 %", "of the time") and found.finding.startswith("user/slow")
    assert typed(found.trial) == "--prune cycles=-20%"


def test_layers_that_one_option_makes_cheaper_are_told_together() -> None:
    (found,) = costliest(run(layer("a", 50, 50), layer("b", 30, 30), layer("c", 20, 20)), 2)
    assert found.figure == "80 %" and typed(found.trial) == "--prune energy=-20%"
    assert found.finding.startswith("user/a (on digital, 50 %) and user/b (on digital, 30 %) take 80 % of")


@pytest.mark.parametrize(
    ("found", "changes", "step", "option"),
    [
        (layer("x", 9, 9, origin='["pool"]'), {"core": "host"}, "no core of the chip takes", "inspect"),
        (layer("exit_1/conv", 9, 9, "exit_1"), {}, "the conv head of exit_1", "--head linear"),
        (layer("x", 9, 9, "final"), {}, "33.0 % of images get there", "retune RUN --max-drop 2"),
        (layer("x", 9, 9, dma_cycles=6), {}, "67 % of its cycles move data", "eecompile cost"),
        (layer("x", 9, 9), {"with_data": False}, "with data it is known", "--data IMAGES"),
        (layer("x", 9, 9), {"trainer": "scratch"}, "another backbone", "eecompile search"),
    ],
)
def test_what_is_to_do_follows_from_core_exit_cycles_and_work(
    found: LayerRow, changes: dict[str, Any], step: str, option: str
) -> None:
    if "core" in changes:
        found = LayerRow(**{**vars(found), "core": changes.pop("core")})
    (piece,) = costliest(run(found, **changes))
    assert step in piece.step and option in typed(piece.trial)
    check_trials([piece])


def test_a_decision_on_the_host_is_no_fault_of_the_network(tmp_path: Path) -> None:
    (piece,) = costliest(run(LayerRow("exit_0.decide", core="host", exit="exit_0", energy_pj=5)))
    assert "inspect" not in typed(piece.trial)
    whole = costliest(read_run(write_run(tmp_path)))
    assert whole and all("%" in item.figure for item in whole)
    check_trials(whole)
