"""The options of the command line: one meaning on every verb, values of their type, and help that is true."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
import typer.main
from typer.testing import CliRunner

from eecompile import api
from eecompile.cli import main as cli
from eecompile.cli import options
from eecompile.cli.common import with_common
from eecompile.data.preprocess import RULES
from eecompile.data.sources import NAMES
from eecompile.exits.choice import MIN_GAIN
from eecompile.quantization.calibration_names import CALIBRATIONS
from eecompile.run.options import MAX_DROP, RunOptions
from eecompile.run.prepare import DEFAULT_EXITS
from eecompile.run.schedule_options import DEFAULT_EXACT_SECONDS, SOLVERS, WEIGHTS
from eecompile.verbs.work.cost import CostOptions
from eecompile.verbs.work.quantize_options import QuantizeOptions
from passes.confidence import RULES as CONFIDENCE_RULES
from passes.heads.families import FAMILIES
from targets.contract.registry import load_target
from targets.cost.model.unrolling import RULES as LATENCY_RULES
from targets.cost.search.engine import DEFAULT_LPF_LIMIT
from targets.described.target import EngineTarget
from targets.network.layer import Bits
from targets.objective import CHOICES
from targets.schedule.freedom import MODES

# What these name differs by verb: a file or a folder; whether a file of an accelerator will do; bits of float
# networks, or of parts of the network that is quantized; a default that a search or a run may say otherwise;
# designs or images that go together; one policy or several to compare; a deadline that has to be or may be.
BY_VERB = {
    "--out",
    "--target",
    "--bits",
    "--objective",
    "--max-drop",
    "--min-gain",
    "--batch",
    "--policy",
    "--slo",
}


def declared() -> Iterator[tuple[str, Any]]:
    """Yield each option of each verb as it is registered, with the verb."""
    group: Any = typer.main.get_command(cli.app)
    for verb, command in group.commands.items():
        yield from ((verb, p) for p in command.params if p.param_type_name == "option" and p.name != "help")


def option(verb: str, flag: str) -> Any:
    """Return the option ``flag`` of a verb."""
    return next(p for v, p in declared() if v == verb and flag in p.opts)


def default_of(verb: str, name: str) -> object:
    """Return the default of a parameter of a verb, or of what all share."""
    if name == "quiet":
        return inspect.signature(with_common(lambda: None, progress=True)).parameters[name].default
    return inspect.signature(getattr(cli, verb)).parameters[name].default


def test_a_flag_means_the_same_on_every_verb() -> None:
    meanings: dict[str, set[tuple[Any, ...]]] = {}
    for _, p in declared():
        meanings.setdefault(p.opts[0], set()).add((p.help, p.metavar, tuple(p.opts)))
    assert {flag for flag, found in meanings.items() if len(found) > 1} == BY_VERB
    assert len(meanings) > 30


def test_a_short_flag_stands_for_one_long_one() -> None:
    found = {(short, p.opts[0]) for _, p in declared() for short in p.opts[1:]}
    assert found == {
        ("-t", "--target"),
        ("-d", "--data"),
        ("-o", "--out"),
        ("-p", "--pipeline"),
        ("-q", "--quiet"),
    }


def test_every_option_is_used_and_none_is_made_up_beside_them() -> None:
    shared = {
        get_args(value)[1].help
        for name, value in vars(options).items()
        if name.isupper() and get_origin(value) is Annotated
    }
    group: Any = typer.main.get_command(cli.app)
    used = {p.help for command in group.commands.values() for p in command.params}
    assert len(shared) > 30 and shared <= used


def test_a_switch_can_only_be_turned_on() -> None:
    """Off is its default; where both must be said, it takes ``on|off``."""
    switches = [(verb, p) for verb, p in declared() if p.is_flag]
    found = {p.opts[0] for _, p in switches}
    assert {"--speculate", "--optimistic", "--breakdown", "--json"} <= found
    assert all(default_of(verb, p.name) is False and not p.secondary_opts for verb, p in switches)


@pytest.mark.parametrize(
    ("verb", "flag", "default"),
    [
        ("run", "--max-drop", MAX_DROP),
        ("run", "--min-gain", MIN_GAIN),
        ("run", "--seed", RunOptions(Path()).seed),
        ("run", "--head", RunOptions(Path()).head),
        ("run", "--preprocess", RunOptions(Path()).preprocess),
        ("cost", "--lpf-limit", DEFAULT_LPF_LIMIT),
        ("cost", "--time-limit", f"{DEFAULT_EXACT_SECONDS:g}"),
        ("cost", "--host-scale", inspect.signature(load_target).parameters["host_scale"].default),
        ("cost", "--fusion", "on" if CostOptions().fusion else "off"),
        ("cost", "--weights", "keep"),
        ("cost", "--locality", "on"),
        ("cost", "--rules", EngineTarget.counting),
        ("run", "--rules", EngineTarget.counting),
        ("run", "--target", inspect.signature(api.cost).parameters["target"].default),
        ("run", "--objective", inspect.signature(api.cost).parameters["objective"].default),
        ("quantize", "--max-drop", MAX_DROP),
        ("quantize", "--calibration", QuantizeOptions(Path(), "").calibration),
        ("opt", "--target", inspect.signature(api.cost).parameters["target"].default),
    ],
)
def test_the_default_that_help_names_is_the_default(verb: str, flag: str, default: object) -> None:
    found = option(verb, flag)
    assert default_of(verb, found.name) is None, "that it was told must be known"
    assert found.help.endswith(f"[default: {default}]")


def test_defaults_that_are_given_are_those_of_the_typed_face() -> None:
    for verb, p in declared():
        of_api = inspect.signature(getattr(api, verb)).parameters.get(p.name)
        if of_api is not None and p.name not in ("pipeline", "fusion", "fail_if", "settings"):
            assert default_of(verb, p.name) == of_api.default, (verb, p.name)


@pytest.mark.parametrize(
    ("verb", "flag", "names"),
    [
        ("run", "--data", NAMES),
        ("run", "--objective", [o.name for o in CHOICES]),
        ("run", "--head", ["auto", *FAMILIES]),
        ("run", "--confidence", [*CONFIDENCE_RULES, "temperature=fit"]),
        ("run", "--exits", [f"run: {DEFAULT_EXITS} if not told"]),
    ],
)
def test_help_names_all_there_are(verb: str, flag: str, names: list[str]) -> None:
    assert [name for name in names if name not in option(verb, flag).help] == []


def test_choices_are_those_that_are_taken() -> None:
    for flag, choices in (("--schedule", MODES), ("--weights", WEIGHTS), ("--solver", SOLVERS)):
        assert option("cost", flag).metavar == "|".join(choices)
    assert option("run", "--schedule").metavar == "|".join(MODES)
    assert option("quantize", "--calibration").metavar == "|".join(CALIBRATIONS)
    assert option("cost", "--rules").metavar == "|".join(LATENCY_RULES)
    rules = option("run", "--preprocess").help.partition(" …")[0].split(", ")
    assert rules[0] == "auto" and set(rules[1:]) <= set(RULES)


CASES: list[tuple[str, str, dict[str, object]]] = [
    (
        "run",
        "-t gap9 -d digits -o out --exits 3 --head conv --objective energy --max-drop 0.5 --optimistic "
        "--preprocess raw --cost-model m --seed 7 --point p --speculate --min-gain 1 --rules zigzag "
        "--schedule layers --max-latency 0.5 --guarantee 0.1 --max-latency-p95 0.1 "
        "--max-worst-latency 0.2 --max-final-ratio 0.5 --max-cost-ratio 0.6 "
        "--confidence margin{temperature=2} --calibration minmax --requantize --keep-thresholds "
        "--from-study found --trial 3 --front-point 2",
        {
            "target": "gap9", "data": "digits", "out": Path("out"), "exits": 3, "head": ("conv",),
            "objective": "energy", "max_drop": 0.5, "optimistic": True, "preprocess": "raw",
            "cost_model": "m", "seed": 7, "point": "p", "speculate": True, "min_gain": 1.0,
            "rules": "zigzag", "schedule": "layers", "max_latency": 0.5, "guarantee": 0.1,
            "max_latency_p95": 0.1, "max_worst_latency": 0.2, "max_final_ratio": 0.5, "max_cost_ratio": 0.6,
            "confidence": "margin{temperature=2}", "calibration": "minmax",
            "requantize": True, "keep_thresholds": True, "from_study": Path("found"), "trial": 3,
            "front_point": 2,
        },
    ),
    (
        "cost",
        "--target a.yaml --exits relu_3,add_2 --mapping m.yaml --locality off --fusion off --lpf-limit 4 "
        "--bits 8,8,16 --save-mapping s.yaml --max-latency 0.001 --host-scale 0",
        {
            "target": "a.yaml", "exits": ("relu_3", "add_2"), "mapping": Path("m.yaml"), "locality": False,
            "fusion": False, "lpf_limit": 4, "bits": Bits(8, 8, 16, logits=8), "save_mapping": Path("s.yaml"),
            "max_latency": 0.001, "host_scale": 0.0,
        },
    ),
    (
        "cost",
        "--schedule split --weights fetch --ratios 0.5,0.5 --speculate --solver exact --time-limit 5 "
        "--trace t.json --overlay o.json --rules exact --breakdown",
        {
            "schedule": "split", "weights": "fetch", "ratios": (0.5, 0.5), "speculate": True,
            "solver": "exact", "time_limit": 5.0, "trace": Path("t.json"), "overlay": Path("o.json"),
            "rules": "exact",
        },
    ),
    (
        "quantize",
        "-t gap9 -d digits -o out --objective energy --preprocess raw --seed 3 --calibration minmax "
        "--keep-float auto --max-drop 0.5 --bits conv_0=4 --placement auto --frontier --requantize",
        {
            "target": "gap9", "data": "digits", "out": Path("out"), "objective": "energy",
            "preprocess": "raw", "seed": 3, "calibration": "minmax", "keep_float": "auto", "max_drop": 0.5,
            "bits": {"conv_0": 4}, "placement": "auto", "frontier": True,
            "requantize": True,
        },
    ),
    ("cost", "", {"target": "diana", "fusion": True, "locality": None, "speculate": False, "ratios": None}),
    (
        "opt",
        "-p canonicalize -o new.onnx -d digits --preprocess unit -t gap9 --verify-each --save-stages s "
        "--seed 1",
        {
            "pipeline": "canonicalize", "out": Path("new.onnx"), "data": "digits", "preprocess": "unit",
            "target": "gap9", "verify_each": True, "save_stages": Path("s"), "seed": 1,
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "arguments", "expected"), CASES)
def test_values_reach_the_verb_in_their_type(
    monkeypatch: pytest.MonkeyPatch, verb: str, arguments: str, expected: dict[str, object]
) -> None:
    signature = inspect.signature(getattr(api, verb))
    taken: dict[str, Any] = {}

    def stop(*given: Any, **named: Any) -> None:
        taken.update(signature.bind(*given, **named).arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(api, verb, stop)
    CliRunner().invoke(cli.app, [verb, "net.onnx", *arguments.split()])
    found = {name: taken[name] for name in expected}
    assert found == expected and taken["model"] == Path("net.onnx")
    assert [type(value) for value in found.values()] == [type(value) for value in expected.values()]


@pytest.mark.parametrize(
    "arguments", ["--max-drop half", "--seed 1.5", "--min-gain x", "--speculate=no", "--max-latency 1ms"]
)
def test_other_types_are_refused(arguments: str) -> None:
    verb = "cost" if "latency" in arguments else "run"
    result = CliRunner().invoke(cli.app, [verb, "net.onnx", *arguments.split()])
    assert result.exit_code == 2
    assert arguments.partition(" ")[0].partition("=")[0] in result.stderr
