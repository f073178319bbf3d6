from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from eecompile.verbs.work.compare import Gate, compare_runs
from passes.errors import InputError
from tests.eecompile.fabricated_run import summary, write_run


@pytest.fixture(scope="module")
def run_a(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("a"))


def changed(folder: Path, **values: Any) -> Path:
    """Write a run whose summary has other numbers; keys are dotted with two underscores."""
    document = copy.deepcopy(summary())
    for key, value in values.items():
        group, _, name = key.partition("__")
        if name:
            document[group][name] = value
        else:
            document[group] = value
    return write_run(folder, document)


def test_equal_runs_differ_nowhere(run_a: Path, tmp_path: Path) -> None:
    result = compare_runs(run_a, write_run(tmp_path))
    assert result.passed
    assert all(d.change == 0 and d.relative == 0 for d in result.differences)
    assert result.only_a == result.only_b == result.notes == ()


@pytest.mark.parametrize(
    ("gate", "violated"),
    [
        ("expected.edp_js>+2%", True),
        ("expected.edp_js>+12%", False),
        ("expected.edp_js > +2 %", True),
        ("drop.points>+0.2", True),
        ("drop.points>+0.5", False),
        ("drop.points>0.9", True),
        ("drop.points>1.0", False),
        ("drop.points>=0.99", True),
        ("expected.accuracy<-0.01", True),
        ("expected.accuracy<-2%", True),
        ("expected.accuracy<-5%", False),
        ("exits.exit_0.ratio<0.5", True),
        ("exits.0.ratio<0.5", True),
        ("static.macs>+0%", False),
    ],
)
def test_gate(run_a: Path, tmp_path: Path, gate: str, violated: bool) -> None:
    run_b = changed(
        tmp_path, expected__edp_js=1.01e-8 * 1.1, drop__points=0.99, expected__accuracy=0.8621 - 0.03
    )
    result = compare_runs(run_a, run_b, [gate])
    assert result.gates[0].violated is violated
    assert result.passed is not violated


def test_growth_from_zero_breaks_every_relative_gate(tmp_path: Path) -> None:
    a = changed(tmp_path / "a", drop__points=0.0)
    b = changed(tmp_path / "b", drop__points=0.1)
    result = compare_runs(a, b, ["drop.points>+500%"])
    assert result.gates[0].difference.relative is None
    assert not result.passed
    json.dumps(result.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    "text", ["", "expected.edp_js", "expected.edp_js>>1", "expected.edp_js>+", "a=1", "x>1e", "x>+2%%"]
)
def test_bad_expression_shows_an_example(text: str) -> None:
    with pytest.raises(InputError, match=r"expected\.edp_js>\+2%"):
        Gate.parse(text)


def test_percentage_without_sign_is_refused() -> None:
    with pytest.raises(InputError, match="needs its sign"):
        Gate.parse("expected.edp_js>2%")


def test_unknown_key_is_suggested(run_a: Path) -> None:
    with pytest.raises(InputError, match=r"did you mean 'expected\.edp_js'"):
        compare_runs(run_a, run_a, ["expected.edp_j>+2%"])


def test_gate_on_a_number_that_is_absent_is_refused(run_a: Path, tmp_path: Path) -> None:
    without_data = write_run(tmp_path, summary(with_data=False))
    with pytest.raises(InputError, match="not a number both runs have"):
        compare_runs(run_a, without_data, ["drop.points>+1"])
    with pytest.raises(InputError, match="no number in run B"):
        compare_runs(run_a, without_data, ["exits.exit_0.ratio<0.5"])


def test_exit_that_no_image_takes_has_no_accuracy_to_compare(run_a: Path, tmp_path: Path) -> None:
    document = copy.deepcopy(summary())
    document["exits"][0].update(ratio=0.0, accuracy=None)
    run_b = write_run(tmp_path, document)
    assert "exits.exit_0.accuracy" in compare_runs(run_a, run_b).only_a
    with pytest.raises(InputError, match="does no test image leave at that exit"):
        compare_runs(run_a, run_b, ["exits.exit_0.accuracy<-1%"])


@pytest.mark.parametrize(
    ("b", "within"),
    [
        ({"latency_cycles": 360e3, "latency_interval": [324e3, 396e3]}, True),
        ({"latency_cycles": 420e3, "latency_interval": [378e3, 462e3]}, False),
        ({"latency_cycles": 420e3, "latency_interval": [300e3, 500e3]}, False),  # a is in that of b alone
        ({"latency_cycles": 360e3, "latency_interval": None}, None),
    ],
)
def test_a_difference_within_the_intervals_is_said_to_be(
    b: dict[str, Any], within: bool | None, tmp_path: Path
) -> None:
    static = summary()["static"]
    run_a = changed(tmp_path / "a", static=static | {"latency_interval": [314e3, 384e3]})
    run_b = changed(tmp_path / "b", static=static | b)
    result = compare_runs(run_a, run_b)
    found = {d.key: d.within for d in result.differences}
    assert found["static.latency_cycles"] is within
    assert found["static.macs"] is found["static.energy_pj"] is None, "they have no intervals"
    told = {d["key"]: d["within_intervals"] for d in result.to_json()["differences"]}
    assert told["static.latency_cycles"] is within


def test_savings_are_told_apart_by_their_own_intervals(tmp_path: Path) -> None:
    saving = summary()["saving"]
    a = changed(tmp_path / "a")
    near, far = (changed(tmp_path / str(v), saving=saving | {"edp": v}) for v in (0.40, 0.43))
    for other, within in ((near, True), (far, False)):
        found = {d.key: d.within for d in compare_runs(a, other).differences}
        assert found["saving.edp"] is within


def test_other_rules_of_latency_are_noted(run_a: Path, tmp_path: Path) -> None:
    result = compare_runs(run_a, changed(tmp_path, rules="zigzag"))
    assert result.notes == ("rules differs: None and zigzag",), "older runs tell none"


@pytest.mark.parametrize(
    ("key", "one", "other"), [("schedule", "layers", "rows"), ("trainer", "frozen", "joint")]
)
def test_another_schedule_or_trainer_is_noted(
    run_a: Path, tmp_path: Path, key: str, one: str, other: str
) -> None:
    second = changed(tmp_path / "second", **{key: other})
    assert compare_runs(run_a, second).notes == (), "older runs tell none"
    first = changed(tmp_path / "first", **{key: one})
    assert compare_runs(first, second).notes == (f"{key} differs: {one} and {other}",)


def test_other_model_is_noted(run_a: Path, tmp_path: Path) -> None:
    result = compare_runs(run_a, changed(tmp_path, model="other"))
    assert result.notes == ("model differs: resnet8_cifar10 and other",)


def test_not_a_run_directory(run_a: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run directory"):
        compare_runs(run_a, tmp_path)
