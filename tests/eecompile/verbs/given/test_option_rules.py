"""No option is parsed and ignored: each matters on its own, or is refused without what it needs."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from eecompile import api
from eecompile.cli import main as cli
from eecompile.cli.flags import flags_of
from eecompile.verbs.given.option_rules import NEEDS, OptionNeed, check_given
from passes.errors import InputError

ROOT = Path(__file__).parents[4]
EXAMPLE = ROOT / "examples" / "digits_resnet.onnx"
VERBS = {
    command.callback.__name__: command.callback for command in cli.app.registered_commands if command.callback
}
# Options that change the answer on their own; which of them a target or network cannot honour is refused
# where that is known, and tested there.
ALWAYS = {
    "run": {
        "target", "data", "out", "exits", "head", "objective", "cost_model", "point", "max_latency",
        "speculate", "rules", "schedule", "from_study", "replay", "as_json",
    },
    "inspect": {"target", "cost_model", "as_json"},
    "opt": {"pipeline", "out", "data", "verify_each", "save_stages", "as_json"},
    "cost": {
        "target", "objective", "cost_model", "exits", "host_scale", "mapping", "locality", "fusion",
        "lpf_limit", "bits", "save_mapping", "point", "max_latency", "schedule", "weights", "ratios",
        "speculate", "solver", "trace", "overlay", "rules", "breakdown", "as_json",
    },
    "quantize": {
        "target", "data", "out", "objective", "preprocess", "seed", "calibration", "keep_float",
        "placement", "bits", "frontier", "quantize", "qat_epochs", "requantize", "as_json",
    },
    "report": {"out", "export", "as_json"},
    "export": {"c", "model_repository", "ray_serve", "as_json"},
    "compare": {"fail_if", "all_figures", "as_json"},
    "targets": {"as_json"},
    "passes": {"as_json"},
    "doctor": {"as_json"},
    "search": {
        "data", "target", "out", "trials", "seed", "workers", "resume", "preprocess", "cache",
        "dry_run", "no_hardware", "no_quantization", "fixed_heads", "one_threshold", "ga_only",
        "storage", "batch", "as_json",
    },
    "why": {"trial", "as_json"},
    "front": {"html", "csv", "svg", "as_json"},
    "cache": {"cache", "keep", "as_json"},
    "retune": {
        "out", "max_drop", "optimistic", "min_gain", "max_latency", "max_latency_p95", "max_worst_latency",
        "max_final_ratio", "max_cost_ratio", "as_json",
    },
    "serve": {
        "policy", "batch", "slo", "priority", "host", "port", "grpc_port", "max_body", "max_queue", "threads",
        "as_json",
    },
    "simulate": {
        "arrivals", "slo", "policy", "priority", "requests", "seeds", "clock", "no_preempt", "capacity",
        "window", "report", "accuracy_floor", "batch", "adapt", "drift", "overlap", "as_json",
    },
    "split": {
        "link", "rtt", "loss", "objective", "max_drop", "server_target", "server_time", "radio", "idle_power",
        "energy_per_byte", "clock", "data", "out", "as_json",
    },
    "whatif": {"settings", "target", "name", "cache", "as_json"},
}  # fmt: skip
VALUES = {
    "max_drop": 1.0, "optimistic": True, "min_gain": 2.0, "preprocess": "auto", "seed": 0, "head": "auto",
    "guarantee": 0.1, "max_latency_p95": 1.0, "max_worst_latency": 1.0, "max_final_ratio": 0.5,
    "max_cost_ratio": 0.5, "time_limit": 5.0, "target": "diana", "confidence": "margin",
    "train": "joint", "epochs": 3, "cache": "kept", "recycle": "on", "quantize": "ptq", "qat_epochs": 2,
    "calibration": "minmax",
    "placement": "auto", "bits": "backbone=8",
    "keep_thresholds": True, "trial": 3, "front_point": 1,
    "prune": "cycles=-10%", "prune_epochs": 1, "rounding": "target", "requantize": True,
    "ga_evaluations": 9, "join": True, "out": "there",
}  # fmt: skip
ARGUMENTS = {"opt": ["-p", "canonicalize,quantize"]}


def described(need: OptionNeed) -> str:
    return f"{need.verb}-{need.option}"


@pytest.mark.parametrize("need", NEEDS, ids=described)
def test_an_option_is_refused_without_what_it_needs(
    need: OptionNeed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is given at its default."""
    monkeypatch.chdir(tmp_path)
    flags = flags_of(VERBS[need.verb])
    value = VALUES[need.option]
    option = [flags[need.option], *([] if value is True else [str(value)])]
    result = CliRunner().invoke(cli.app, [need.verb, str(EXAMPLE), *ARGUMENTS.get(need.verb, ()), *option])
    assert result.exit_code == 2
    others = " or ".join(flags[name] for name in need.any_of)
    assert result.stderr.startswith(f"error: {flags[need.option]} {need.purpose}"[:40])
    assert f"without {others} it changes nothing" in result.stderr
    assert not list(tmp_path.iterdir()), "nothing is written"


