"""What verbs print of runs, passes and the machine, on answers that are made up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from eecompile.cli import show_run
from eecompile.cli.show_run import (
    diagnosis,
    optimized,
    pass_list,
    run_result,
    written_report,
)
from eecompile.run.main import RunResult
from eecompile.run_files.summary import Summary
from eecompile.verbs.report import WrittenReport
from eecompile.verbs.work.doctor import Diagnosis, Finding
from eecompile.verbs.work.listing import PassInfo, PassList, PassOption
from eecompile.verbs.work.optimize import OptResult, StepResult
from eecompile.verbs.work.same_answers import Check
from eecompile.wording.error_bars import NOT_VALIDATED
from eecompile.wording.quantities import ABSENT
from passes.state import Decline
from tests.eecompile.cli.table_rows import cells
from tests.eecompile.cli.test_terminal import printed
from tests.eecompile.fabricated_run import summary

WIDE = 200


def answer(agreement: dict[str, int] | None = None, with_data: bool = True, **changes: Any) -> RunResult:
    document = {**summary(with_data), **changes}
    info = {} if agreement is None else {"agreement": agreement}
    made = Summary.model_validate_json(json.dumps(document))
    return RunResult(Path("runs/here"), made, cast("Any", None), info)


def shown(made: RunResult) -> str:
    return printed(lambda out: run_result(out, made), WIDE)


EXITS = "Exits (EDP as a share of static; accuracy of the images that leave there)"


def test_exits_stand_above_what_is_expected_and_the_static_network() -> None:
    """Shares of static by hand: exit_0 has 5.1 of 11.9 µJ and 152 of 349 kilocycles: 18.7 % of the EDP."""
    text = shown(answer())
    assert cells(text, EXITS) == [
        ["exit", "mount", "MACs", "latency", "energy", "EDP", "ratio", "accuracy"],
        ["exit_0", "add_0", "5.30 M", "585 µs", "5.10 µJ", "19 %", "40 %", "93.1 %"],
        ["exit_1", "add_1", "9.30 M", "1.01 ms", "8.80 µJ", "56 %", "27 %", "90.2 %"],
        ["final", "add_2", "13.0 M", "1.43 ms", "12.6 µJ", "113 %", "33 %", "78.8 %"],
        ["expected", "", "8.92 M", "977 µs", "8.57 µJ", "63 %", "100 %", "86.2 %"],
        ["static", "", "12.5 M", "1.34 ms", "11.9 µJ", "100 %", "", "86.8 %"],
    ]
    assert text.startswith("With 2 early exits an image takes 36.8 % less")
    assert text.endswith("Files: runs/here\nReport: runs/here/report.html\n")


def test_the_pruned_network_stands_beside_the_one_it_is_held_against() -> None:
    pruned = {**summary()["static"], "accuracy_quant": 0.851}
    rows = cells(shown(answer(pruned=pruned)), EXITS)
    assert [row[0] for row in rows[-3:]] == ["expected", "static, as given", "static, pruned"]
    assert rows[-1][-1] == "85.1 %"


def test_the_trained_network_without_its_exits_stands_beside_static() -> None:
    trained = {**summary()["static"], "accuracy_quant": 0.882}
    rows = cells(shown(answer(static_trained=trained)), EXITS)
    assert [row[0] for row in rows[-3:]] == ["expected", "static", "static, trained"]
    assert rows[-1][-1] == "88.2 %" and rows[-2][-1] == "86.8 %"
    assert rows[-1][1:-1] == rows[-2][1:-1], "they have the same layers"


def test_without_data_there_are_costs_alone() -> None:
    text = shown(answer(with_data=False))
    rows = cells(text, "Exits (EDP as a share of static)")
    assert rows[0] == ["exit", "mount", "MACs", "latency", "energy", "EDP"]
    assert [row[0] for row in rows[1:]] == ["exit_0", "exit_1", "final", "static"]
    assert rows[1][-1] == "19 %" and "accuracy is claimed" in text
    assert "Savings" not in text and "not in the files" not in text


def test_an_expectation_with_speculation_is_called_that() -> None:
    expected = {**summary()["expected"], "speculation": True}
    title = EXITS.replace("leave there)", "leave there; expected with speculation)")
    assert len(cells(shown(answer(expected=expected)), title)) == 6


def test_savings_by_other_models_are_told_by_cause() -> None:
    title = "Savings by other models of the chip, in %"
    text = shown(answer())
    rest = ["[23.0, 31.0]", "[22.2, 30.2]"]
    assert cells(text, title) == [
        ["cause", "models", "EDP saved", "energy saved", "latency saved"],
        ["host scale", "host x0, host x4", "[33.1, 37.7]", *rest],
        ["cost model", "odimo, engine", "[36.8, 42.1]", *rest],
        ["all", "", "[33.1, 42.1]", *rest],
    ]
    assert "Models that cannot cost the network\n  engine: no mapping fits\n" in text
    assert title not in shown(answer(saving_causes=[]))
    failed: list[dict[str, Any]] = [{"cause": "cost model", "interval": None, "alternatives": []}]
    assert cells(shown(answer(saving_causes=failed, saving_interval=None)), title)[1][-1] == ABSENT


def test_intervals_stand_below_latency_and_energy_where_there_are_any() -> None:
    assert NOT_VALIDATED in shown(answer())
    bar = {"low": 0.8, "high": 1.25, "nominal_coverage": 0.5, "basis": "one network"}
    static = {**summary()["static"], "latency_interval": [260e3, 520e3], "energy_interval": [9e6, 15e6]}
    told = {"latency": bar, "energy": None, "command": "x", "note": ""}
    text = shown(answer(static=static, validation="measured", intervals=told))
    assert "Interval of latency: ×0.80 to ×1.25" in text and NOT_VALIDATED not in text  # noqa: RUF001
    assert [cell for cell in cells(text, EXITS)[-1] if cell] == ["[1.00, 2.00]", "[9.00, 15.0]"]


def test_removed_exits_and_warnings_are_told() -> None:
    text = shown(answer())
    assert "Exits that are not in the files\n  exit_2: its head costs more than leaving there saves\n" in text
    assert "Warnings\n  Host work is costed with placeholder figures" in text
    assert "Warnings" not in shown(answer(warnings=[]))


@pytest.mark.parametrize(("other", "passed"), [(12, True), (11, False), (None, True)])
def test_the_document_is_the_summary_with_the_folder_and_whether_files_agree(
    other: int | None, passed: bool
) -> None:
    keys = ("images", "dynamic_prediction", "dynamic_exit", "stages_prediction", "stages_exit")
    agreement = None if other is None else {**dict.fromkeys(keys, 12), "stages_exit": other}
    made = answer(agreement)
    document = made.to_json()
    assert (document.pop("out"), document.pop("passed")) == ("runs/here", passed)
    assert document == json.loads(made.summary.to_text())


STEPS = (
    StepResult("canonicalize", True, 11, 10, 0.0123, None),
    StepResult("quantize", False, 10, 10, 1.5, None),
)
DONE = OptResult("net.onnx", STEPS, (), None, (), ())


def passes(result: OptResult) -> str:
    return printed(lambda out: optimized(out, result), WIDE)


def test_each_pass_has_a_row() -> None:
    assert cells(passes(DONE), "Passes") == [
        ["pass", "changed", "nodes", "ms"],
        ["canonicalize", "yes", "11 → 10", "12.3"],
        ["quantize", "no", "10 → 10", "1500.0"],
    ]


def test_verified_passes_have_their_verdicts() -> None:
    checks = (
        Check("equal", ("logits",), 0.0, None, ""),
        Check("quantized", ("logits",), 0.1234, 31.27, ""),
        Check("not comparable", (), None, None, ""),
    )
    steps = tuple(replace(STEPS[0], check=check) for check in checks)
    heading, *rows = cells(passes(replace(DONE, steps=steps)), "Passes")
    assert heading[4:] == ["outputs", "max diff", "SQNR"]
    assert [row[4:] for row in rows] == [
        ["equal", "0", ABSENT],
        ["quantized", "0.12", "31.3 dB"],
        ["not comparable", ABSENT, ABSENT],
    ]


def test_files_and_notes_of_passes_are_told() -> None:
    stages = (Path("stages/00-canonicalize.onnx"), Path("stages/01-quantize.onnx"))
    text = passes(replace(DONE, out=Path("new.onnx"), stages=stages, notes=("calibrated",)))
    assert text.endswith("Notes\n  calibrated\n\nStages: stages (2 files)\nWritten: new.onnx\n")
    assert "Written" not in passes(DONE) and "Stages" not in passes(DONE)


def test_of_much_that_was_left_alone_the_first_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show_run, "SHOWN_DECLINES", 2)
    declined = tuple(Decline("fuse-layers", f"node_{number}", "odd") for number in range(3))
    text = passes(replace(DONE, declined=declined))
    assert cells(text, "Left alone, and why (2 of 3; all with --json)") == [
        ["pass", "node or tensor", "reason"],
        ["fuse-layers", "node_0", "odd"],
        ["fuse-layers", "node_1", "odd"],
    ]
    assert len(cells(passes(replace(DONE, declined=declined[:2])), "Left alone, and why")) == 3


FOLD = PassInfo(
    "fold-it",
    "Fold one into another.",
    ("Of one reader.", "Of no reader."),
    "Weights stay.",
    (PassOption("at", "str", "required"), PassOption("deep", "bool", "false")),
)


def test_passes_are_listed_or_one_is_shown_with_its_rules() -> None:
    def text(detailed: bool, *found: PassInfo) -> str:
        return printed(lambda out: pass_list(out, PassList(found, detailed)), WIDE)

    plain = replace(FOLD, name="plain", options=())
    assert cells(text(False, FOLD, plain), "Passes, in the order they usually run")[1:] == [
        ["fold-it", "Fold one into another.", "at, deep"],
        ["plain", "Fold one into another.", ""],
    ]
    one = text(True, FOLD)
    assert one.startswith(
        "fold-it\nFold one into another.\n\nRules\n  1: Of one reader.\n  2: Of no reader.\n"
    )
    assert "\nWeights stay.\n" in one
    assert cells(one, "Options")[1:] == [["at", "str", "required"], ["deep", "bool", "false"]]


def test_findings_are_listed_and_what_to_do_about_them() -> None:
    def text(*findings: Finding) -> str:
        return printed(lambda out: diagnosis(out, Diagnosis(findings)), WIDE)

    good, poor, bad = (
        Finding("numpy", "ok", "2.0"),
        Finding("torch", "warn", "absent", "pip install torch"),
        Finding("onnx", "fail", "broken", "install again"),
    )
    assert cells(text(good, poor), "This machine")[1:] == [
        ["ok", "numpy", "2.0"],
        ["warn", "torch", "absent"],
    ]
    assert text(good, poor).endswith("What to do\n  torch: pip install torch\n\nReady.\n")
    assert text(good, bad).endswith("  onnx: install again\n\nThe main job cannot run here.\n")
    assert "What to do" not in text(good)


def test_a_report_is_told_by_its_place() -> None:
    text = printed(lambda out: written_report(out, WrittenReport(Path("runs/here/report.html"))), WIDE)
    assert text == "Report: runs/here/report.html\n"
    files = (Path("tables/exits.tex"), Path("tables/exits.csv"))
    text = printed(lambda out: written_report(out, WrittenReport(Path("report.html"), files)), WIDE)
    assert text == "Report: report.html\nExported: 2 files in tables\n"
