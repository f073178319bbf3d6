from __future__ import annotations

import inspect
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from eecompile import api
from eecompile.cli import main as cli
from eecompile.run import provenance
from eecompile.run.options import RunOptions
from tests.eecompile.fabricated_run import write_run
from tests.eecompile.small_models import SKIP_NET, write_skip_net
from tests.needs import needs_torch

HEAVY = (
    "torch",
    "onnx",
    "onnxruntime",
    "onnx_graphsurgeon",
    "sklearn",
    "numpy",
    "pydantic",
    "rich",
    "jinja2",
    "yaml",
)
VERBS = (
    "run",
    "inspect",
    "opt",
    "quantize",
    "cost",
    "report",
    "compare",
    "targets",
    "passes",
    "doctor",
    "export",
    "search",
    "why",
    "front",
    "cache",
    "retune",
    "whatif",
    "simulate",
    "split",
    "serve",
)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_skip_net(tmp_path_factory.mktemp("model") / "net.onnx")


def python(code: str, *options: str) -> str:
    done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_the_command_line_imports_nothing_heavy() -> None:
    code = f"import sys, eecompile.cli.main; print(sorted(set({HEAVY}) & set(sys.modules)))"
    assert python(code).strip() == "[]"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, eecompile.cli.main\n"
        "try: eecompile.cli.main.app(['--help'])\n"
        "except SystemExit: pass\n"
        f"print('heavy:', sorted(set({HEAVY}) & set(sys.modules)))"
    )
    assert "heavy: []" in python(code)


