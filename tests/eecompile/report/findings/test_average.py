from __future__ import annotations

import copy

import pytest

from eecompile.report.findings.average import by_cost_model, image_costs
from eecompile.run_files.summary import Summary
from tests.eecompile.fabricated_run import summary


def test_the_average_image_stands_between_static_and_the_paths() -> None:
    energy, latency = image_costs(Summary.model_validate(summary()))
    names = [bar.name for bar in energy.bars]
    assert names[:2] == ["static network", "average image"]
    assert names[2:] == ["exit_0, 40.0 % of images", "exit_1, 27.0 % of images", "final, 33.0 % of images"]
    assert [bar.text for bar in energy.bars] == ["11.9 µJ", "8.57 µJ", "5.10 µJ", "8.80 µJ", "12.6 µJ"]
    assert [bar.share for bar in energy.bars[:3]] == ["", "72 % of static", "43 % of static"]
    assert [bar.width for bar in energy.bars] == pytest.approx([94.44, 68.02, 40.48, 69.84, 100])
    assert [bar.text for bar in latency.bars][:2] == ["1.34 ms", "977 µs"]
    assert (energy.title, latency.title) == ("Energy per image", "Latency per image")


def test_without_data_there_is_no_average_image_and_without_a_clock_latency_is_cycles() -> None:
    document = copy.deepcopy(summary(with_data=False))
    for entry in (document["static"], *document["exits"]):
        entry["latency_s"] = None
    energy, latency = image_costs(Summary.model_validate(document))
    assert [bar.name for bar in energy.bars] == ["static network", "exit_0", "exit_1", "final"]
    assert latency.bars[0].text == "349,000 cycles"


def test_paths_are_told_with_speculation_where_the_average_is() -> None:
    document = copy.deepcopy(summary())
    ahead = {"latency_cycles": 7, "latency_s": 3.0, "energy_pj": 5e6, "edp_js": 15.0, "edp_j_cycles": 35.0}
    document["exits"][0]["speculative"] = ahead | {"wasted_pj": 1.0, "pays": True}
    for expected, text in ((True, "3.00 s"), (False, "585 µs")):
        document["expected"]["speculation"] = expected
        _, latency = image_costs(Summary.model_validate(document))
        assert latency.bars[2].text == text


def test_each_cost_model_of_the_target_says_what_is_saved() -> None:
    used, other, failed = by_cost_model(Summary.model_validate(summary()))
    assert used.saving is not None and other.saving is not None
    assert (used.name, used.saving.edp, other.name, other.saving.edp) == ("match", 0.368, "odimo", 0.421)
    assert (failed.name, failed.saving, failed.reason) == ("engine", None, "no mapping fits")


def test_one_cost_model_is_not_compared() -> None:
    document = summary()
    document["saving_causes"] = document["saving_causes"][:1]
    assert by_cost_model(Summary.model_validate(document)) == ()
