"""Any number of runs against the first: verdicts, notes, gates, and all that is written."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from eecompile.verbs.work.compare import ComparedFigure, Comparison, compare_runs, letter
from passes.errors import InputError
from tests.eecompile.fabricated_run import samples, summary, write_run
from tests.eecompile.verbs.work.test_paired_runs import IMAGES, run_with


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


def figure(result: Comparison, key: str) -> ComparedFigure:
    return next(figure for figure in result.figures if figure.key == key)


def test_equal_runs_differ_nowhere(run_a: Path, tmp_path: Path) -> None:
    result = compare_runs([run_a, write_run(tmp_path), run_a])
    assert result.passed and result.runs == (str(run_a), str(tmp_path), str(run_a))
    assert not any(found.differs for found in result.figures)
    assert {verdict for found in result.figures for verdict in found.verdicts} == {"same", ""}
    assert result.notes == ("not paired image by image: A has no samples.npz",), (
        "accuracies are judged by their intervals, and that is said"
    )


def test_the_figures_that_matter_come_first_and_no_key_twice(run_a: Path) -> None:
    result = compare_runs([run_a, run_a])
    named = [found.name for found in result.figures if found.name]
    assert named == [found.name for found in result.figures[: len(named)]]
    assert named[:3] == ["accuracy with exits", "accuracy without exits", "drop"] and len(named) == 12
    keys = [found.key for found in result.figures]
    assert len(set(keys)) == len(keys) and "exits.exit_1.macs" in keys


@pytest.mark.parametrize(
    ("key", "value", "verdict"),
    [
        ("expected__energy_pj", 8e6, "better"),
        ("expected__energy_pj", 9e6, "worse"),
        ("expected__accuracy", 0.8630, "unclear"),
        ("expected__accuracy", 0.95, "better"),
        ("static__accuracy_quant", 0.7, "worse"),
        ("drop__points", 0.6, "unclear"),
        ("saving__edp", 0.369, "unclear"),
        ("saving__edp", 0.45, "better"),
        ("seed", 3, ""),
    ],
)
def test_each_run_is_better_or_worse(
    run_a: Path, tmp_path: Path, key: str, value: float, verdict: str
) -> None:
    result = compare_runs([run_a, run_a, changed(tmp_path, **{key: value})])
    found = figure(result, key.replace("__", "."))
    assert found.verdicts == ("same" if verdict else "", verdict)
    assert found.values[2] == value


def test_paired_answers_decide_where_there_are_some(tmp_path: Path) -> None:
    """Accuracies so far apart that intervals would tell them apart; on the same images nothing differs."""
    runs = [run_with(tmp_path / name, samples(), IMAGES) for name in ("a", "b")]
    document = json.loads((runs[1] / "summary.json").read_text())
    document["expected"]["accuracy"] = 0.95
    (runs[1] / "summary.json").write_text(json.dumps(document))
    result = compare_runs(runs)
    (pair,) = result.paired
    assert pair.images == 1000 and pair.with_exits is not None and pair.with_exits.p_value == 1.0
    assert figure(result, "expected.accuracy").verdicts == ("unclear",)
    assert result.notes == ()
    assert result.to_json()["paired"][0]["with_exits"]["points"] == 0.0


def test_cycles_of_another_clock_are_not_judged(tmp_path: Path, run_a: Path) -> None:
    result = compare_runs([run_a, changed(tmp_path, target="gap9", expected__latency_cycles=9e9)])
    assert figure(result, "expected.latency_cycles").verdicts == ("",)
    assert figure(result, "expected.edp_j_cycles").verdicts == ("",)
    assert figure(result, "expected.energy_pj").verdicts == ("same",)
    assert result.notes[:2] == (
        "target differs: A diana, B gap9",
        "cycles of different clocks are no common unit: figures in them are not judged",
    )


def test_what_is_made_of_a_run_is_compared_too(run_a: Path, tmp_path: Path) -> None:
    (tmp_path / "model.dynamic.onnx").parent.mkdir(exist_ok=True)
    other = write_run(tmp_path)
    (other / "model.dynamic.onnx").write_bytes(b"x" * 3072)
    result = compare_runs([run_a, other])
    assert figure(result, "files.dynamic_bytes").values == (None, 3072)
    assert figure(result, "left_early").values[0] == pytest.approx(0.67)
    assert figure(result, "deepest.latency_cycles").values[0] == 371e3


@pytest.mark.parametrize(
    ("gate", "violated"),
    [
        ("expected.edp_js>+2%", True),
        ("expected.edp_js>+12%", False),
        ("drop.points>+0.2", True),
        ("expected.accuracy<-2%", True),
        ("exits.exit_0.ratio<0.5", True),
        ("exits.0.ratio<0.5", True),
        ("static.macs>+0%", False),
    ],
)
def test_every_run_but_the_first_is_held_to_a_gate(
    run_a: Path, tmp_path: Path, gate: str, violated: bool
) -> None:
    run_b = changed(
        tmp_path, expected__edp_js=1.01e-8 * 1.1, drop__points=0.99, expected__accuracy=0.8621 - 0.03
    )
    alone = violated and "ratio" in gate
    result = compare_runs([run_a, run_a, run_b], [gate])
    assert [(found.run, found.violated) for found in result.gates] == [("B", alone), ("C", violated)]
    assert result.passed is not violated


def test_growth_from_zero_has_no_share(tmp_path: Path) -> None:
    a = changed(tmp_path / "a", drop__points=0.0)
    b = changed(tmp_path / "b", drop__points=0.1)
    result = compare_runs([a, b], ["drop.points>+500%"])
    assert result.gates[0].difference.relative is None
    assert not result.passed
    json.dumps(result.to_json(), allow_nan=False)


def test_unknown_key_is_suggested(run_a: Path) -> None:
    with pytest.raises(InputError, match=r"did you mean 'expected\.edp_js'"):
        compare_runs([run_a, run_a], ["expected.edp_j>+2%"])


def test_gate_on_a_number_that_is_absent_is_refused(run_a: Path, tmp_path: Path) -> None:
    without_data = write_run(tmp_path, summary(with_data=False))
    with pytest.raises(InputError, match="not a number that both A and C have"):
        compare_runs([run_a, run_a, without_data], ["drop.points>+1"])
    with pytest.raises(InputError, match="no number in run B"):
        compare_runs([run_a, without_data], ["exits.exit_0.ratio<0.5"])


def test_exit_that_no_image_takes_has_no_accuracy_to_compare(run_a: Path, tmp_path: Path) -> None:
    document = copy.deepcopy(summary())
    document["exits"][0].update(ratio=0.0, accuracy=None)
    run_b = write_run(tmp_path, document)
    assert figure(compare_runs([run_a, run_b]), "exits.exit_0.accuracy").values[1] is None
    with pytest.raises(InputError, match="does no test image leave at that exit"):
        compare_runs([run_a, run_b], ["exits.exit_0.accuracy<-1%"])


@pytest.mark.parametrize(
    ("b", "within", "verdict"),
    [
        ({"latency_cycles": 360e3, "latency_interval": [324e3, 396e3]}, True, "unclear"),
        ({"latency_cycles": 420e3, "latency_interval": [378e3, 462e3]}, False, "worse"),
        ({"latency_cycles": 420e3, "latency_interval": [300e3, 500e3]}, False, "worse"),  # only a in b's
        ({"latency_cycles": 360e3, "latency_interval": None}, None, "worse"),
    ],
)  # fmt: skip
def test_a_difference_within_the_intervals_is_unclear(
    b: dict[str, Any], within: bool | None, verdict: str, tmp_path: Path
) -> None:
    static = summary()["static"]
    run_a = changed(tmp_path / "a", static=static | {"latency_interval": [314e3, 384e3]})
    result = compare_runs([run_a, changed(tmp_path / "b", static=static | b)])
    found = figure(result, "static.latency_cycles")
    assert (found.within, found.verdicts) == ((within,), (verdict,))
    assert figure(result, "static.macs").within == (None,), "it has no interval"
    told = {d["key"]: d["against_baseline"][0] for d in result.to_json()["figures"]}
    assert told["static.latency_cycles"]["within_intervals"] is within


def test_other_rules_of_latency_are_noted(run_a: Path, tmp_path: Path) -> None:
    result = compare_runs([run_a, changed(tmp_path, rules="zigzag")])
    assert result.notes[0] == "rules differs: A does not tell, B zigzag", "older runs tell none"


@pytest.mark.parametrize(
    ("key", "one", "other"), [("schedule", "layers", "rows"), ("trainer", "frozen", "joint")]
)
def test_another_schedule_or_trainer_is_noted(
    run_a: Path, tmp_path: Path, key: str, one: str, other: str
) -> None:
    second = changed(tmp_path / "second", **{key: other})
    assert not any(key in note for note in compare_runs([run_a, second]).notes), "older runs tell none"
    first = changed(tmp_path / "first", **{key: one})
    assert f"{key} differs: A {one}, B {other}, C {one}" in compare_runs([first, second, first]).notes


@pytest.mark.parametrize(
    ("key", "value", "note"),
    [
        ("model", "other", "model differs: A resnet8_cifar10, B other"),
        ("objective", "energy", "objective differs: A edp, B energy"),
        ("cost_model", "odimo", "cost model differs: A match, B odimo"),
        (
            "dataset__name",
            "mine",
            "data differs: A cifar10_subset, B mine; what is expected is of other images",
        ),
        ("target_description", "ff", "target diana is described otherwise"),
    ],
)
def test_what_makes_runs_hard_to_compare_is_noted(
    run_a: Path, tmp_path: Path, key: str, value: str, note: str
) -> None:
    assert note in compare_runs([run_a, changed(tmp_path, **{key: value})]).notes


def test_runs_without_images_are_no_matter_of_pairs(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, summary(with_data=False)) for name in "ab"]
    result = compare_runs(runs)
    assert result.notes == ()
    assert [found.name for found in result.figures if found.name] == [
        "energy of the deepest path", "latency of the deepest path", "EDP without exits"
    ]  # fmt: skip


def test_all_that_is_known_is_in_the_document(run_a: Path, tmp_path: Path) -> None:
    document = compare_runs([run_a, run_a, changed(tmp_path, seed=7)]).to_json()
    assert [run["run"] for run in document["runs"]] == ["A", "B", "C"]
    assert document["runs"][0]["label"] == "resnet8_cifar10 on diana, for edp"
    seeds = next(entry for entry in document["figures"] if entry["key"] == "seed")
    assert seeds["values"] == [0, 0, 7] and [d["change"] for d in seeds["against_baseline"]] == [0, 7]


def test_rows_are_one_for_each_figure_of_each_run(run_a: Path, tmp_path: Path) -> None:
    result = compare_runs([run_a, run_a, changed(tmp_path, expected__macs=1.0)])
    rows = result._rows()
    assert len(rows) == 2 * len(result.figures)
    (one,) = [row for row in rows if row["key"] == "expected.macs" and row["run"] == str(tmp_path)]
    assert (one["figure"], one["unit"], one["value"], one["verdict"]) == (
        "MACs per image", "MACs", 1.0, "better"
    )  # fmt: skip


def test_a_picture_has_a_bar_for_each_run_and_figure_that_matters(run_a: Path) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure as Canvas

    axes = compare_runs([run_a, run_a, run_a]).plot(Canvas().subplots())
    assert len(axes.patches) == 2 * 12
    assert axes.get_yticklabels()[0].get_text() == "accuracy with exits"


@pytest.mark.parametrize(("number", "name"), [(0, "A"), (25, "Z"), (26, "R27")])
def test_letters_end_in_numbers(number: int, name: str) -> None:
    assert letter(number) == name


def test_not_a_run_directory(run_a: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run directory"):
        compare_runs([run_a, tmp_path])
