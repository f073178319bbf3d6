"""Where figures come from, line by line, from what a run recorded."""

from __future__ import annotations

from typing import Any

import pytest

from eecompile.report.provenance import Fact, agreement, facts, knowledge, measured, words
from eecompile.report.reading import LayerRow, RunFiles
from eecompile.run_files.summary import Summary
from eecompile.wording.quantities import ABSENT
from tests.eecompile.fabricated_run import run_info, summary


def run(info: dict[str, Any], layers: tuple[LayerRow, ...] = (), **changes: Any) -> RunFiles:
    return RunFiles(Summary.model_validate({**summary(), **changes}), info, layers, ())


def lines(found: tuple[Fact, ...]) -> dict[str, str]:
    """Return label -> value; every label is there once."""
    table = {fact.label: fact.value for fact in found}
    assert len(table) == len(found)
    return table


def test_measured_times_are_told_with_their_change_and_per_exit() -> None:
    times = {"static_ms": 0.5, "dynamic_ms": 0.3, "per_exit_ms": [0.1, None, 0.45], "images": 200}
    assert lines(measured(run({"measured": times}))) == {
        "static network": "0.500 ms",
        "early-exit network, average over test images": "0.300 ms",
        "change": "40.0 % less",
        "an image that leaves at exit_0": "0.100 ms",
        "an image that leaves at exit_1": ABSENT,
        "an image that leaves at final": "0.450 ms",
        "images": "200",
    }


@pytest.mark.parametrize(
    ("times", "labels"),
    [
        (None, []),
        ([0.5], []),
        ({"dynamic_ms": 0.3}, ["early-exit network, average over test images"]),
        (
            {"static_ms": 0, "dynamic_ms": 0.3},
            ["static network", "early-exit network, average over test images"],
        ),
        ({"per_exit_ms": {"exit_7": 0.2}}, ["an image that leaves at exit_7"]),
    ],
)
def test_times_that_were_not_taken_are_not_told(times: object, labels: list[str]) -> None:
    assert [fact.label for fact in measured(run({"measured": times}))] == labels


def test_more_time_is_told_as_more() -> None:
    times = {"static_ms": 0.5, "dynamic_ms": 0.6}
    assert lines(measured(run({"measured": times})))["change"] == "20.0 % more"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (None, {}),
        (
            {"images": 1200, "dynamic_exit": 1199, "note": "one differs"},
            {"dynamic exit": "1,199 of 1,200 test images", "note": "one differs"},
        ),
        ({"dynamic_exit": True}, {"dynamic exit": "True"}),
        ("all", {"agreement": "all"}),
    ],
)
def test_agreement_is_counted_in_test_images(found: object, told: dict[str, str]) -> None:
    assert lines(agreement(run({"agreement": found}))) == told


def test_shares_of_energy_and_cycles_are_told_by_how_they_are_known() -> None:
    layers = (
        LayerRow("a", energy_pj=60, latency_cycles=10, known="published"),
        LayerRow("b", energy_pj=30, latency_cycles=70, known="placeholder"),
        LayerRow("c", energy_pj=10, latency_cycles=20, known="published"),
        LayerRow("d", known="placeholder"),
    )
    assert lines(knowledge(run({}, layers))) == {
        "published": "2 layers, 70 % of the energy, 30 % of the cycles",
        "placeholder": "2 layers, 30 % of the energy, 70 % of the cycles",
    }
    assert knowledge(run({}, (LayerRow("a", energy_pj=60),))) == ()
    free = (LayerRow("a", known="measured"), LayerRow("b", known="measured"))
    assert lines(knowledge(run({}, free))) == {
        "measured": f"2 layers, {ABSENT} of the energy, {ABSENT} of the cycles"
    }


def test_the_rest_of_what_a_run_recorded_is_one_line_per_value() -> None:
    info = run_info(with_data=True) | {"warnings": ["look"], "seed": 7, "empty": [], "none": None}
    table = lines(facts(run(info)))
    assert table["model"] == "resnet8_cifar10" and table["objective"] == "edp"
    assert table["seed"] == "0", "what the summary says is not said again"
    assert table["data"] == "cifar10_subset (8,068 train, 611 validation, 1,000 test)"
    assert table["versions: onnx"] == "1.23.2"
    assert table["wall s: features"] == "11.4"
    assert table["preprocess tried"] == "raw: 0.1016\nunit: 0.8633"
    assert table["assumptions"].splitlines() == info["assumptions"]
    assert (table["empty"], table["none"]) == (ABSENT, ABSENT)
    assert not any(label.startswith(("measured", "agreement", "warnings")) for label in table)


@pytest.mark.parametrize(
    ("optimistic", "rule"), [(True, "plain estimate"), (False, "upper 90 % bootstrap bound")]
)
def test_the_allowed_drop_says_what_is_held_to_it(optimistic: bool, rule: str) -> None:
    said = lines(facts(run({}, optimistic=optimistic, max_drop=1.5)))["allowed accuracy drop"]
    assert said.startswith(f"1.5 points ({rule} and mean over neighbouring thresholds")


def test_of_kept_thresholds_no_drop_is_told() -> None:
    said = lines(facts(run({}, kept_thresholds=True)))
    assert said["thresholds"] == "kept as the network brought them" and "allowed accuracy drop" not in said


def test_without_data_no_drop_is_told() -> None:
    assert not {"data", "allowed accuracy drop"} & lines(facts(run({}, dataset=None))).keys()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([1, 2.5, "x"], {"key": "1, 2.5, x"}),
        (1 / 3, {"key": "0.333333"}),
        (["a" * 41, "b"], {"key": "a" * 41 + "\nb"}),
        ([{"name": "a"}, {"name": "b"}], {"key: 0.name": "a", "key: 1.name": "b"}),
        ({"a": {"b_c": 1}, "d": True}, {"key: a.b c": "1", "key: d": "True"}),
    ],
)
def test_values_are_flattened(value: object, told: dict[str, str]) -> None:
    table = lines(facts(run({"key": value})))
    assert {label: text for label, text in table.items() if label.startswith("key")} == told


def test_keys_are_told_as_words() -> None:
    assert [words(key) for key in ("wall_s.train", "a.b.c_d", "plain", "")] == [
        "wall s: train", "a: b.c d", "plain", "",
    ]  # fmt: skip