def test_help_lists_every_verb() -> None:
    result = call("--help")
    assert result.exit_code == 0
    assert all(f"\n  {verb}" in result.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_json(verb: str) -> None:
    result = call(verb, "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_verb_and_api_have_the_same_parameters(verb: str) -> None:
    of_api = [name for name in inspect.signature(getattr(api, verb)).parameters if name != "progress"]
    presentation = ("as_json", "breakdown", "all_figures")
    of_cli = [name for name in inspect.signature(getattr(cli, verb)).parameters if name not in presentation]
    assert of_api == of_cli


def test_version() -> None:
    assert call("--version").stdout.startswith("eecompile ")


@pytest.mark.parametrize(
    ("arguments", "message", "fix"),
    [
        (["cost", "missing.onnx"], "no such file", "check the path"),
        (["cost", "MODEL", "--target", "dianna"], "unknown target 'dianna'", "did you mean 'diana'?"),
        (["run", "MODEL", "--target", "dianna"], "unknown target 'dianna'", "did you mean 'diana'?"),
        (["inspect", "MODEL", "--target", "dianna"], "unknown target 'dianna'", "did you mean 'diana'?"),
        (["targets", "dianna"], "unknown target 'dianna'", "did you mean 'diana'?"),
        (["cost", "MODEL", "--objective", "edpp"], "unknown objective 'edpp'", "did you mean 'edp'?"),
        (["run", "MODEL", "--objective", "edpp"], "unknown objective 'edpp'", "did you mean 'edp'?"),
        (["cost", "MODEL", "--cost-model", "macth"], "no cost model 'macth'", "did you mean 'match'?"),
        (
            ["cost", "MODEL", "--exits", "relu_10"],
            "no tensor or node is called 'relu_10'",
            "did you mean 'relu_0'",
        ),
        (["cost", "MODEL", "--exits", "9"], "9 exits asked for", "ask for at most 2"),
        (["cost", "MODEL", "--head", "liner"], "unknown head 'liner'", "did you mean 'linear'?"),
        (["run", "MODEL", "--head", "liner"], "unknown head 'liner'", "did you mean 'linear'?"),
        (["cost", "MODEL", "--host-scale", "-1"], "host scale", ""),
        (["run", "MODEL", "--data", "digits", "--max-drop", "-1"], "--max-drop -1", "points"),
        (["run", "MODEL", "--data", "digits", "--max-drop", "nan"], "--max-drop nan", "points"),
        pytest.param(
            ["run", "MODEL", "--data", "digit"],
            "no data called 'digit'",
            "did you mean 'digits'?",
            marks=needs_torch,
        ),
        (["opt", "MODEL", "-p", "quantise"], "unknown pass 'quantise'", "did you mean 'quantize'?"),
        (["opt", "MODEL", "-p", "insert-exits{att=2}"], "no option 'att'", "did you mean 'at'?"),
        (["opt", "MODEL", "-p", ""], "the pipeline is empty", "example"),
        (["opt", "MODEL", "-p", "quantize"], "no calibrated ranges", "--data"),
        (["passes", "quantise"], "unknown pass 'quantise'", "did you mean 'quantize'?"),
        (["report", "missing"], "not a run directory", "a run was written to"),
        (["export", "RUN"], "not told what to write", "add one of --c"),
        (["export", "RUN", "--rounding", "target"], "without --c it changes nothing", "add --c"),
        (["export", "missing", "--c"], "not a run directory", "a run was written to"),
        (["export", "RUN", "--c"], "no model.lowered.onnx", "give a run with data"),
        (["compare", "RUN", "missing"], "not a run directory", "a run was written to"),
        (["compare", "RUN", "RUN", "--fail-if", "edp"], "cannot read 'edp'", "expected.edp_js>+2%"),
    ],
)
def test_bad_use_is_one_message_with_a_fix(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str, fix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    run = write_run(tmp_path / "run") if "RUN" in arguments else tmp_path
    before = sorted(tmp_path.rglob("*"))
    result = call(*({"MODEL": model, "RUN": run}.get(a, a) for a in arguments))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert fix in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rum"], "No such command"),
        (["cost"], "Missing argument"),
        (["opt", "m.onnx"], "Missing option"),
        (["cost", "m.onnx", "--tarket", "x"], "No such option"),
        (["run", "m.onnx", "--max-drop", "little"], "Invalid value for '--max-drop'"),
    ],
)
def test_usage_errors_exit_with_2(arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Result:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(api, "targets", fail)
    return call("targets")


def test_our_fault_traces_and_exits_with_70(monkeypatch: pytest.MonkeyPatch) -> None:
    result = failing(monkeypatch, RuntimeError("surprise"))
    assert result.exit_code == 70
    assert "RuntimeError: surprise" in result.stderr
    assert "Please report it" in result.stderr


def test_interrupted_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    result = failing(monkeypatch, KeyboardInterrupt())
    assert result.exit_code == 130
    assert result.stderr == "error: interrupted\n"


def test_full_disk_exits_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    result = failing(monkeypatch, OSError(28, "No space left on device", "/full/file"))
    assert result.exit_code == 2
    assert result.stderr.startswith("error: the disk is full: /full/file\n")


def test_other_os_errors_are_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    assert failing(monkeypatch, OSError(5, "Input/output error")).exit_code == 70


def test_control_characters_in_names_do_not_reach_the_terminal(tmp_path: Path) -> None:
    result = call("cost", tmp_path / "\x1b[31mred.onnx")
    assert "\x1b" not in result.stderr
    assert "\\x1b[31mred.onnx" in result.stderr


def test_cost_json_is_one_document_of_the_agreed_form(model: Path) -> None:
    document = json.loads(call("cost", model, "--exits", "1", "--json").stdout)
    assert {"schema_version", "target", "objective", "layers", "exits", "total"} <= document.keys()
    assert [entry["name"] for entry in document["exits"]] == ["exit_0", "final"]
    keys = {
        "name",
        "op_type",
        "origin",
        "core",
        "macs",
        "latency_cycles",
        "energy_pj",
        "utilization",
        "bound_cycles",
    }
    assert all(keys <= layer.keys() for layer in document["layers"])
    costs = {"macs", "latency_cycles", "latency_s", "energy_pj", "edp_js", "edp_j_cycles"}
    assert costs <= document["total"].keys()
    assert document["exits"][0]["energy_pj"] < document["exits"][1]["energy_pj"]
    assert not {"ratio", "threshold", "accuracy"} & document["exits"][0].keys()


def test_cost_options_reach_the_cost(model: Path) -> None:
    def cycles(*options: object) -> float:
        document = json.loads(call("cost", model, "--json", *options).stdout)
        return float(document["total"]["latency_cycles"])

    plain = cycles()
    assert cycles("--host-scale", 0) < plain
    assert cycles("--cost-model", "odimo") != plain
    assert cycles("--exits", 1) > plain
    assert cycles("--exits", 1, "--head", "conv") > cycles("--exits", 1, "--head", "linear")


def test_refused_layer_exits_with_1_and_says_why(tmp_path: Path) -> None:
    text = SKIP_NET.replace("h = GlobalAveragePool(g)", "x = Shrink(g) h = GlobalAveragePool(x)")
    result = call("cost", write_skip_net(tmp_path / "net.onnx", text))
    assert result.exit_code == 1
    assert "1 of" in result.stderr
    assert "Shrink" in result.stderr
    assert "does not run Shrink" in result.stderr


@pytest.mark.parametrize("verb", ["inspect", "cost"])
def test_tables_fit_80_columns_without_escape_codes(model: Path, verb: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eecompile.cli.main", verb, str(model)],
        capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert "\x1b" not in done.stdout
    assert "conv_0" in done.stdout


def test_terminal_that_cannot_show_a_character(model: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eecompile.cli.main", "inspect", str(model)],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert "conv_0" in done.stdout


def test_run_without_data_reports_costs_only(model: Path, tmp_path: Path) -> None:
    result = call("run", model, "-o", tmp_path / "run", "--exits", "1", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["out"] == str(tmp_path / "run")
    assert document["expected"] is None
    assert json.loads((tmp_path / "run" / "summary.json").read_text()).items() <= document.items()
    assert "no accuracy is claimed" in (tmp_path / "run" / "report.html").read_text()
    assert "load and cost" in result.stderr


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"data": "digits", "max_drop": 0.5},
        {
            "data": "digits",
            "exits": 2,
            "optimistic": True,
            "cost_model": "odimo",
            "min_gain": 1.0,
            "seed": 3,
        },
        {"exits": ["relu_2", "a,b"], "prune": {"cycles": -0.3}, "data": "digits"},
        {
            "exits": ["relu_2", "relu_4"],
            "head": ["conv{kernel=5,size=10}", "linear"],
            "speculate": True,
            "point": "nominal",
        },
    ],
)
def test_recorded_command_gives_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    taken: list[RunOptions] = []

    def stop(given: RunOptions, _: object) -> None:
        taken.append(given)
        raise KeyboardInterrupt

    monkeypatch.setattr("eecompile.run.main.run", stop)
    with pytest.raises(KeyboardInterrupt):
        api.run(tmp_path / "my net.onnx", out=tmp_path, **more)
    words = shlex.split(provenance.command(taken[0]))
    assert words[0] == "eecompile"
    call(*words[1:])
    assert taken[1] == taken[0]


def test_help_of_run_names_no_target_in_options_of_all() -> None:
    text = " ".join(call("run", "--help").stdout.split())
    assert "see `eecompile targets NAME`" in text
    assert "mean drop over neighbouring thresholds" in text


def test_compare_gate_exits_with_1_and_names_it(tmp_path: Path) -> None:
    from tests.eecompile.fabricated_run import summary

    worse = summary()
    worse["expected"]["edp_js"] *= 1.5
    a, b = write_run(tmp_path / "a"), write_run(tmp_path / "b", worse)
    gates = ["--fail-if", "expected.edp_js>+2%", "--fail-if", "drop.points>1.0"]
    result = call("compare", a, b, *gates)
    assert result.exit_code == 1
    assert "1 of 2 gates violated" in result.stderr
    assert "expected.edp_js>+2%" in result.stderr
    assert "drop.points>1.0" not in result.stderr
    document = json.loads(call("compare", a, b, *gates, "--json").stdout)
    assert document["passed"] is False
    assert call("compare", b, a, *gates).exit_code == 0


def test_report_is_written_again(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    assert json.loads(call("report", run, "--json").stdout)["report"] == str(run / "report.html")
    assert (run / "report.html").read_text().startswith("<!doctype html>")


def test_report_to_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    result = call("report", write_run(tmp_path / "run"), "-o", tmp_path / "no" / "report.html")
    assert result.exit_code == 2
    assert "cannot write to" in result.stderr


def test_passes_show_their_rules() -> None:
    document = json.loads(call("passes", "--json").stdout)
    assert all(entry["rules"] for entry in document["passes"])
    text = call("passes", "insert-exits").stdout
    assert "1:" in text
    assert "head" in text


def test_targets_show_support_and_how_figures_are_known() -> None:
    document = json.loads(call("targets", "diana", "--json").stdout)
    (entry,) = document["targets"]
    assert {"digital", "analog", "host"} <= {core["name"] for core in entry["cores"]}
    assert {figure["known"] for figure in entry["figures"]} <= {"measured", "published", "placeholder"}
    assert all(row["rules"] for row in entry["support"])
    assert "Weights are ternary" in call("targets", "diana").stdout


def test_doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("doctor", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == (0 if document["healthy"] else 1)
    status = {finding["name"]: finding["status"] for finding in document["findings"]}
    assert status["example"] == status["onnxruntime"] == status["targets"] == "ok"


def test_doctor_fails_with_a_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    from eecompile.verbs.work import doctor

    monkeypatch.setattr(doctor, "REQUIRED", ("a_package_nobody_has",))
    result = call("doctor")
    assert result.exit_code == 1
    assert "pip install" in result.stdout