@pytest.mark.parametrize("need", NEEDS, ids=described)
def test_an_option_is_taken_with_any_of_what_it_needs(need: OptionNeed) -> None:
    for other in need.any_of:
        told = {"out": None, "speculate": False, need.option: VALUES[need.option], other: "something"}
        assert check_given(need.verb, told) == {need.option, other}
    with pytest.raises(InputError, match=f"^`{need.option}` "):
        check_given(need.verb, {need.option: VALUES[need.option]})


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_option_is_accounted_for(verb: str) -> None:
    needy = {need.option for need in NEEDS if need.verb == verb}
    assert not needy & ALWAYS[verb]
    common = ALWAYS[verb] | {"config"} | ({"quiet"} if verb in cli.SAYS_PROGRESS else set())
    assert flags_of(VERBS[verb]).keys() == needy | common, "a new option belongs into one of the tables"


def test_needs_name_options_of_their_verb() -> None:
    for need in NEEDS:
        assert {need.option, *need.any_of} <= flags_of(VERBS[need.verb]).keys()


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: api.run(EXAMPLE, seed=0), "seed"),
        (lambda: api.run(EXAMPLE, optimistic=True), "optimistic"),
        (lambda: api.cost(EXAMPLE, head="conv"), "head"),
        (lambda: api.opt(EXAMPLE, "canonicalize,quantize", target="gap9"), "target"),
    ],
)
def test_the_typed_face_refuses_the_same(call: Any, told: str) -> None:
    with pytest.raises(InputError, match=f"^`{told}` .* changes nothing"):
        call()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["opt", EXAMPLE, "-p", "canonicalize", "--data", "digits"], "--data calibrates"),
        (
            ["opt", EXAMPLE, "-p", "canonicalize", "--data", "digits", "--verify-each", "-t", "gap9"],
            "--target says",
        ),
        (["cost", EXAMPLE, "--breakdown", "--json"], "--breakdown is for tables"),
        (["compare", EXAMPLE, EXAMPLE, "--all", "--json"], "--all is for tables"),
        (["cost", EXAMPLE, "--breakdown"], "--breakdown: cost model 'match' of diana"),
        (["cost", EXAMPLE, "--ratios", "1"], "whatever --ratios says"),
        (
            ["cost", EXAMPLE, "-t", "edge_tpu_quad", "--host-scale", "1"],
            "--host-scale scales the work of a host",
        ),
        (["cost", EXAMPLE, "--max-latency", "-1"], "--max-latency -1.0 is not a time"),
        (["cost", EXAMPLE, "--locality", "on"], "--locality needs a target whose search"),
        (["cost", EXAMPLE, "--rules", "exact"], "--rules exact says how latency counts"),
        (["cost", EXAMPLE, "--rules", "zigzag", "--cost-model", "engine"], "'engine' of diana has no choice"),
        (["run", EXAMPLE, "--rules", "exact", "-t", "gap9"], "of gap9 has no choice of that"),
        (["cost", EXAMPLE, "-t", "edge_tpu_quad", "--rules", "exakt"], "there are exact and zigzag"),
        (["run", EXAMPLE, "-t", "edge_tpu_quad", "--rules", "exakt"], "there are exact and zigzag"),
        (["run", EXAMPLE, "--speculate", "--data", "digits", "--min-gain", "200"], "--min-gain 200.0 is not"),
        (
            [
                "run",
                EXAMPLE,
                "--data",
                "digits",
                "--guarantee",
                "0.1",
                "--confidence",
                "margin{temperature=fit}",
            ],
            "--guarantee tests thresholds on images that chose nothing",
        ),
    ],
)
def test_what_only_target_network_or_values_tell_is_refused_by_flag(arguments: list[Any], told: str) -> None:
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    assert result.exit_code == 2, result.output
    _, _, error = result.stderr.partition("error: ")  # behind what it was at
    assert told in error


def test_a_head_is_refused_where_the_network_brings_its_own(tmp_path: Path) -> None:
    exits = tmp_path / "exits.onnx"
    api.opt(EXAMPLE, "canonicalize,fold-batchnorm,insert-exits{at=1}", exits)
    result = CliRunner().invoke(
        cli.app, ["run", str(exits), "--head", "conv", "--out", str(tmp_path / "out")]
    )
    assert result.exit_code == 2
    assert "brings exits of its own" in result.stderr and "leave --head away" in result.stderr


# What speaks to users of the command line, and may name its flags.
COMMAND_LINE = re.compile(r"eecompile/(cli/[\w/]+|verbs/work/doctor)\.py")


def test_lower_floors_name_parameters_not_flags() -> None:
    found = []
    for package in ("eecompile", "targets", "passes"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if COMMAND_LINE.fullmatch(str(path.relative_to(ROOT))):
                continue
            tree = ast.parse(path.read_text())
            docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            found += [
                f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}"
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
                if re.search(r"(?<![\w-])--[a-z]", node.value)
            ]
    assert found == []


def test_flags_are_those_of_the_command_line() -> None:
    for verb, function in VERBS.items():
        command = typer.main.get_command(cli.app).commands[verb]  # type: ignore[attr-defined]
        declared = {
            p.name: p.opts[0] for p in command.params if p.param_type_name == "option" and p.name != "help"
        }
        assert flags_of(function) == declared
